use super::*;
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// A server that answers each request of one connection with the next of these texts, then closes.
fn serving(answers: &'static [&'static str]) -> (Url, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let SocketAddr::V4(server) = listener.local_addr().expect("its address") else { panic!("IPv4") };
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut requests = Vec::new();
        for answer in answers {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                request.push(byte[0]);
            }
            requests.push(String::from_utf8(request).expect("text"));
            stream.write_all(answer.as_bytes()).expect("answered");
        }
        requests
    });
    (Url::new(server, "/a?b=c").expect("a URL"), thread)
}

#[test]
fn bodies_of_every_kind_are_read_over_one_connection() {
    let (url, server) = serving(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    ]);
    let mut connection = Client::default().connect(url.server()).expect("connected");
    let mut ask = |method| connection.request(method, &url, &[], b"").expect("an answer");
    assert_eq!(ask("GET").text(), "hello");
    assert_eq!(ask("HEAD").header("content-length"), Some("5"));
    let chunked = ask("GET");
    assert_eq!((chunked.status, chunked.text().as_str()), (404, "abc0123456789"));
    assert_eq!(ask("GET").body, b"");
    assert_eq!(ask("GET").text(), "until the end");
    let requests = server.join().expect("all was asked");
    assert!(requests[0].starts_with(&format!("GET /a?b=c HTTP/1.1\r\nHost: {}\r\n", url.authority())), "{}", requests[0]);
}

#[test]
fn answers_that_are_no_right_http_are_refused() {
    let cases: [(&'static [&'static str], BadResponse); 9] = [
        (&["HTTP/1.0 200 OK\r\n\r\n"], BadResponse::StatusLine),
        (&["HTTP/1.1 20 OK\r\n\r\n"], BadResponse::StatusLine),
        (&["HTTP/1.1 200 OK\r\nA B: c\r\n\r\n"], BadResponse::Header),
        (&["HTTP/1.1 200 OK\r\nno colon\r\n\r\n"], BadResponse::Header),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"], BadResponse::Length),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], BadResponse::Length),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"], BadResponse::CutShort),
        (&["HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"], BadResponse::TooLong),
        (&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc"], BadResponse::Chunk),
    ];
    for (answers, expected) in cases {
        let (url, server) = serving(answers);
        match Client::default().get(&url) {
            Err(HttpError::Malformed { source, .. }) => assert_eq!(source, expected, "{answers:?}"),
            other => panic!("{answers:?}: {other:?}"),
        }
        server.join().expect("asked");
    }
}
