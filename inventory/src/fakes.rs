//! A hall for tests: the store of [`crate::fake_store`], boots that keep the ticket's rules, a clock that is set, and machines.

#![allow(clippy::unwrap_used)]

use crate::fake_store::FakeStore;
use crate::{AgentPeer, Inventory, agent_routes};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::boot::{Asker, Boot, Speaker};
use domain::clock::Clock;
use domain::document::Document;
use domain::node::Node;
use domain::ports::{Boots, ClaimError, NodeStore, StoreError};
use domain::site::{DeclaredNode, Site};
use domain::ticket::{ClaimRefused, KeyFingerprint, Ticket};
use domain::{BootId, MacAddr, NodeId, Timestamp};
use http_body_util::BodyExt;
use inventory_wire::Accepted;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tower::ServiceExt;
use uuid::Uuid;

/// Boot, event, message, rule.
pub(crate) type Note = (BootId, String, String, Option<String>);

#[derive(Default)]
pub(crate) struct FakeBoots {
    boots: Mutex<HashMap<Ticket, Boot>>,
    tickets: Mutex<HashMap<BootId, Ticket>>,
    pub(crate) notes: Mutex<Vec<Note>>,
    failing: AtomicBool,
}

impl FakeBoots {
    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    pub(crate) fn get(&self, ticket: &Ticket) -> Boot {
        self.boots.lock().unwrap()[ticket].clone()
    }

    /// What a restart of the service forgets: it is noted soon, not at once.
    pub(crate) fn forget_nodes(&self) {
        self.boots.lock().unwrap().values_mut().for_each(|boot| boot.node = None);
    }
}

#[async_trait]
impl Boots for FakeBoots {
    async fn claim(&self, ticket: &Ticket, from: Ipv4Addr, key: &KeyFingerprint) -> Result<Boot, ClaimError> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Busy { attempted: "keep a boot" }.into());
        }
        let mut boots = self.boots.lock().unwrap();
        let boot = boots.get_mut(ticket).ok_or(ClaimRefused::Unknown)?;
        domain::ticket::claim(boot, from, key)?;
        Ok(boot.clone())
    }
    fn reported(&self, boot: BootId, _: MacAddr, node: NodeId) {
        let ticket = self.tickets.lock().unwrap()[&boot].clone();
        self.boots.lock().unwrap().get_mut(&ticket).unwrap().node = Some(node);
    }
    fn note(&self, boot: BootId, event: &str, message: String, rule: Option<String>) {
        self.notes.lock().unwrap().push((boot, event.into(), message, rule));
    }
}

pub(crate) struct FakeClock(AtomicI64);

impl FakeClock {
    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// What a machine says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) uuid: Uuid,
    pub(crate) serial: Option<String>,
    pub(crate) mac: MacAddr,
    pub(crate) disk: String,
    pub(crate) address: Ipv4Addr,
}

pub(crate) fn machine(n: u16) -> Machine {
    let [high, low] = n.to_be_bytes();
    Machine {
        uuid: Uuid::from_u128(0x6d1f_0000 << 64 | u128::from(n)),
        serial: Some(format!("VM-{n}")),
        mac: MacAddr([0x52, 0x54, 0, 0, high, low]),
        disk: format!("DISK-{n}"),
        address: Ipv4Addr::new(10, 20, high, low),
    }
}

pub(crate) fn declared(name: &str, serial: &str) -> DeclaredNode {
    DeclaredNode { name: name.into(), serial: Some(serial.into()), ..DeclaredNode::default() }
}

/// An agent in one boot of a machine.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) boot: BootId,
    pub(crate) ticket: Ticket,
    pub(crate) peer: AgentPeer,
}

impl Agent {
    pub(crate) fn request(&self, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
        let request = Request::builder().method(method).uri(path).header("overture-ticket", self.ticket.as_str());
        request.extension(self.peer.clone()).body(body.into()).unwrap()
    }

    /// The same with another key.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { peer: AgentPeer { key: KeyFingerprint(key.into()), ..self.peer.clone() }, ..self.clone() }
    }

    pub(crate) fn report_of(&self, machine: &Machine) -> Value {
        json!({ "report": 1, "boot": self.boot.to_string(), "gaps": [], "facts": {
            "system": { "manufacturer": "QEMU", "product": "PC", "serial": machine.serial, "uuid": machine.uuid.to_string() },
            "cpu": { "threads": 2 }, "memory": { "usable_bytes": 512u64 << 20 },
            "disks": [{ "name": "vda", "size_bytes": 1u64 << 30, "serial": machine.disk }],
            "nics": [{ "name": "eth0", "mac": machine.mac.to_string() }],
        }})
    }
}

