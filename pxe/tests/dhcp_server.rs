//! The server on a real socket of the loopback interface, at a port that is free.
#![allow(clippy::unwrap_used)]

mod dhcp_support;

use dhcp_support::{DISCOVER, HandClock, Memory, Nobody, Packet, REQUEST, mac, site};
use dhcproto::v4::MessageType;
use domain::MacAddr;
use domain::site::Site;
use pxe::boots::Boots;
use pxe::dhcp::packet::{Reply, code};
use pxe::dhcp::{BindError, Counts, Server, Settings};
use pxe::leases::LeaseBook;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Nothing here takes this long unless it is broken.
const LIMIT: Duration = Duration::from_secs(20);

struct Running {
    port: u16,
    store: Arc<Memory>,
    clock: Arc<HandClock>,
    counts: Arc<Counts>,
    site: watch::Sender<Arc<Site>>,
    cancel: CancellationToken,
    ended: JoinHandle<Result<(), pxe::dhcp::ServeError>>,
}

/// 127.0.0.0/8 on `lo`.
fn loopback_site() -> Site {
    let mut site = site("lo");
    let network = site.networks.get_mut("n").unwrap();
    (network.subnet, network.pool) = ("127.0.0.0/8".parse().unwrap(), "127.7.0.0-127.7.255.255".parse().unwrap());
    site
}

async fn settings(port: u16, store: &Arc<Memory>) -> (Settings, Arc<HandClock>, Arc<Counts>, watch::Sender<Arc<Site>>) {
    let (clock, counts) = (Arc::new(HandClock::default()), Arc::new(Counts::default()));
    let (sender, site) = watch::channel(Arc::new(loopback_site()));
    let settings = Settings {
        interface: "lo".into(),
        address: std::net::Ipv4Addr::LOCALHOST,
        port,
        http_port: 8080,
        site,
        directory: Arc::new(Nobody),
        boots: Arc::new(Boots::restore(store.clone(), clock.clone()).await.unwrap()),
        leases: Arc::new(LeaseBook::restore(store.clone(), domain::clock::Clock::now(&*clock)).await.unwrap()),
        clock: clock.clone(),
        counts: counts.clone(),
    };
    (settings, clock, counts, sender)
}

async fn start(store: Arc<Memory>) -> Running {
    let (settings, clock, counts, site) = settings(0, &store).await;
    let server = Server::bind(settings).unwrap();
    let (port, cancel) = (server.port(), CancellationToken::new());
    let ended = tokio::spawn(server.run(cancel.clone()));
    Running { port, store, clock, counts, site, cancel, ended }
}

