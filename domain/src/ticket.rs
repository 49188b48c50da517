//! What ties a network boot to a node: who is given a ticket, and who may use it.
//!
//! A ticket carries no secret and can read none. It only lets an agent say "I am the machine of that boot", from the
//! address that was leased to it, and binds the agent's key to the boot at its first use.

use crate::boot::Boot;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// 128 random bits, written as 32 hexadecimal digits. Never shown whole by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticket(String);

impl Ticket {
    /// A ticket of these random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text that travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}…)", self.0.get(..4).unwrap_or_default())
    }
}

/// Not a ticket's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a ticket is 32 hexadecimal digits")]
pub struct NotATicket;

impl FromStr for Ticket {
    type Err = NotATicket;
    fn from_str(text: &str) -> Result<Self, NotATicket> {
        let fits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if fits { Ok(Self(text.to_owned())) } else { Err(NotATicket) }
    }
}

/// SHA-256 over an agent's public key (SubjectPublicKeyInfo, DER), 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyFingerprint(pub String);

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why no ticket is given with a boot script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTicket {
    /// The machine that the script was asked for holds another address, or none.
    #[error("the script was asked for from {asked}, but the machine holds {}", .held.map_or("no lease".into(), |held| held.to_string()))]
    NotItsAddress {
        /// Where the request came from.
        asked: Ipv4Addr,
        /// What the machine holds.
        held: Option<Ipv4Addr>,
    },
    /// The ticket of this boot went to another address.
    #[error("the ticket of this boot went to {first}, and {asked} asks for it too")]
    SecondReader {
        /// Who has it.
        first: Ipv4Addr,
        /// Who asks.
        asked: Ipv4Addr,
    },
    /// The ticket was revoked; the next boot gets a new one.
    #[error("the ticket of this boot was revoked: {0}")]
    Revoked(String),
}

/// Gives the ticket of a boot: once, to the address leased to its machine, which may ask again.
pub fn issue(boot: &mut Boot, asked: Ipv4Addr, held: Option<Ipv4Addr>, fresh: Ticket) -> Result<Ticket, NoTicket> {
    if let Some(why) = &boot.revoked {
        return Err(NoTicket::Revoked(why.clone()));
    }
    if held != Some(asked) {
        return Err(NoTicket::NotItsAddress { asked, held });
    }
    match (&boot.ticket, boot.ticket_address) {
        (Some(ticket), Some(first)) if first == asked => Ok(ticket.clone()),
        (Some(_), Some(first)) => Err(NoTicket::SecondReader { first, asked }),
        _ => {
            boot.ticket = Some(fresh.clone());
            boot.ticket_address = Some(asked);
            Ok(fresh)
        }
    }
}

/// Why a ticket does not open anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    /// No boot under way has this ticket: never issued, or the machine has started again since.
    #[error("this ticket belongs to no boot under way: restart the machine to get a new one")]
    Unknown,
    /// It comes from elsewhere than it was issued to.
    #[error("this ticket was issued to {issued_to}, and {from} uses it")]
    WrongAddress {
        /// The address that may use it.
        issued_to: Ipv4Addr,
        /// The address that did.
        from: Ipv4Addr,
    },
    /// Another key used it first. The ticket is void from now on.
    #[error("another key has used this ticket before: the ticket is void, restart the machine")]
    SecondKey,
    /// It was revoked.
    #[error("this ticket was revoked ({0}): restart the machine to get a new one")]
    Revoked(String),
}

/// Lets an agent use the ticket of a boot, and binds its key at the first use. A second key voids the ticket, because
/// nobody can tell any more which of the two is the machine.
pub fn claim(boot: &mut Boot, from: Ipv4Addr, key: &KeyFingerprint) -> Result<(), ClaimRefused> {
    if let Some(why) = &boot.revoked {
        return Err(ClaimRefused::Revoked(why.clone()));
    }
    match boot.ticket_address {
        Some(issued_to) if issued_to != from => return Err(ClaimRefused::WrongAddress { issued_to, from }),
        None => return Err(ClaimRefused::Unknown),
        Some(_) => {}
    }
    match &boot.key {
        Some(bound) if bound == key => Ok(()),
        Some(_) => {
            boot.revoked = Some("two keys claimed it".into());
            Err(ClaimRefused::SecondKey)
        }
        None => {
            boot.key = Some(key.clone());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::{Asker, Speaker};
    use crate::clock::Timestamp;
    use crate::ids::BootId;
    use crate::mac::MacAddr;
    use uuid::Uuid;

    const NODE: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 100);
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 101);

    fn boot() -> Boot {
        let asker = Asker { mac: MacAddr([2, 0, 0, 0, 0, 1]), xid: 1, speaker: Speaker::Ipxe, architecture: None, uuid: None };
        Boot::begin(BootId(Uuid::from_u128(1)), "n", &asker, Timestamp::UNIX_EPOCH)
    }

    fn key(name: &str) -> KeyFingerprint {
        KeyFingerprint(name.into())
    }

    #[test]
    fn a_ticket_goes_once_to_the_leased_address_which_may_ask_again() {
        let mut boot = boot();
        let (first, second) = (Ticket::from_random([1; 16]), Ticket::from_random([2; 16]));
        assert!(matches!(issue(&mut boot, OTHER, Some(NODE), first.clone()), Err(NoTicket::NotItsAddress { .. })));
        assert!(matches!(issue(&mut boot, NODE, None, first.clone()), Err(NoTicket::NotItsAddress { .. })));
        assert_eq!(issue(&mut boot, NODE, Some(NODE), first.clone()), Ok(first.clone()));
        assert_eq!(issue(&mut boot, NODE, Some(NODE), second.clone()), Ok(first));
        assert!(matches!(issue(&mut boot, OTHER, Some(OTHER), second), Err(NoTicket::SecondReader { .. })));
    }

    #[test]
    fn the_first_key_is_bound_and_a_second_voids_the_ticket() {
        let mut boot = boot();
        assert_eq!(claim(&mut boot, NODE, &key("a")), Err(ClaimRefused::Unknown));
        issue(&mut boot, NODE, Some(NODE), Ticket::from_random([1; 16])).expect("a ticket");
        assert!(matches!(claim(&mut boot, OTHER, &key("b")), Err(ClaimRefused::WrongAddress { .. })));
        assert_eq!(claim(&mut boot, NODE, &key("a")), Ok(()));
        assert_eq!(claim(&mut boot, NODE, &key("a")), Ok(()));
        assert_eq!(claim(&mut boot, NODE, &key("b")), Err(ClaimRefused::SecondKey));
        assert!(matches!(claim(&mut boot, NODE, &key("a")), Err(ClaimRefused::Revoked(_))));
        assert!(matches!(issue(&mut boot, NODE, Some(NODE), Ticket::from_random([3; 16])), Err(NoTicket::Revoked(_))));
    }

    #[test]
    fn only_a_tickets_form_is_a_ticket_and_it_is_not_shown() {
        let ticket = Ticket::from_random([0xab; 16]);
        assert_eq!(ticket.as_str().parse(), Ok(ticket.clone()));
        assert_eq!(format!("{ticket:?}"), "Ticket(abab…)");
        for text in ["", "ab", "../../etc/passwd", &"AB".repeat(16), &"ab".repeat(17)] {
            assert_eq!(text.parse::<Ticket>(), Err(NotATicket), "{text}");
        }
    }
}
