//! What the drivers of network cards say of themselves and their cards, as Debian's `ethtool` asks them.
//!
//! A thread asks, for a driver can hang, and keeps the answers; a failure is asked about again after a while.

use super::storage::{Limits, Tool};
use crate::tree::text_of;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ETHTOOL: Tool = Tool { name: "ethtool", package: "ethtool" };
/// The kernel answers at once, unless the driver of a card hangs; a busy machine takes its time to start a programme.
const ONE_CARD: Limits = Limits { time: Duration::from_secs(10), bytes: 4096 };
/// A driver that did not answer is asked again after this.
const AGAIN: Duration = Duration::from_secs(120);
const STILL_ASKED: &str = "the driver is still being asked";

/// What `ethtool -i` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriverInfo {
    /// Version of the driver.
    pub version: Option<String>,
    /// Firmware of the card.
    pub firmware: Option<String>,
}

/// A card: its name and its own address, by which another one in its place is noticed.
pub type Card = (String, Option<[u8; 6]>);
type Said = Result<DriverInfo, String>;
type Ask = fn(&str) -> Said;

/// The drivers, and what they said.
#[derive(Debug)]
pub struct Drivers {
    shared: Arc<(Mutex<State>, Condvar)>,
    ask: Ask,
}

#[derive(Debug, Default)]
struct State {
    said: BTreeMap<Card, (Said, Instant)>,
    queue: Vec<Card>,
    busy: bool,
}

impl Default for Drivers {
    fn default() -> Self {
        Self { shared: Arc::default(), ask: ask_driver }
    }
}

impl Drivers {
    /// What those of `cards` say, by the names of the cards; has those asked that are not known, and waits for them no longer
    /// than `patience`.
    pub fn answers(&self, cards: &[Card], patience: Duration) -> BTreeMap<String, Said> {
        let (state, done) = &*self.shared;
        let mut now = state.lock().unwrap_or_else(PoisonError::into_inner);
        now.said.retain(|card, (said, at)| cards.contains(card) && (said.is_ok() || at.elapsed() < AGAIN));
        now.queue = cards.iter().filter(|card| !now.said.contains_key(card)).cloned().collect();
        if !now.busy && !now.queue.is_empty() {
            let (shared, ask) = (Arc::clone(&self.shared), self.ask);
            now.busy = std::thread::Builder::new().name("drivers".into()).spawn(move || work(&shared, ask)).is_ok();
        }
        let waited = done.wait_timeout_while(now, patience, |state| state.busy);
        told(&waited.unwrap_or_else(PoisonError::into_inner).0, cards)
    }

    /// What is known already; nobody is asked.
    pub fn known(&self, cards: &[Card]) -> BTreeMap<String, Said> {
        told(&self.shared.0.lock().unwrap_or_else(PoisonError::into_inner), cards)
    }

    /// Whether one is being asked.
    pub fn are_asked(&self) -> bool {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).busy
    }
}

fn told(state: &State, cards: &[Card]) -> BTreeMap<String, Said> {
    let said = |card| state.said.get(card).map_or_else(|| Err(STILL_ASKED.into()), |(said, _)| said.clone());
    cards.iter().map(|card| (card.0.clone(), said(card))).collect()
}

fn work(shared: &(Mutex<State>, Condvar), ask: Ask) {
    let (state, done) = shared;
    loop {
        let mut now = state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(card) = now.queue.pop() else {
            now.busy = false;
            return done.notify_all();
        };
        drop(now);
        let said = ask(&card.0);
        let mut now = state.lock().unwrap_or_else(PoisonError::into_inner);
        now.queue.retain(|other| *other != card);
        now.said.insert(card, (said, Instant::now()));
    }
}

fn ask_driver(name: &str) -> Said {
    let said = ETHTOOL.run(&["-i", name], ONE_CARD).map_err(|error| super::whole(&error))?;
    match said.code {
        Some(0) => Ok(parse_driver(&said.output)),
        _ => Err("the driver does not say".into()),
    }
}

fn parse_driver(output: &[u8]) -> DriverInfo {
    let text = String::from_utf8_lossy(output);
    let value = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        text_of(value.as_bytes()).filter(|value| !super::placeholder::says_nothing(value))
    };
    DriverInfo { version: value("version:"), firmware: value("firmware-version:") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_driver_tells_its_version_and_the_firmware_of_its_card() {
        let output =
            b"driver: igb\nversion: 6.1.0-56-amd64\nfirmware-version: 1.63, 0x800009fa\nexpansion-rom-version: \nbus-info: 0000:01:00.0\n";
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(parse_driver(output), DriverInfo { version: text("6.1.0-56-amd64"), firmware: text("1.63, 0x800009fa") });
        assert_eq!(parse_driver(b"driver: virtio_net\nversion: 1.0.0\nfirmware-version: \n").firmware, None);
        assert_eq!(parse_driver(b"firmware-version: N/A\n"), DriverInfo::default());
    }

    #[test]
    fn a_slow_driver_is_a_gap_that_says_so_and_a_later_look_fills_it() {
        static GATE: Mutex<()> = Mutex::new(());
        let closed = GATE.lock().unwrap();
        let ask: Ask = |name| {
            drop(GATE.lock());
            Ok(DriverInfo { firmware: Some(format!("of {name}")), ..DriverInfo::default() })
        };
        let drivers = Drivers { ask, ..Drivers::default() };
        let cards = [("eth0".to_owned(), Some([2; 6])), ("eth1".to_owned(), None)];
        assert_eq!(drivers.known(&cards)["eth1"], Err(STILL_ASKED.into()));
        assert!(!drivers.are_asked());
        assert_eq!(drivers.answers(&cards, Duration::ZERO)["eth0"], Err(STILL_ASKED.into()));
        assert!(drivers.are_asked());
        drop(closed);
        assert_eq!(drivers.answers(&cards, LONG)["eth1"].as_ref().unwrap().firmware.as_deref(), Some("of eth1"));
        assert!(!drivers.are_asked());
        let other = [("eth0".to_owned(), Some([4; 6]))];
        assert_eq!(drivers.known(&other)["eth0"], Err(STILL_ASKED.into()), "another card of the same name");
    }

    proptest! {
        #[test]
        fn no_output_panics(output in prop::collection::vec(any::<u8>(), 0..200)) {
            parse_driver(&output);
        }
    }
}
