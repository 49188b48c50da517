//! A request and what is known → the answer, or silence with a reason.
//!
//! Everything here is a function of values: leases that must be on disk before the answer leaves are handed back as
//! [`Answer::Keep`], together with what to say if the disk refuses. Addresses, boot files and admission are decided in
//! `domain`.

use super::Counts;
use super::packet::{Reply, Request};
use super::reply::{Load, acknowledgement, inform, load, offer, refusal};
use dhcproto::v4::MessageType;
use domain::Timestamp;
use domain::admission::{BootTarget, Claimed, boot_target};
use domain::boot::Speaker;
use domain::lease::{Asking, Lease, LeaseTable, NoAddress, Requested, remaining_seconds};
use domain::node::Known;
use domain::ports::Directory;
use domain::site::{Network, Site};
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;

/// Below this, a promise from what is on disk is not worth making, seconds.
const SHORTEST_PROMISE: u32 = 60;

/// Where a request came in, and what is known there.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    /// The site in force.
    pub site: &'a Site,
    /// The network's name.
    pub name: &'a str,
    /// The network.
    pub network: &'a Network,
    /// The address that we answer from and are reached at.
    pub own: Ipv4Addr,
    /// Every address of ours on the interface; never leased.
    pub taken: &'a [Ipv4Addr],
    /// Nodes by interface and UUID.
    pub directory: &'a dyn Directory,
    /// The port of boot HTTP.
    pub http_port: u16,
}

/// A line for `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// A word for programs; see [`domain::timeline::Step::event`].
    pub event: &'static str,
    /// A sentence for people, without its subject.
    pub message: String,
    /// Why.
    pub rule: Option<String>,
}

/// How a packet ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What it counts as.
    pub counted: Counted,
    /// What is sent, if anything.
    pub reply: Option<Reply>,
    /// What `explain` will tell, oldest first. Empty for what nobody will ask about, and for floods.
    pub notes: Vec<Note>,
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This, at once.
    Now(Outcome),
    /// Keep a lease on disk first.
    Keep(Box<Promise>),
}

/// A lease to be kept, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The lease.
    pub lease: Lease,
    /// When it is on disk.
    pub kept: Outcome,
    /// When the store refuses.
    pub not_kept: Outcome,
}

/// What a packet counts as: the counters of [`Counts`] that a decision leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Counted {
    Offered,
    Acknowledged,
    AcknowledgedFromDisk,
    Informed,
    Refused,
    Released,
    Declined,
    NotForUs,
    NoNetwork,
    NoOwnAddress,
    IgnoredBySite,
    OnlyWatching,
    PoolExhausted,
    TooManyOffers,
    StoreUnavailable,
    HostileRelay,
}

impl Counted {
    /// Its counter.
    pub fn of(self, counts: &Counts) -> &AtomicU64 {
        match self {
            Self::Offered => &counts.offered,
            Self::Acknowledged => &counts.acknowledged,
            Self::AcknowledgedFromDisk => &counts.acknowledged_from_disk,
            Self::Informed => &counts.informed,
            Self::Refused => &counts.refused,
            Self::Released => &counts.released,
            Self::Declined => &counts.declined,
            Self::NotForUs => &counts.not_for_us,
            Self::NoNetwork => &counts.no_network,
            Self::NoOwnAddress => &counts.no_own_address,
            Self::IgnoredBySite => &counts.ignored_by_site,
            Self::OnlyWatching => &counts.only_watching,
            Self::PoolExhausted => &counts.pool_exhausted,
            Self::TooManyOffers => &counts.too_many_offers,
            Self::StoreUnavailable => &counts.store_unavailable,
            Self::HostileRelay => &counts.hostile_relay,
        }
    }
}

impl Outcome {
    /// No answer.
    pub fn silence(counted: Counted, notes: Vec<Note>) -> Self {
        Self { counted, reply: None, notes }
    }

    /// The reason that its last note gives.
    pub fn rule(&self) -> Option<&str> {
        self.notes.last()?.rule.as_deref()
    }
}

impl<'a> Here<'a> {
    /// The network that a request belongs to, by its relay agent or by the interface that it came in on, and our address
    /// there; or why it cannot be answered. `taken` are the interface's own addresses.
    pub fn find(
        request: &Request,
        site: &'a Site,
        interface: &str,
        taken: &'a [Ipv4Addr],
        directory: &'a dyn Directory,
        http_port: u16,
    ) -> Result<Self, Counted> {
        if request.is_relayed() && is_hostile(request.giaddr, taken) {
            return Err(Counted::HostileRelay);
        }
        let fits = |network: &Network| match request.is_relayed() {
            true => network.subnet.contains(&request.giaddr),
            false => network.interface == interface,
        };
        let (name, network) = site.networks.iter().find(|(_, network)| fits(network)).ok_or(Counted::NoNetwork)?;
        if request.is_relayed() && [network.subnet.network(), network.subnet.broadcast()].contains(&request.giaddr) {
            return Err(Counted::HostileRelay);
        }
        let on_link = taken.iter().find(|own| network.subnet.contains(*own));
        // A relay agent's network is reached through a router, from whatever address the interface has.
        let own = on_link.or(taken.first().filter(|_| request.is_relayed())).ok_or(Counted::NoOwnAddress)?;
        Ok(Self { site, name, network, own: *own, taken, directory, http_port })
    }
}

