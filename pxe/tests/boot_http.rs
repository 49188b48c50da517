//! The files of boot HTTP: by request, and by curl over a real socket.
#![allow(clippy::unwrap_used, missing_docs)]

mod boot_world;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use boot_world::{ADDRESS, MAC, SERVICE, World, content, count, run};
use domain::site::Unknown;
use http_body_util::BodyExt;
use pxe::http::{BootHttp, Counts, Here, Peer, router};
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt;

struct Served {
    world: World,
    http: BootHttp,
    folder: tempfile::TempDir,
}

impl Served {
    async fn new() -> Self {
        let world = World::new(Unknown::Discover).await;
        world.boots_up(MAC);
        world.leases_to(MAC, ADDRESS).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ramdisk"), content(200_000)).unwrap();
        world.files.insert_file("ramdisk", folder.path().join("ramdisk"));
        world.files.insert_bytes("authority.pem", b"0123456789".to_vec());
        let http = BootHttp {
            boots: world.boots.clone(),
            leases: world.leases.clone(),
            directory: world.directory.clone(),
            site: world.site.subscribe(),
            clock: world.clock.clone(),
            files: world.files.clone(),
            counts: Arc::<Counts>::default(),
            here: Here { address: SERVICE, http_port: 80, agents_port: 8444, pin: "ab".repeat(32) },
        };
        Self { world, http, folder }
    }

    async fn ask(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer((ADDRESS, 4711).into()));
        let response = router(self.http.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        self.ask(Method::GET, target, headers).await
    }

    fn count(&self, name: &str) -> u64 {
        count(&self.http.counts.pairs(), name)
    }

    /// Serves on a port of its own until the test ends.
    async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = router(self.http.clone()).layer(axum::Extension(Peer((ADDRESS, 4711).into())));
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }
}

#[tokio::test]
async fn a_file_comes_whole_from_disk_and_from_memory() {
    let served = Served::new().await;
    for (target, expected) in
        [("/boot/ramdisk", content(200_000)), ("//boot//ramdisk", content(200_000)), ("/boot/authority.pem", b"0123456789".to_vec())]
    {
        let (status, headers, body) = served.get(target, &[]).await;
        assert_eq!((status, headers["content-length"].to_str().unwrap()), (StatusCode::OK, expected.len().to_string().as_str()));
        assert_eq!(headers["accept-ranges"], "bytes");
        assert!(body == expected, "{target}");
    }
    assert_eq!(served.count("files"), 3);
    let note = served.world.noted("loaded ramdisk").await;
    assert!(note.starts_with("file: loaded ramdisk, 195 KiB in 0."), "{note}");
}

#[tokio::test]
async fn the_certificate_comes_with_the_time() {
    let served = Served::new().await;
    let (_, headers, _) = served.get("/boot/authority.pem", &[]).await;
    let told: domain::Timestamp = headers["overture-time"].to_str().unwrap().parse().unwrap();
    assert!((told.as_millisecond() - served.http.clock.now().as_millisecond()).abs() < 60_000);
    let (_, headers, _) = served.get("/boot/ramdisk", &[]).await;
    assert!(!headers.contains_key("overture-time"));
}

#[tokio::test]
async fn a_part_is_served_and_a_part_outside_is_refused() {
    let served = Served::new().await;
    let whole = content(200_000);
    for (range, expected, says) in [
        ("bytes=0-0", &whole[..1], "bytes 0-0/200000"),
        ("bytes=100000-", &whole[100_000..], "bytes 100000-199999/200000"),
        ("bytes=-5", &whole[199_995..], "bytes 199995-199999/200000"),
        ("bytes=199999-99999999999999999999", &whole[199_999..], "bytes 199999-199999/200000"),
    ] {
        let (status, headers, body) = served.get("/boot/ramdisk", &[("range", range)]).await;
        assert_eq!((status, headers["content-range"].to_str().unwrap()), (StatusCode::PARTIAL_CONTENT, says));
        assert!(body == expected, "{range}");
    }
    let (_, _, body) = served.get("/boot/authority.pem", &[("range", "bytes=2-4")]).await;
    assert_eq!(body, b"234");
    let (status, headers, _) = served.get("/boot/ramdisk", &[("range", "bytes=200000-")]).await;
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */200000"));
    let many = format!("bytes={}", vec!["0-1"; 300].join(","));
    let (status, _, body) = served.get("/boot/ramdisk", &[("range", &many)]).await;
    assert_eq!((status, body.len()), (StatusCode::OK, 200_000), "overlapping ranges are not multiplied");
}

#[tokio::test]
async fn what_the_asker_has_already_is_not_sent_again() {
    let served = Served::new().await;
    let (_, headers, _) = served.get("/boot/ramdisk", &[]).await;
    let tag = headers["etag"].to_str().unwrap().to_owned();
    for same in [tag.as_str(), "*", &format!("\"x\", W/{tag}")] {
        let (status, headers, body) = served.get("/boot/ramdisk", &[("if-none-match", same)]).await;
        assert_eq!((status, headers["etag"].to_str().unwrap(), body.len()), (StatusCode::NOT_MODIFIED, tag.as_str(), 0));
    }
    let new = served.folder.path().join("new");
    std::fs::write(&new, b"another").unwrap();
    std::fs::rename(&new, served.folder.path().join("ramdisk")).unwrap();
    let stale = [("if-none-match", tag.as_str())];
    assert_eq!(served.get("/boot/ramdisk", &stale).await.2, b"another");
    let (status, _, body) = served.get("/boot/ramdisk", &[("range", "bytes=1-2"), ("if-range", &tag)]).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"another"[..]), "a part of a new version would fit nothing");
}

