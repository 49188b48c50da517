//! Many machines at once, through one network card: how fast, how late, how often repeated.

use super::client::{Client, ClientError, Lease, fresh_xid};
use super::machine::Machine;
use super::packet::Kind;
use super::reply::Reply;
use crate::names::Mac;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// What to do.
#[derive(Debug, Clone)]
pub struct Load {
    /// Who asks. Where there are more exchanges than machines, the first ask again.
    pub machines: Vec<Machine>,
    /// How many whole exchanges.
    pub exchanges: usize,
    /// How many machines are under way at once.
    pub in_flight: usize,
    /// After what silence a message is repeated.
    pub repeat_after: Duration,
    /// How often a message is sent before the machine gives up.
    pub tries: u32,
    /// When everything ends, done or not.
    pub limit: Duration,
}

impl Load {
    /// One exchange for each machine, repeated after a second, five times at most, for a minute.
    pub fn once(machines: Vec<Machine>, in_flight: usize) -> Self {
        let exchanges = machines.len();
        Self { machines, exchanges, in_flight, repeat_after: Duration::from_secs(1), tries: 5, limit: Duration::from_secs(60) }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct LoadResult {
    /// Exchanges that ended with an ACK.
    pub completed: usize,
    /// Exchanges that were given up, or not done when the time was over.
    pub failed: usize,
    /// NAKs; the machine began anew.
    pub naks: usize,
    /// Messages that were sent again because nobody had answered.
    pub retransmissions: usize,
    /// Answers that were not well-formed; ignored.
    pub malformed: usize,
    /// From the first message to the last answer.
    pub elapsed: Duration,
    /// From first DISCOVER to ACK, of every completed exchange, ascending.
    pub latencies: Vec<Duration>,
    /// Who got which address last.
    pub addresses: BTreeMap<Mac, Ipv4Addr>,
}

impl LoadResult {
    /// Completed exchanges a second.
    pub fn rate(&self) -> f64 {
        self.completed as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// The latency that this part of the exchanges did not exceed: 0.5 is the median.
    pub fn latency(&self, part: f64) -> Option<Duration> {
        let last = self.latencies.len().checked_sub(1)?;
        self.latencies.get((last as f64 * part).round() as usize).copied()
    }

    /// Addresses that two machines hold.
    pub fn given_twice(&self) -> Vec<Ipv4Addr> {
        let mut seen: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
        for address in self.addresses.values() {
            *seen.entry(*address).or_default() += 1;
        }
        seen.into_iter().filter(|(_, holders)| *holders > 1).map(|(address, _)| address).collect()
    }
}

/// One machine under way.
struct Exchange {
    machine: usize,
    began: Instant,
    /// The offer taken up: address and server.
    offered: Option<(Ipv4Addr, Ipv4Addr)>,
    /// How often the present message was sent.
    sent: u32,
}

struct Run<'a> {
    client: &'a mut Client,
    load: &'a Load,
    waiting: VecDeque<usize>,
    under_way: HashMap<u32, Exchange>,
    /// When to look after which exchange, and which message of it, ascending, because all wait equally long.
    deadlines: VecDeque<(Instant, u32, bool, u32)>,
    started: usize,
    next_xid: u32,
    result: LoadResult,
}

impl Client {
    /// Runs a load; malformed answers and silence are counted, only the socket can fail.
    pub fn load(&mut self, load: &Load) -> Result<LoadResult, ClientError> {
        let began = Instant::now();
        let mut run = Run {
            client: self,
            load,
            waiting: (0..load.machines.len()).collect(),
            under_way: HashMap::new(),
            deadlines: VecDeque::new(),
            started: 0,
            next_xid: fresh_xid(),
            result: LoadResult::default(),
        };
        let mut last = began;
        while began.elapsed() < load.limit {
            run.start_more()?;
            if run.under_way.is_empty() {
                break;
            }
            let until = run.deadlines.front().map_or(began + load.limit, |first| first.0);
            if let Some(heard) = run.client.hear(until)? {
                last = Instant::now();
                run.hear(&heard.bytes, last)?;
            }
            run.repeat()?;
        }
        let mut result = run.result;
        result.failed = load.exchanges - result.completed;
        result.elapsed = last - began;
        result.latencies.sort_unstable();
        Ok(result)
    }
}

impl Run<'_> {
    fn start_more(&mut self) -> Result<(), ClientError> {
        while self.under_way.len() < self.load.in_flight
            && self.started < self.load.exchanges
            && let Some(machine) = self.waiting.pop_front()
        {
            self.started += 1;
            self.begin(machine, Instant::now())?;
        }
        Ok(())
    }

    fn begin(&mut self, machine: usize, began: Instant) -> Result<(), ClientError> {
        self.next_xid = self.next_xid.wrapping_add(1);
        self.under_way.insert(self.next_xid, Exchange { machine, began, offered: None, sent: 0 });
        self.send(self.next_xid)
    }

    fn send(&mut self, xid: u32) -> Result<(), ClientError> {
        let Some(exchange) = self.under_way.get_mut(&xid) else { return Ok(()) };
        exchange.sent += 1;
        let machine = &self.load.machines[exchange.machine];
        let secs = exchange.began.elapsed().as_secs() as u16;
        let packet = match exchange.offered {
            None => machine.discover(xid, secs),
            Some((address, server)) => machine.request(xid, secs, address, server),
        };
        self.deadlines.push_back((Instant::now() + self.load.repeat_after, xid, exchange.offered.is_some(), exchange.sent));
        self.client.send(&packet)
    }

    fn hear(&mut self, bytes: &[u8], now: Instant) -> Result<(), ClientError> {
        let Ok(reply) = Reply::parse(bytes) else {
            self.result.malformed += 1;
            return Ok(());
        };
        let Some(exchange) = self.under_way.get_mut(&reply.xid) else { return Ok(()) };
        let mac = self.load.machines[exchange.machine].mac;
        if reply.mac != mac {
            return Ok(());
        }
        match (reply.kind, exchange.offered) {
            (Kind::Offer, None) => {
                exchange.offered = reply.server().map(|server| (reply.yiaddr, server));
                exchange.sent = 0;
                self.send(reply.xid)
            }
            (Kind::Ack, Some(_)) => {
                self.result.completed += 1;
                self.result.latencies.push(now - exchange.began);
                if let Some(lease) = Lease::of(&reply) {
                    self.result.addresses.insert(mac, lease.address);
                }
                self.finish(reply.xid);
                Ok(())
            }
            (Kind::Nak, Some(_)) => {
                self.result.naks += 1;
                match self.under_way.remove(&reply.xid) {
                    Some(Exchange { machine, began, .. }) => self.begin(machine, began),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn repeat(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        while let Some(&(when, xid, offered, sent)) = self.deadlines.front()
            && when <= now
        {
            self.deadlines.pop_front();
            let Some(exchange) = self.under_way.get(&xid) else { continue };
            if (exchange.offered.is_some(), exchange.sent) != (offered, sent) {
                continue;
            }
            if exchange.sent >= self.load.tries {
                self.finish(xid);
            } else {
                self.result.retransmissions += 1;
                self.send(xid)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, xid: u32) {
        if let Some(exchange) = self.under_way.remove(&xid) {
            self.waiting.push_back(exchange.machine);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_and_doubles_are_counted() {
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let result = LoadResult {
            completed: 100,
            elapsed: Duration::from_secs(2),
            latencies: (1..=100).map(Duration::from_millis).collect(),
            addresses: BTreeMap::from([(Mac::numbered(1), address), (Mac::numbered(2), address), (Mac::numbered(3), Ipv4Addr::LOCALHOST)]),
            ..LoadResult::default()
        };
        assert_eq!(result.rate(), 50.0);
        assert_eq!(result.latency(0.99), Some(Duration::from_millis(99)));
        assert_eq!(result.given_twice(), [address]);
        assert_eq!(LoadResult::default().latency(0.5), None);
    }
}
