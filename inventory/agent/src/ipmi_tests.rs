//! A controller of the tests answers by table.

#![allow(clippy::unwrap_used)]

use super::*;
use ipmi_rs::connection::{Request, Response};
use proptest::prelude::*;
use std::collections::HashMap;

/// Answers by command and the bytes of the question: completion code, then data. Anything else is an invalid command.
#[derive(Default)]
struct Fake {
    answers: HashMap<(u8, Vec<u8>), Vec<u8>>,
    /// After so many questions it is silent.
    patience: Option<usize>,
    asked: usize,
}

impl IpmiConnection for Fake {
    type SendError = std::io::Error;
    type RecvError = std::io::Error;
    type Error = std::io::Error;

    fn send(&mut self, _: &mut Request) -> std::io::Result<()> {
        Ok(())
    }

    fn recv(&mut self) -> std::io::Result<Response> {
        Err(std::io::ErrorKind::WouldBlock.into())
    }

    fn send_recv(&mut self, request: &mut Request) -> std::io::Result<Response> {
        self.asked += 1;
        if self.patience.is_some_and(|most| self.asked > most) {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let (kind, command) = (request.netfn(), request.cmd());
        let question = (command, request.data_mut().to_vec());
        let answer = self.answers.get(&question).cloned().unwrap_or_else(|| vec![0xc1]);
        Ok(Response::new(Message::new_response(kind, command, answer), 0).unwrap())
    }
}

const DEVICE_ID: [u8; 12] = [0, 0x20, 1, 0x02, 0x86, 0x02, 0xbf, 0x7c, 0x2a, 0x00, 0x0b, 0x09];

fn ok(data: &[u8]) -> Vec<u8> {
    [&[0], data].concat()
}

fn controller() -> Fake {
    let mut fake = Fake::default();
    let mut say = |command: u8, question: &[u8], answer: Vec<u8>| fake.answers.insert((command, question.to_vec()), answer);
    say(0x01, &[], DEVICE_ID.to_vec());
    say(0x08, &[], ok(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
    // Channel 1 is a serial line, 2 does not exist, 3 is the network card.
    say(0x42, &[1], ok(&[1, 5, 1, 0, 0xf2, 0x1b, 0, 0, 0]));
    say(0x42, &[3], ok(&[3, 4, 1, 0x80, 0xf2, 0x1b, 0, 0, 0]));
    let mut parameter = |number: u8, set: u8, data: &[u8]| say(0x02, &[3, number, set, 0], ok(&[&[0x11], data].concat()));
    parameter(3, 0, &[10, 20, 1, 11]);
    parameter(6, 0, &[255, 255, 255, 0]);
    parameter(12, 0, &[0, 0, 0, 0]);
    parameter(4, 0, &[2]);
    parameter(5, 0, &[0x3c, 0xec, 0xef, 0x12, 0x34, 0x56]);
    parameter(20, 0, &[0x2a, 0x80]);
    parameter(55, 0, &[1, 2, 3]);
    let address = |set: u8, source: u8, last: u8| {
        let mut bytes = vec![set, source, 0xfe, 0x80];
        bytes.resize(17, 0);
        bytes.extend([last, 64, 0]);
        bytes
    };
    parameter(56, 0, &address(0, 0x80, 1));
    parameter(59, 0, &address(0, 1, 2));
    parameter(59, 1, &[&[1, 1][..], &[0; 18]].concat());
    fake
}

fn answer(fake: Fake) -> Answer {
    ask(&mut Ipmi::new(fake), Instant::now() + ALL_ANSWERS)
}

#[test]
fn a_controller_tells_its_address_and_firmware() {
    let Answer::Said(bmc, gaps) = answer(controller()) else { panic!("it answers") };
    let text = |text: &str| Some(text.to_owned());
    let expected = Bmc {
        address: text("10.20.1.11"),
        netmask: text("255.255.255.0"),
        address_source: text("dhcp"),
        address6: vec!["fe80::1".into(), "fe80::2".into()],
        vlan: Some(42),
        mac: text("3c:ec:ef:12:34:56"),
        firmware: text("2.86"),
        ipmi: text("2.0"),
        manufacturer_id: Some(10876),
        product_id: Some(0x090b),
        uuid: text("03020100-0504-0706-0809-0a0b0c0d0e0f"),
        ..Bmc::default()
    };
    assert_eq!(*bmc, expected);
    assert_eq!(gaps, [Gap { path: "bmc.gateway".into(), reason: "it is not set".into() }]);
}

#[test]
fn a_controller_without_a_network_is_still_named() {
    let mut fake = Fake::default();
    fake.answers.insert((0x01, vec![]), DEVICE_ID.to_vec());
    let Answer::Said(bmc, gaps) = answer(fake) else { panic!("it answers") };
    assert_eq!(bmc.firmware.as_deref(), Some("2.86"));
    let why = gaps.iter().find(|gap| gap.path == "bmc.address").unwrap();
    assert_eq!(why.reason, "the management controller does not describe its channels: the management controller refuses: InvalidCommand");
}

#[test]
fn a_controller_that_falls_silent_is_asked_no_more() {
    for most in 0..8 {
        let mut ipmi = Ipmi::new(Fake { patience: Some(most), ..controller() });
        let found = ask(&mut ipmi, Instant::now() + ALL_ANSWERS);
        assert_eq!(ipmi.inner_mut().asked, most + 1);
        let why = "the management controller did not answer within 2 s";
        match found {
            Answer::Failed(reason) => assert_eq!(reason, format!("the management controller does not say what it is: {why}")),
            Answer::Said(_, gaps) => assert_eq!(gaps.last().unwrap().reason, why),
            other => panic!("{other:?}"),
        }
    }
    let mut ipmi = Ipmi::new(controller());
    assert!(matches!(ask(&mut ipmi, Instant::now()), Answer::Failed(_)));
    assert_eq!(ipmi.inner_mut().asked, 0, "the time is over");
}

#[test]
fn vlans_that_are_switched_off_are_none() {
    assert_eq!(vlan(Data::Raw(vec![0x2a, 0x00])), Err("it does not tag".into()));
    assert_eq!(vlan(Data::Raw(vec![0xff, 0x8f])), Ok(0xfff));
    assert!(vlan(Data::Raw(vec![1])).is_err() && vlan(Data::None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_answer_panics(answers in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..24), 20)) {
        let mut fake = controller();
        for (at, said) in fake.answers.values_mut().enumerate() {
            *said = ok(&answers[at % answers.len()]);
        }
        answer(fake);
    }
}