#[tokio::test]
async fn headers_alone_are_not_a_load() {
    let served = Served::new().await;
    let (status, headers, body) = served.ask(Method::HEAD, "/boot/ramdisk", &[]).await;
    assert_eq!((status, headers["content-length"].to_str().unwrap(), body.len()), (StatusCode::OK, "200000", 0));
    assert_eq!((served.count("files"), served.count("files_aborted"), served.count("files_heads")), (0, 0, 1));
    let (status, ..) = served.ask(Method::HEAD, "/boot.ipxe", &[]).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_outside_the_table_is_found() {
    let served = Served::new().await;
    served.world.files.insert_file("gone", served.folder.path().join("gone"));
    served.world.files.insert_file("folder", served.folder.path());
    let targets = [
        "/",
        "/boot",
        "/boot/",
        "/boot/nothing",
        "/boot/gone",
        "/boot/folder",
        "/boot/../etc/passwd",
        "/boot/..%2f..%2fetc%2fpasswd",
        "/boot/%2e%2e/etc/passwd",
        "/boot/%252e%252e%252fetc%252fpasswd",
        "/boot/ramdisk/x",
        "/boot/ramdisk%00",
        "/boot/Ramdisk",
        "/boot.ipxe/x",
        "/index.html",
    ];
    for target in targets {
        let (status, _, body) = served.get(target, &[]).await;
        assert_eq!((status, body.as_slice()), (StatusCode::NOT_FOUND, &b"there is no such file here\n"[..]), "{target}");
    }
    assert_eq!((served.count("not_found"), served.count("unreadable_files")), (targets.len() as u64, 2));
    served.world.noted("refused: asked for gone, which cannot be given").await;
}

#[tokio::test]
async fn other_methods_and_endless_targets_are_refused() {
    let served = Served::new().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::PATCH] {
        let (status, headers, _) = served.ask(method, "/boot/ramdisk", &[]).await;
        assert_eq!((status, headers["allow"].to_str().unwrap()), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    }
    let endless = "a".repeat(3000);
    for target in [format!("/boot/{endless}"), format!("/ipxe?serial={endless}")] {
        assert_eq!(served.get(&target, &[]).await.0, StatusCode::URI_TOO_LONG);
    }
    assert_eq!((served.count("bad_methods"), served.count("too_long")), (6, 2));
}

#[tokio::test]
async fn nothing_of_a_request_comes_back_in_a_header() {
    let served = Served::new().await;
    let mark = "mirrored.example";
    let asked = [("host", mark), ("x-forwarded-host", mark), ("if-none-match", mark), ("if-range", mark), ("range", mark)];
    for target in
        ["/boot.ipxe", "/boot//ramdisk", "/boot/mirrored.example", "/ipxe?mac=525400123456&serial=mirrored.example", "/mirrored.example/"]
    {
        let (_, headers, _) = served.get(target, &asked).await;
        assert!(headers.values().all(|value| !value.to_str().unwrap().contains(mark)), "{target}: {headers:?}");
    }
}

#[tokio::test]
async fn without_knowing_who_asks_nothing_is_answered() {
    let served = Served::new().await;
    let request = Request::get("/boot/ramdisk").body(Body::empty()).unwrap();
    let response = router(served.http.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_loads_resumes_and_asks_for_headers() {
    let served = Served::new().await;
    let url = format!("http://{}/boot/ramdisk", served.listen().await);
    let file = served.folder.path().join("loaded");
    let out = file.to_str().unwrap();
    let (ok, text) = run("curl", &["-sSf", "-o", out, &url]).await;
    assert!(ok, "{text}");
    assert!(std::fs::read(&file).unwrap() == content(200_000));

    std::fs::write(&file, &content(200_000)[..70_000]).unwrap();
    let (ok, text) = run("curl", &["-sSf", "-C", "-", "-o", out, &url]).await;
    assert!(ok, "{text}");
    assert!(std::fs::read(&file).unwrap() == content(200_000));
    served.world.noted("loaded ramdisk, 127 KiB of 195 KiB in").await;

    let (ok, text) = run("curl", &["-sSf", "-I", &url]).await;
    assert!(ok && text.to_lowercase().contains("content-length: 200000"), "{text}");
    let (_, text) = run("curl", &["-sS", "--path-as-is", &url.replace("ramdisk", "../../etc/passwd")]).await;
    assert_eq!(text, "there is no such file here\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_goes_away_is_noted() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let served = Served::new().await;
    std::fs::File::create(served.folder.path().join("large")).unwrap().set_len(1 << 30).unwrap();
    served.world.files.insert_file("large", served.folder.path().join("large"));
    let mut connection = tokio::net::TcpStream::connect(served.listen().await).await.unwrap();
    connection.write_all(b"GET /boot/large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    connection.read_exact(&mut [0; 10_000]).await.unwrap();
    drop(connection);
    let note = served.world.noted("stopped loading large after").await;
    assert!(note.starts_with("aborted: ") && note.contains(" of 1.0 GiB, "), "{note}");
    assert_eq!((served.count("files"), served.count("files_aborted")), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_shrinks_while_it_is_sent_breaks_the_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let served = Served::new().await;
    let path = served.folder.path().join("shrinking");
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    served.world.files.insert_file("shrinking", &path);
    let mut connection = tokio::net::TcpStream::connect(served.listen().await).await.unwrap();
    connection.write_all(b"GET /boot/shrinking HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    connection.read_exact(&mut [0; 10_000]).await.unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
    let mut rest = Vec::new();
    let _ = connection.read_to_end(&mut rest).await;
    assert!(rest.len() < 1 << 29, "the connection ends early: {}", rest.len());
    served.world.noted("stopped loading shrinking").await;
}
