use super::*;
use std::thread;

/// A server that follows a script: what it expects, and what it then sends.
fn scripted(script: Vec<(Vec<u8>, Vec<Vec<u8>>)>) -> (Client, thread::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let SocketAddr::V4(server) = socket.local_addr().expect("its address") else { panic!("IPv4") };
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    let thread = thread::spawn(move || {
        let mut buffer = [0; 2048];
        for (expected, answers) in script {
            let (length, from) = socket.recv_from(&mut buffer).expect("a packet");
            assert_eq!(buffer[..length], expected);
            for answer in answers {
                socket.send_to(&answer, from).expect("sent");
            }
        }
    });
    (Client { repeat_after: Duration::from_millis(200), ..Client::new(server) }, thread)
}

fn data(block: u16, bytes: &[u8]) -> Vec<u8> {
    [&[0, 3], &block.to_be_bytes()[..], bytes].concat()
}

fn ack(block: u16) -> Vec<u8> {
    acknowledge(block).to_vec()
}

#[test]
fn a_file_is_read_in_lock_step() {
    let (client, server) = scripted(vec![
        (b"\0\x01f\0octet\0".to_vec(), vec![data(1, &[7; 512])]),
        (ack(1), vec![data(1, &[7; 512])]), // a repetition is acknowledged again
        (ack(1), vec![data(2, b"end")]),
        (ack(2), vec![]),
    ]);
    let got = client.read("f", Options::default()).expect("a file");
    server.join().expect("the script was followed");
    assert_eq!((got.bytes.len(), got.blksize, got.windowsize, got.out_of_order), (515, 512, 1, 1));
}

#[test]
fn a_window_with_a_lost_block_is_asked_for_again_once() {
    let options = Options { blksize: Some(8), windowsize: Some(3), tsize: true };
    let request = b"\0\x01f\0octet\0tsize\x000\0blksize\x008\0windowsize\x003\0".to_vec();
    let (client, server) = scripted(vec![
        (request, vec![b"\0\x06tsize\x0034\0blksize\x008\0windowsize\x003\0".to_vec()]),
        (ack(0), vec![data(1, &[1; 8]), data(3, &[3; 8]), data(4, &[4; 8])]),
        (ack(1), vec![data(2, &[2; 8]), data(3, &[3; 8]), data(4, &[4; 8])]),
        (ack(4), vec![data(5, &[5; 2])]),
        (ack(5), vec![]),
    ]);
    let got = client.read("f", options).expect("a file");
    server.join().expect("the script was followed");
    assert_eq!((got.size, got.windowsize, got.out_of_order), (Some(34), 3, 2));
    assert_eq!(got.bytes[8], 2);
}

#[test]
fn a_lost_packet_is_repeated() {
    let (client, server) =
        scripted(vec![(b"\0\x01f\0octet\0".to_vec(), vec![]), (b"\0\x01f\0octet\0".to_vec(), vec![data(1, b"")]), (ack(1), vec![])]);
    assert_eq!(client.read("f", Options::default()).expect("a file").repeated, 1);
    server.join().expect("the script was followed");
}

#[test]
fn a_size_is_asked_for_and_the_transfer_ended() {
    let (client, server) = scripted(vec![
        (b"\0\x01f\0octet\0tsize\x000\0".to_vec(), vec![b"\0\x06tsize\x0099\0".to_vec()]),
        (error(8, "only asked for the size"), vec![]),
    ]);
    assert_eq!(client.size("f").expect("a size"), 99);
    server.join().expect("the script was followed");
}

#[test]
fn refusals_and_broken_promises_are_told_apart() {
    let request = b"\0\x01f\0octet\0tsize\x000\0blksize\x008\0".to_vec();
    let options = Options { blksize: Some(8), tsize: true, windowsize: None };
    let told = b"\0\x06tsize\x005\0blksize\x008\0".to_vec();
    type Script = Vec<(Vec<u8>, Vec<Vec<u8>>)>;
    let cases: [(Script, &str); 5] = [
        (vec![(request.clone(), vec![error(1, "no")])], "the TFTP server refused `f`: error 1, \"no\""),
        (vec![(request.clone(), vec![b"\0\x09".to_vec()])], "the TFTP server sent a packet that is not well-formed, for `f`"),
        (
            vec![(request.clone(), vec![b"\0\x06blksize\x009\0".to_vec()])],
            "the TFTP server answered with an option that was not asked for, or with more than was asked for, for `f`",
        ),
        (
            vec![(request.clone(), vec![told.clone()]), (ack(0), vec![data(1, &[0; 9])])],
            "the TFTP server sent a block larger than agreed on, for `f`",
        ),
        (vec![(request, vec![told]), (ack(0), vec![data(1, b"1234")])], "the TFTP server told a size that the file has not, for `f`"),
    ];
    for (script, expected) in cases {
        let (client, server) = scripted(script);
        assert_eq!(client.read("f", options).expect_err("refused").to_string(), expected);
        server.join().expect("the script was followed");
    }
}

#[test]
fn what_comes_after_an_error_is_counted() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let SocketAddr::V4(server) = socket.local_addr().expect("its address") else { panic!("IPv4") };
    let stubborn = thread::spawn(move || {
        let mut buffer = [0; 2048];
        let (_, from) = socket.recv_from(&mut buffer).expect("a request");
        socket.send_to(&data(1, &[0; 512]), from).expect("sent");
        while buffer[1] != 5 {
            socket.recv_from(&mut buffer).expect("ACK or ERROR");
        }
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(100));
            socket.send_to(&data(2, &[0; 512]), from).expect("sent");
        }
    });
    let got = Client::new(server).abandon("f", Options::default(), 1, Duration::from_millis(800)).expect("counted");
    stubborn.join().expect("sent all");
    assert_eq!(got.packets, 3);
}