impl Running {
    fn count(&self, name: &str) -> u64 {
        self.counts.pairs().into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Waits now and then until all that was sent was received, so that the socket's buffer loses none.
    async fn keeps_up(&self, sent: u64) {
        if sent.is_multiple_of(50) {
            self.until("all that was sent was received", |r| r.count("received") >= sent).await;
        }
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        timeout(LIMIT, async {
            while !holds(self) {
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("never: {what}; {:?}", self.counts.pairs()));
    }
}

struct Client {
    socket: UdpSocket,
    port: u16,
}

impl Client {
    async fn of(running: &Running) -> Self {
        Self { socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(), port: running.port }
    }

    async fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, (Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
    }

    async fn hear(&self) -> Reply {
        let mut buffer = [0; 2048];
        let length = timeout(LIMIT, self.socket.recv(&mut buffer)).await.expect("an answer in time").unwrap();
        Reply::parse(&buffer[..length]).unwrap()
    }

    async fn ask(&self, packet: Packet) -> Reply {
        self.send(&packet.bytes()).await;
        self.hear().await
    }

    async fn lease(&self, mac: MacAddr) -> Reply {
        let offer = self.ask(Packet::new(DISCOVER, mac)).await;
        self.ask(select(mac, offer.yiaddr)).await
    }
}

fn select(mac: MacAddr, address: Ipv4Addr) -> Packet {
    Packet::new(REQUEST, mac).address(50, address).address(54, Ipv4Addr::LOCALHOST)
}

fn seconds(reply: &Reply) -> u32 {
    u32::from_be_bytes(reply.option(code::LEASE_TIME).unwrap().try_into().unwrap())
}

#[tokio::test]
async fn a_machine_gets_a_lease_that_is_on_disk_and_its_story_is_told() {
    let running = start(Arc::default()).await;
    let client = Client::of(&running).await;
    let offer = client.ask(Packet::new(DISCOVER, mac(1)).option(77, "iPXE")).await;
    assert_eq!((offer.kind, offer.file.as_str()), (MessageType::Offer, "http://127.0.0.1:8080/boot.ipxe"));
    let ack = client.ask(select(mac(1), offer.yiaddr).option(77, "iPXE").option(12, "n1\n")).await;
    assert_eq!((ack.kind, ack.yiaddr), (MessageType::Ack, offer.yiaddr));
    let kept = running.store.leases.lock().unwrap().clone();
    assert_eq!((kept.len(), kept[0].address, kept[0].host_name.as_deref()), (1, ack.yiaddr, Some("n1")));
    let events: Vec<_> = running.store.told().iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(events, ["discover", "offer", "request", "ack"]);
    let boots: std::collections::BTreeSet<_> = running.store.steps.lock().unwrap().iter().map(|step| step.boot).collect();
    assert_eq!(boots.len(), 1, "one boot");
}

#[tokio::test]
async fn clients_wait_for_the_disk_side_by_side_and_the_rest_is_answered_meanwhile() {
    let running = start(Arc::default()).await;
    let clients: Vec<_> = clients(16, &running).await;
    let mut offers = vec![];
    for (client, last) in clients.iter().zip(1..) {
        offers.push(client.ask(Packet::new(DISCOVER, mac(last))).await.yiaddr);
    }
    running.store.held_up.send_replace(true);
    for ((client, last), address) in clients.iter().zip(1..).zip(&offers) {
        client.send(&select(mac(last), *address).bytes()).await;
    }
    running.until("several leases were being kept at once", |r| r.store.most_at_once.load(Ordering::SeqCst) == 16).await;
    let other = Client::of(&running).await;
    assert_eq!(other.ask(Packet::new(DISCOVER, mac(99))).await.kind, MessageType::Offer);
    assert_eq!(running.count("acknowledged"), 0, "nothing is promised that is not on disk");
    running.store.held_up.send_replace(false);
    for (client, address) in clients.iter().zip(offers) {
        assert_eq!(client.hear().await.yiaddr, address);
    }
}

async fn clients(number: usize, running: &Running) -> Vec<Client> {
    let mut clients = vec![];
    for _ in 0..number {
        clients.push(Client::of(running).await);
    }
    clients
}

#[tokio::test]
async fn with_a_full_disk_holders_go_on_within_their_time_and_new_ones_wait() {
    let running = start(Arc::default()).await;
    let client = Client::of(&running).await;
    let held = client.lease(mac(1)).await.yiaddr;
    let offered = client.ask(Packet::new(DISCOVER, mac(2))).await.yiaddr;
    running.store.refuses.store(true, Ordering::SeqCst);
    running.clock.forward(30);
    client.send(&select(mac(2), offered).bytes()).await;
    running.until("the new one was turned away", |r| r.count("store_unavailable") == 1).await;
    let renewed = client.ask(Packet::new(REQUEST, mac(1)).ciaddr(held)).await;
    assert_eq!((renewed.kind, seconds(&renewed)), (MessageType::Ack, 3570));
    running.store.refuses.store(false, Ordering::SeqCst);
    assert_eq!(client.ask(select(mac(2), offered)).await.yiaddr, offered);
}

#[tokio::test]
async fn a_store_that_hangs_costs_one_client_its_answer_and_no_more() {
    let running = start(Arc::default()).await;
    let client = Client::of(&running).await;
    let held = client.lease(mac(1)).await.yiaddr;
    running.store.held_up.send_replace(true);
    let renewed = client.ask(Packet::new(REQUEST, mac(1)).ciaddr(held)).await;
    assert_eq!((renewed.kind, seconds(&renewed)), (MessageType::Ack, 3600), "what is on disk is promised");
    assert_eq!(running.count("acknowledged_from_disk"), 1);
}

#[tokio::test]
async fn more_than_can_wait_for_the_disk_is_dropped_and_counted() {
    let running = start(Arc::default()).await;
    let client = Client::of(&running).await;
    running.store.held_up.send_replace(true);
    for n in 0..1100u16 {
        let [high, low] = n.to_be_bytes();
        let packet = Packet::new(REQUEST, MacAddr([2, 0, 0, 0, high, low])).address(50, Ipv4Addr::new(127, 7, high, low));
        client.send(&packet.bytes()).await;
        running.keeps_up(u64::from(n) + 1).await;
    }
    running.until("what is too much was dropped", |r| r.count("overloaded") > 0).await;
    assert_eq!(running.count("acknowledged"), 0);
    running.store.held_up.send_replace(false);
    running.until("those who waited were answered", |r| r.count("acknowledged") + r.count("store_unavailable") >= 1024).await;
    let next = Client::of(&running).await;
    assert_eq!(next.lease(mac(1)).await.kind, MessageType::Ack);
}

#[tokio::test]
async fn rubbish_is_counted_and_the_next_client_is_served() {
    let running = start(Arc::default()).await;
    let client = Client::of(&running).await;
    let mut noise = 1u32;
    for (sent, length) in (1..).zip((0..400).chain([2048, 4000])) {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .take(length)
        .collect();
        client.send(&bytes).await;
        running.keeps_up(sent).await;
    }
    client.send(&Packet::new(DISCOVER, mac(1)).giaddr(Ipv4Addr::LOCALHOST).bytes()).await;
    assert_eq!(client.lease(mac(1)).await.kind, MessageType::Ack);
    assert_eq!((running.count("malformed"), running.count("hostile_relay")), (402, 1));
}

#[tokio::test]
async fn a_new_site_holds_from_the_next_packet_on() {
    let running = start(Arc::default()).await;
    let client = Client::of(&running).await;
    client.ask(Packet::new(DISCOVER, mac(1))).await;
    let mut site = loopback_site();
    site.networks.get_mut("n").unwrap().pool = "127.9.0.1-127.9.0.9".parse().unwrap();
    running.site.send(Arc::new(site)).unwrap();
    assert_eq!(client.ask(Packet::new(DISCOVER, mac(1))).await.yiaddr, Ipv4Addr::new(127, 9, 0, 1));
}

#[tokio::test]
async fn a_taken_port_is_refused_with_the_name_of_its_holder() {
    let running = start(Arc::default()).await;
    let store = Arc::default();
    let (settings, ..) = settings(running.port, &store).await;
    let Err(refused) = Server::bind(settings) else { panic!("two servers on one port") };
    assert!(matches!(refused, BindError::Taken { port, .. } if port == running.port), "{refused}");
}

#[tokio::test]
async fn cancelled_it_ends_after_those_who_wait_for_the_disk() {
    let running = start(Arc::default()).await;
    let client = Client::of(&running).await;
    let offered = client.ask(Packet::new(DISCOVER, mac(1))).await.yiaddr;
    running.store.held_up.send_replace(true);
    client.send(&select(mac(1), offered).bytes()).await;
    running.until("it waits for the disk", |r| r.store.most_at_once.load(Ordering::SeqCst) == 1).await;
    running.cancel.cancel();
    running.store.held_up.send_replace(false);
    assert_eq!(client.hear().await.yiaddr, offered);
    timeout(LIMIT, running.ended).await.unwrap().unwrap().unwrap();
}