pub(crate) trait NodeOf {
    fn id(&self) -> NodeId;
}

impl NodeOf for Accepted {
    fn id(&self) -> NodeId {
        self.node.parse().unwrap()
    }
}

pub(crate) struct Hall {
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) boots: Arc<FakeBoots>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) router: Router,
    site: watch::Sender<Arc<Site>>,
    agents: Mutex<HashMap<MacAddr, Agent>>,
}

impl Hall {
    pub(crate) async fn new() -> Self {
        let (store, boots) = (Arc::new(FakeStore::default()), Arc::new(FakeBoots::default()));
        let clock = Arc::new(FakeClock(AtomicI64::new(1_800_000_000)));
        let (site, seen) = watch::channel(Arc::default());
        let inventory = Arc::new(Inventory::restore(store.clone(), boots.clone(), seen, clock.clone()).await.unwrap());
        let router = agent_routes(inventory.clone());
        Self { inventory, store, boots, clock, router, site, agents: Mutex::default() }
    }

    pub(crate) async fn restart(&mut self) {
        self.restart_with_room_for(crate::MOST_NODES).await;
    }

    pub(crate) async fn restart_with_room_for(&mut self, nodes: usize) {
        let restored = Inventory::restore(self.store.clone(), self.boots.clone(), self.site.subscribe(), self.clock.clone());
        self.inventory = Arc::new(restored.await.unwrap().with_room_for(nodes));
        self.router = agent_routes(self.inventory.clone());
    }

    pub(crate) fn declare(&self, nodes: Vec<DeclaredNode>) {
        self.site.send_replace(Arc::new(Site { nodes, ..Site::default() }));
    }

    /// Switches a machine on.
    pub(crate) fn start(&self, machine: &Machine) -> Agent {
        let id = BootId(Uuid::now_v7());
        let asker = Asker { mac: machine.mac, xid: 1, speaker: Speaker::Ipxe, architecture: None, uuid: None };
        let mut boot = Boot::begin(id, "n", &asker, self.clock.now());
        let ticket = Ticket::from_random(*Uuid::new_v4().as_bytes());
        domain::ticket::issue(&mut boot, machine.address, Some(machine.address), ticket.clone()).unwrap();
        self.boots.boots.lock().unwrap().insert(ticket.clone(), boot);
        self.boots.tickets.lock().unwrap().insert(id, ticket.clone());
        let peer = AgentPeer { address: (machine.address, 40_000).into(), key: KeyFingerprint(format!("key of {id}")) };
        let agent = Agent { boot: id, ticket, peer };
        self.agents.lock().unwrap().insert(machine.mac, agent.clone());
        agent
    }

    /// The machine's boot under way, begun if there is none.
    pub(crate) fn agent(&self, machine: &Machine) -> Agent {
        let running = self.agents.lock().unwrap().get(&machine.mac).cloned();
        running.unwrap_or_else(|| self.start(machine))
    }

    /// Status and body; what is refused must be a problem.
    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status}");
        }
        (status, if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() })
    }

    /// Sends a request that is refused with this status and kind of problem.
    pub(crate) async fn refused(&self, request: Request<Body>, status: u16, word: &str) -> Value {
        let (got, problem) = self.send(request).await;
        let kind = problem["type"].as_str().unwrap_or_default().trim_start_matches("urn:overture:problem:");
        assert_eq!((got.as_u16(), kind), (status, word), "{problem}");
        assert_eq!(problem["status"], status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }

    pub(crate) async fn report(&self, agent: &Agent, report: &Value) -> (StatusCode, Value) {
        self.send(agent.request("POST", "/report", serde_json::to_vec(report).unwrap())).await
    }

    pub(crate) async fn report_ok(&self, machine: &Machine) -> Accepted {
        let agent = self.agent(machine);
        let (status, answer) = self.report(&agent, &agent.report_of(machine)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        serde_json::from_value(answer).unwrap()
    }

    pub(crate) async fn node(&self, id: NodeId) -> Node {
        self.store.node(id).await.unwrap().unwrap()
    }

    /// The node's document as it is now, with its readings.
    pub(crate) async fn document(&self, id: NodeId) -> Document {
        let now = self.store.snapshot(id, None).await.unwrap().unwrap();
        now.document.with_readings(&now.readings)
    }

    pub(crate) fn counted(&self, reason: &str) -> u64 {
        self.inventory.counters().into_iter().find(|(word, _)| *word == reason).unwrap().1
    }
}
