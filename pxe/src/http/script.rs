//! The script of one machine.

use super::{BootHttp, Serving, plain, script_response};
use crate::boots::TicketError;
use crate::counts::one;
use crate::files::{AUTHORITY, KERNEL, RAMDISK};
use crate::ipxe::ask::Ask;
use crate::ipxe::{ForAgent, Machine, Script};
use axum::http::StatusCode;
use axum::response::Response;
use domain::MacAddr;
use domain::admission::{BootTarget, Claimed, Verdict, boot_target};
use domain::node::Known;
use domain::site::{Network, Site};
use domain::ticket::NoTicket;
use domain::timeline::{Protocol, printable};
use std::net::Ipv4Addr;

impl Serving {
    pub(super) async fn node_script(&self, peer: Ipv4Addr, query: &str) -> Response {
        let http = &self.http;
        one(&http.counts.scripts);
        let ask = match Ask::parse(query) {
            Ok(ask) => ask,
            Err(bad) => {
                one(&http.counts.malformed_asks);
                http.note_at(peer, "refused", "asked for its boot script in a form that cannot be read".into(), None);
                return plain(StatusCode::BAD_REQUEST, &printable(&bad.to_string(), 160));
            }
        };
        let site = http.site.borrow().clone();
        let Some((name, network)) = http.network_of(&site, peer) else {
            one(&http.counts.strangers);
            let why = format!("the address {peer} belongs to no network of the site");
            return self.refuse(
                &ask,
                &why,
                "correct the subnets of the site, or the cable of this machine",
                "the site has no such network",
            );
        };
        let node = http.directory.known(Some(ask.mac), ask.uuid);
        let verdict = verdict(&site, network, &ask, node.as_ref());
        http.note(ask.mac, "script", asked_in_words(&ask, peer), Some(verdict.rule.clone()));
        let rule = verdict.rule.as_str();
        match verdict.target {
            BootTarget::Discovery => self.discovery(&ask, peer, name, rule).await,
            BootTarget::LocalDisk => self.script(&ask, Script::LocalDisk { rule }),
            BootTarget::Nothing => self.script(&ask, Script::Nothing { rule }),
        }
    }

    async fn discovery(&self, ask: &Ask, peer: Ipv4Addr, network: &str, rule: &str) -> Response {
        let http = &self.http;
        if !(http.files.has(KERNEL).await && http.files.has(RAMDISK).await) {
            one(&http.counts.no_ramdisk);
            let message = "told to wait: the discovery ramdisk is missing, run `overture ramdisk build`";
            http.note(ask.mac, "refused", message.into(), Some(rule.to_owned()));
            return self.script(ask, Script::NoRamdisk { rule });
        }
        let held = http.leases.table().held_by(network, ask.mac, http.clock.now()).map(|lease| lease.address);
        let (boot, ticket) = match http.boots.ticket(ask.mac, peer, held).await {
            Ok(given) => given,
            Err(refused) => return self.no_ticket(ask, peer, &refused),
        };
        one(&http.counts.tickets);
        http.note(ask.mac, "ticket", format!("{peer} was given this boot's ticket and the discovery ramdisk"), Some(rule.to_owned()));
        let (url, ca) = (http.here.agents_url(), http.here.authority_url());
        let agent = ForAgent { url: &url, ca: &ca, pin: &http.here.pin, ticket: &ticket, boot: boot.id };
        self.script(ask, Script::Discover { rule, agent })
    }

    fn no_ticket(&self, ask: &Ask, peer: Ipv4Addr, refused: &TicketError) -> Response {
        one(&self.http.counts.tickets_refused);
        let why = match std::error::Error::source(refused) {
            Some(source) => format!("{refused}: {source}"),
            None => refused.to_string(),
        };
        self.warn(&format!("{peer} asked for the ticket of {} and was refused: {why}", ask.mac));
        self.refuse(ask, &refused.to_string(), mend(refused), &why)
    }

    fn refuse(&self, ask: &Ask, why: &str, mend: &str, rule: &str) -> Response {
        self.http.note(ask.mac, "refused", format!("got no boot script: {why}"), Some(rule.to_owned()));
        self.script(ask, Script::Refused { why, mend })
    }

    fn script(&self, ask: &Ask, script: Script<'_>) -> Response {
        let machine = Machine { mac: ask.mac, serial: ask.serial.as_deref() };
        match self.scripts.render(machine, script) {
            Ok(text) => script_response(text.into()),
            Err(error) => {
                tracing::error!(node.mac = %ask.mac, "a boot script could not be written, please report this: {error}");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "the boot script could not be written; see the log of overture")
            }
        }
    }
}

impl BootHttp {
    /// The network of a lease, or else the one that has the address: a machine may hold an address from a longer lease
    /// than the service remembers.
    fn network_of<'s>(&self, site: &'s Site, peer: Ipv4Addr) -> Option<(&'s str, &'s Network)> {
        let leased = self.leases.holder_of(peer, self.clock.now()).map(|lease| lease.network);
        let by_lease = leased.and_then(|name| site.networks.get_key_value(&name));
        let (name, network) = by_lease.or_else(|| site.networks.iter().find(|(_, network)| network.subnet.contains(&peer)))?;
        Some((name, network))
    }

    fn note(&self, mac: MacAddr, event: &str, message: String, rule: Option<String>) {
        self.boots.note_for(mac, Protocol::Http, event, message, rule);
    }
}

impl super::Here {
    fn agents_url(&self) -> String {
        format!("https://{}:{}", self.address, self.agents_port)
    }

    fn authority_url(&self) -> String {
        match self.http_port {
            80 => format!("http://{}/boot/{AUTHORITY}", self.address),
            port => format!("http://{}:{port}/boot/{AUTHORITY}", self.address),
        }
    }
}

fn verdict(site: &Site, network: &Network, ask: &Ask, node: Option<&Known>) -> Verdict {
    let claimed = Claimed { mac: Some(ask.mac), uuid: ask.uuid, serial: ask.serial.as_deref() };
    boot_target(site, network, claimed, node)
}

fn asked_in_words(ask: &Ask, peer: Ipv4Addr) -> String {
    let serial = ask.serial.as_deref().map_or_else(|| "no serial".into(), |serial| format!("serial {}", printable(serial, 64)));
    let built: Vec<String> = [&ask.arch, &ask.platform].into_iter().flatten().map(|text| printable(text, 16)).collect();
    let built = if built.is_empty() { String::new() } else { format!(" (iPXE for {})", built.join(", ")) };
    format!("asked for its boot script from {peer} with {serial}{built}")
}

/// What a person in front of the machine can do.
fn mend(refused: &TicketError) -> &'static str {
    match refused {
        TicketError::NoBoot => "restart this machine. If this comes again, another DHCP server answers on this network",
        TicketError::Refused(NoTicket::NotItsAddress { .. }) => {
            "restart this machine. If this comes again, two machines share one MAC address, or another DHCP server answers"
        }
        TicketError::Refused(NoTicket::SecondReader { .. }) => {
            "restart this machine. If this comes again, another machine pretends to be this one"
        }
        TicketError::Refused(NoTicket::Revoked(_)) => "find out who else claimed to be this machine, then restart it",
        TicketError::Store(_) => "the service could not write to its store, its log says why",
    }
}
