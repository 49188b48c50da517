//! Another process has the database locked.

use crate::support::machine::{client, machine, power_on};
use crate::support::{Appliance, SERVER, eventually, opened};
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::time::{Duration, Instant};
use tests_sim::dhcp::{Client, Kind, Timing};

/// The lock that SQLite's writers take in WAL mode: a byte of the file `-shm` (<https://www.sqlite.org/walformat.html>, 2.3.1).
const WRITE_LOCK: i64 = 120;

/// The lock as another writer would hold it; given back when dropped, because closing the file does that.
struct Locked(#[allow(dead_code)] File);

fn lock(appliance: &Appliance) -> Locked {
    let file = opened(&appliance.state().join("overture.db-shm"));
    let exclusive = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as i16,
        l_whence: nix::libc::SEEK_SET as i16,
        l_start: WRITE_LOCK,
        l_len: 1,
        l_pid: 0,
    };
    eventually("the lock is free for a moment", || fcntl(&file, FcntlArg::F_SETLK(&exclusive)).is_ok());
    Locked(file)
}

/// A client that waits as long as firmware does.
fn patient() -> Client {
    client().with_timing(Timing { first: Duration::from_secs(4), tries: 2 })
}

#[test]
fn while_the_store_is_locked_renewals_are_answered_and_no_write_is_lost() {
    let mut appliance = Appliance::start();
    let (known, lease) = appliance.inside(|| {
        let known = machine(50);
        let lease = client().lease(&known).unwrap();
        (known, lease)
    });
    let running = appliance.inside(|| power_on(51));
    assert_eq!(appliance.inside(|| running.agent.report(&running.machine, 1).unwrap().status), 200);

    let (side, operators) = (appliance.side(), appliance.operators());
    let text = appliance.site("[[node]]\nname = \"n1\"\nserial = \"S-1\"\n");
    let locked = lock(&appliance);
    let began = Instant::now();
    let (reported, applied) = std::thread::scope(|scope| {
        let reporting = scope.spawn(|| side.inside(|| running.agent.report(&running.machine, 2).unwrap().status));
        let applying = scope.spawn(|| operators.apply(&text).unwrap().status);
        side.inside(|| {
            for _ in 0..2 {
                let asked = Instant::now();
                let ack = patient().renew(&known, &lease).expect("a known machine renews");
                assert_eq!((ack.kind, ack.yiaddr), (Kind::Ack, lease.address));
                assert!(asked.elapsed() < Duration::from_millis(3900), "it was answered before it had to ask again: {:?}", asked.elapsed());
                let seconds = u32::from_be_bytes(ack.option(51).unwrap().try_into().unwrap());
                assert!((60..=lease.seconds).contains(&seconds), "{seconds}");
            }
            let stranger = machine(52);
            let offer = client().discover(&stranger).expect("an offer promises nothing");
            let hasty = client().with_timing(Timing { first: Duration::from_millis(2500), tries: 1 });
            assert!({ hasty }.request(&stranger, offer.yiaddr, SERVER).is_err(), "a lease was acknowledged that cannot be stored");
        });
        // Reading goes on.
        let asked = Instant::now();
        assert_eq!(operators.list("/api/v1/nodes").len(), 1);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        std::thread::sleep(Duration::from_secs(10).saturating_sub(began.elapsed()));
        drop(locked);
        (reporting.join().unwrap(), applying.join().unwrap())
    });
    assert!(matches!(reported, 200 | 503) && matches!(applied, 201 | 503), "{reported} {applied}");
    assert!(appliance.metrics().dhcp("acknowledged_from_disk") >= 2);

    appliance.inside(|| {
        assert_eq!(client().lease(&machine(52)).expect("a lease when the lock is gone").ack.kind, Kind::Ack);
        assert_eq!(running.agent.report(&running.machine, 3).unwrap().status, 200);
    });
    appliance.restart();
    // What was answered with success is there, what was refused is not, and nothing was written twice.
    let number = 1 + u64::from(applied == 201);
    assert_eq!(appliance.get("/api/v1/site")["number"], number);
    let node = appliance.get(&format!("/api/v1/nodes/{}", running.machine.serial));
    let reports = 2 + u64::from(reported == 200);
    assert_eq!((node["facts"]["agent"]["uptime_seconds"].as_u64(), node["reports"].as_u64()), (Some(3), Some(reports)));
    let addresses: Vec<_> = appliance.list("/api/v1/leases").iter().map(|lease| lease["address"].to_string()).collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    appliance.assert_good_node_is_served();
}