/// Whether no relay agent can have an address, or it is our own: what is sent there would come back or reach everyone.
fn is_hostile(giaddr: Ipv4Addr, own: &[Ipv4Addr]) -> bool {
    let first = giaddr.octets()[0];
    first == 0 || first >= 224 || giaddr.is_loopback() || own.contains(&giaddr)
}

/// Decides.
pub fn answer(request: &Request, here: &Here<'_>, leases: &mut LeaseTable, now: Timestamp) -> Answer {
    match request.kind {
        MessageType::Discover => Answer::Now(discover(request, here, leases, now)),
        MessageType::Request => requested(request, here, leases, now),
        MessageType::Release => released(request, here, leases, now),
        MessageType::Decline => declined(request, here, leases, now),
        _ => Answer::Now(informed(request, here)),
    }
}

fn discover(request: &Request, here: &Here<'_>, leases: &mut LeaseTable, now: Timestamp) -> Outcome {
    let mut notes = vec![asked(request)];
    let silence = |rule: String| Note { event: "silence", message: "got no answer".into(), rule: Some(rule) };
    let known = here.known(request);
    if let Err(rule) = here.admit(request, known.as_ref()) {
        notes.push(silence(rule));
        return Outcome::silence(Counted::IgnoredBySite, notes);
    }
    match leases.offer(&here.asking(request, now), request.requested) {
        Ok((address, rule)) => {
            let load = load(request, here);
            let rule = Some(format!("{rule}; {}", load.rule));
            notes.push(Note { event: "offer", message: format!("was offered {address}{}", load.in_words), rule });
            let reply = offer(request, here, known.as_ref(), address, load);
            Outcome { counted: Counted::Offered, reply: Some(reply), notes }
        }
        Err(full @ NoAddress::Exhausted { .. }) => {
            notes.push(silence(full.to_string()));
            Outcome::silence(Counted::PoolExhausted, notes)
        }
        Err(watching @ NoAddress::Watching) => {
            notes.push(silence(watching.to_string()));
            Outcome::silence(Counted::OnlyWatching, notes)
        }
        // A flood, or a machine that asks again in a moment: not worth keeping.
        Err(NoAddress::TooManyOffers { .. } | NoAddress::BeingWritten { .. }) => Outcome::silence(Counted::TooManyOffers, vec![]),
    }
}

fn requested(request: &Request, here: &Here<'_>, leases: &mut LeaseTable, now: Timestamp) -> Answer {
    let silence = |counted| Answer::Now(Outcome::silence(counted, vec![]));
    if request.server.is_some_and(|server| !here.is_own(server)) {
        return silence(Counted::NotForUs);
    }
    let Some(address) = request.requested.or(specified(request.ciaddr)) else { return silence(Counted::NotForUs) };
    let known = here.known(request);
    if here.admit(request, known.as_ref()).is_err() {
        return silence(Counted::IgnoredBySite);
    }
    let held = leases.held_by(here.name, request.mac, now).filter(|lease| lease.address == address);
    let on_disk = held.and_then(|lease| remaining_seconds(lease, now)).filter(|&left| left >= SHORTEST_PROMISE);
    match leases.request(&here.asking(request, now), address, request.host_name.clone()) {
        Requested::Grant(lease) => grant(request, here, known.as_ref(), lease, on_disk),
        Requested::Refuse(rule) => {
            let message = format!("asked for {address} as {} and was refused (NAK)", speaker_name(request.speaker));
            let notes = vec![Note { event: "nak", message, rule: Some(rule.clone()) }];
            Answer::Now(Outcome { counted: Counted::Refused, reply: Some(refusal(request, here, &rule)), notes })
        }
        Requested::Withhold(rule) => {
            let note = Note { event: "silence", message: format!("asked for {address} and got no answer"), rule: Some(rule) };
            // A running system that renews asks again and again, for as long as it is not answered.
            let notes = if request.ciaddr.is_unspecified() { vec![asked(request), note] } else { vec![] };
            Answer::Now(Outcome::silence(Counted::OnlyWatching, notes))
        }
        Requested::Silence(_) => silence(Counted::TooManyOffers),
    }
}

