//! What an agent in the ramdisk is told to do next.

use crate::clock::Timestamp;
use crate::ids::OrderId;
use serde::{Deserialize, Serialize};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Stay in the ramdisk and ask again.
    Wait,
    /// Restart, into whatever the next boot decides.
    Reboot,
    /// Switch off.
    PowerOff,
    /// Restart from the local disk, now and at each later boot, until another order is given.
    LocalDisk,
    /// Test the hardware; see [`Order::test`].
    Test,
}

impl OrderKind {
    /// Whether the order is finished once the agent has taken it.
    pub fn is_done_once(&self) -> bool {
        matches!(self, Self::Reboot | Self::PowerOff)
    }
}

/// What a burn-in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TestPlan {
    /// Patterns in free memory.
    pub memory: bool,
    /// Known results on every processor.
    pub cpu: bool,
    /// Reading from every disk. Nothing is ever written to one.
    pub disks: bool,
    /// Fetching from the service over every port.
    pub network: bool,
    /// The longest that each may take, seconds.
    pub seconds: u32,
}

/// An order as the node's record holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Tells a repeated order from a new one.
    pub id: OrderId,
    /// What is to be done.
    pub kind: OrderKind,
    /// When it was given.
    pub given: Timestamp,
    /// When the agent said that it would do it.
    pub taken: Option<Timestamp>,
    /// What is to be tested, with [`OrderKind::Test`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestPlan>,
}

impl Order {
    /// What an agent that asks is told: an order that was already taken and is done once is not given again.
    pub fn to_tell(order: Option<&Order>) -> (OrderKind, Option<OrderId>) {
        match order {
            Some(order) if order.taken.is_none() => (order.kind, Some(order.id)),
            _ => (OrderKind::Wait, None),
        }
    }

    /// Whether boots go to the local disk because of it.
    pub fn sends_to_local_disk(order: Option<&Order>) -> bool {
        order.is_some_and(|order| order.kind == OrderKind::LocalDisk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn an_order_is_told_until_it_is_taken() {
        let mut order =
            Order { id: OrderId(Uuid::from_u128(7)), kind: OrderKind::Reboot, given: Timestamp::UNIX_EPOCH, taken: None, test: None };
        assert_eq!(Order::to_tell(None), (OrderKind::Wait, None));
        assert_eq!(Order::to_tell(Some(&order)), (OrderKind::Reboot, Some(order.id)));
        order.taken = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(Order::to_tell(Some(&order)), (OrderKind::Wait, None));
    }

    #[test]
    fn only_the_local_disk_outlasts_its_taking() {
        let order = |kind| Order {
            id: OrderId(Uuid::from_u128(7)),
            kind,
            given: Timestamp::UNIX_EPOCH,
            taken: Some(Timestamp::UNIX_EPOCH),
            test: None,
        };
        assert!(Order::sends_to_local_disk(Some(&order(OrderKind::LocalDisk))));
        assert!(!Order::sends_to_local_disk(Some(&order(OrderKind::Reboot))));
        assert!(!Order::sends_to_local_disk(None));
    }
}
