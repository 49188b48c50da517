//! SIGTERM: what is under way ends well, and the service ends in time.

use crate::support::agent::connect;
use crate::support::machine::{client, machine, power_on};
use crate::support::{Appliance, SERVER, STRANGER, Wishes, at, eventually, pattern};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;
use tests_sim::tftp;

#[test]
fn a_stop_answers_who_waits_lets_transfers_end_and_takes_no_longer_than_it_may() {
    const FILE: usize = 24 << 20;
    let mut appliance = Appliance::start_as(Wishes { ramdisk_bytes: FILE, ..Wishes::default() });
    let (side, operators) = (appliance.side(), appliance.operators());
    let (ready, is_ready) = mpsc::channel();
    let (stopping, stopped) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let clients = scope.spawn(move || {
            side.inside(move || {
                // Somebody who never says what it wants, somebody who says nothing more, and an idle operator.
                let mut half = connect(STRANGER, at(80)).unwrap();
                half.write_all(b"GET /boot").unwrap();
                let silent = [connect(STRANGER, at(80)).unwrap(), connect(STRANGER, at(8444)).unwrap()];
                let operator = operators.connect().unwrap();
                let running = power_on(10);
                assert_eq!(running.agent.report(&running.machine, 1).unwrap().status, 200);
                let mut waiting = running.agent.connect().unwrap();
                let ticket = running.agent.ticket.clone().unwrap();
                write!(waiting, "GET /orders?wait=50 HTTP/1.1\r\nHost: x\r\nOverture-Ticket: {ticket}\r\n\r\n").unwrap();
                waiting.flush().unwrap();
                let mut download = connect(STRANGER, at(80)).unwrap();
                download.write_all(b"GET /boot/ramdisk HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                let mut file = vec![0; 100_000];
                download.read_exact(&mut file).unwrap();
                let transfer = UdpSocket::bind((STRANGER, 0)).unwrap();
                transfer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                transfer.send_to(&tftp::read_request("undionly.kpxe", "octet", &[]), at(69)).unwrap();
                let mut block = [0; 600];
                let (mut length, from) = transfer.recv_from(&mut block).unwrap();
                ready.send(()).unwrap();
                stopped.recv().unwrap();
                // The stop has begun: go on.
                let mut read = block[4..length].to_vec();
                while length == 516 {
                    transfer.send_to(&tftp::acknowledge((read.len() / 512) as u16), from).unwrap();
                    length = transfer.recv_from(&mut block).unwrap().0;
                    read.extend_from_slice(&block[4..length]);
                }
                transfer.send_to(&tftp::acknowledge((read.len() / 512 + 1) as u16), from).unwrap();
                assert!(read == pattern(70_000), "a TFTP transfer was cut off");
                download.read_to_end(&mut file).unwrap();
                assert!(file.ends_with(&pattern(FILE)), "a download was cut off after {} bytes", file.len());
                let mut told = String::new();
                let _ = waiting.read_to_string(&mut told);
                assert!(told.starts_with("HTTP/1.1 200 ") && told.contains("\"wait\""), "an agent that waited was told {told:?}");
                drop((half, silent, operator));
            });
        });
        is_ready.recv().unwrap();
        let log = appliance.log_file();
        let telling = scope.spawn(move || {
            eventually("the stop has begun", || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("stopping: SIGTERM")));
            stopping.send(()).unwrap();
        });
        appliance.stop();
        telling.join().unwrap();
        clients.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert!(!appliance.socket().exists(), "the socket was left behind");
    assert!(!appliance.folder().join("bound.json").exists(), "the file of what was bound was left behind");
    appliance.resume();
    assert_eq!(appliance.list("/api/v1/nodes").len(), 1);
    appliance.assert_good_node_is_served();
}

#[test]
fn a_stop_right_after_an_ack_or_in_the_middle_of_the_start_ends_well() {
    let mut appliance = Appliance::start();
    for number in 20..23 {
        let lease = appliance.inside(|| client().lease(&machine(number)).unwrap());
        appliance.stop();
        appliance.resume();
        let kept = appliance.list("/api/v1/leases");
        assert!(kept.iter().any(|kept| kept["address"] == lease.address.to_string() && kept["state"] == "bound"), "{kept:?}");
        let again = appliance.inside(|| client().renew(&machine(number), &lease).unwrap());
        assert_eq!((again.yiaddr, again.server()), (lease.address, Some(SERVER)));
    }
}