/// `on_disk` is what an earlier lease of the same address still promises, seconds.
fn grant(request: &Request, here: &Here<'_>, known: Option<&Known>, lease: Lease, on_disk: Option<u32>) -> Answer {
    let (address, granted) = (lease.address, here.network.lease_seconds);
    let load = load(request, here);
    // A running system renews for ever; that would fill the record of its boot with nothing new.
    let booting = request.ciaddr.is_unspecified();
    let notes = |event: &'static str, answer: String, rule: Option<String>| match booting {
        true => vec![asked(request), Note { event, message: answer, rule }],
        false => vec![],
    };
    let acknowledged = |counted, seconds, load: Load, rule| Outcome {
        counted,
        notes: notes("ack", format!("was given {address} for {seconds} seconds{}", load.in_words), rule),
        reply: Some(acknowledgement(request, here, known, address, seconds, load)),
    };
    let rule = load.rule.clone();
    let not_kept = match on_disk {
        Some(left) => acknowledged(
            Counted::AcknowledgedFromDisk,
            left.min(granted),
            load.clone(),
            Some("the store could not keep a longer lease: this much of the last one is on disk".into()),
        ),
        None => Outcome::silence(
            Counted::StoreUnavailable,
            notes("silence", format!("was not given {address}"), Some("the store could not keep the lease".into())),
        ),
    };
    let kept = acknowledged(Counted::Acknowledged, granted, load, Some(rule));
    Answer::Keep(Box::new(Promise { lease, kept, not_kept }))
}

fn released(request: &Request, here: &Here<'_>, leases: &LeaseTable, now: Timestamp) -> Answer {
    let ours = request.server.is_none_or(|server| here.is_own(server));
    let lease = ours.then(|| leases.release(here.name, request.mac, request.ciaddr, now)).flatten();
    give_up(lease, Counted::Released, "release", "gave back")
}

fn declined(request: &Request, here: &Here<'_>, leases: &LeaseTable, now: Timestamp) -> Answer {
    let ours = request.server.is_none_or(|server| here.is_own(server));
    let address = request.requested.filter(|_| ours);
    let lease = address.and_then(|address| leases.decline(here.name, request.mac, address, now));
    give_up(lease, Counted::Declined, "decline", "found in use by somebody else, and declined,")
}

fn give_up(lease: Option<Lease>, counted: Counted, event: &'static str, did: &str) -> Answer {
    let Some(lease) = lease else { return Answer::Now(Outcome::silence(Counted::NotForUs, vec![])) };
    let note = Note { event, message: format!("{did} {}", lease.address), rule: None };
    let (kept, not_kept) = (Outcome::silence(counted, vec![note]), Outcome::silence(Counted::StoreUnavailable, vec![]));
    Answer::Keep(Box::new(Promise { lease, kept, not_kept }))
}

/// RFC 2131, 4.3.5: settings, no lease.
fn informed(request: &Request, here: &Here<'_>) -> Outcome {
    let subnet = here.network.subnet;
    let asks_from_here = subnet.contains(&request.ciaddr)
        && ![subnet.network(), subnet.broadcast()].contains(&request.ciaddr)
        && !here.is_own(request.ciaddr);
    let known = here.known(request);
    if !asks_from_here {
        return Outcome::silence(Counted::NotForUs, vec![]);
    }
    if here.admit(request, known.as_ref()).is_err() {
        return Outcome::silence(Counted::IgnoredBySite, vec![]);
    }
    Outcome { counted: Counted::Informed, reply: Some(inform(request, here, known.as_ref())), notes: vec![] }
}

impl<'a> Here<'a> {
    fn asking(&self, request: &Request, now: Timestamp) -> Asking<'a> {
        Asking { site: self.site, network: self.name, mac: request.mac, taken: self.taken, now }
    }

    fn is_own(&self, address: Ipv4Addr) -> bool {
        address == self.own || self.taken.contains(&address)
    }

    fn known(&self, request: &Request) -> Option<Known> {
        self.directory.known(Some(request.mac), request.uuid)
    }

    /// The rule that forbids an answer, if one does.
    fn admit(&self, request: &Request, known: Option<&Known>) -> Result<(), String> {
        let verdict = boot_target(self.site, self.network, self.claimed(request), known);
        if verdict.target == BootTarget::Nothing { Err(verdict.rule) } else { Ok(()) }
    }

    /// What DHCP sees of a machine: never its serial number.
    pub(super) fn claimed(&self, request: &Request) -> Claimed<'static> {
        Claimed { mac: Some(request.mac), uuid: request.uuid, serial: None }
    }
}

fn asked(request: &Request) -> Note {
    let who = speaker_name(request.speaker);
    let architecture = request.architecture.map_or_else(String::new, |arch| format!(", architecture {arch}"));
    let relay = if request.is_relayed() { format!(", through the relay agent {}", request.giaddr) } else { String::new() };
    let event = if request.kind == MessageType::Request { "request" } else { "discover" };
    let what = match request.requested {
        Some(address) if event == "request" => address.to_string(),
        _ => "an address".to_owned(),
    };
    let message = format!("asked for {what} as {who}{architecture}{relay}");
    Note { event, message, rule: Some(request.speaker_rule.to_owned()) }
}

fn speaker_name(speaker: Speaker) -> &'static str {
    match speaker {
        Speaker::Pxe => "PXE firmware",
        Speaker::HttpBoot => "UEFI HTTP boot firmware",
        Speaker::Ipxe => "iPXE",
        Speaker::System => "a running system",
    }
}

fn specified(address: Ipv4Addr) -> Option<Ipv4Addr> {
    (!address.is_unspecified()).then_some(address)
}
