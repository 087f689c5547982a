//! Requests that a proxy in front could understand in another way than the gateway are refused, and their connections
//! closed, so that no part of one is ever taken for a request of somebody else.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{
    Gateway, chat,
    doors::{DOORS, Door},
    http2::{frame, literals, preface},
    raw::{raw, raw_and_leave, statuses},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONFIG: &str = "[server]\nidle_timeout = \"500ms\"\nhead_timeout = \"500ms\"\nbody_timeout = \"500ms\"\nmax_body_bytes = 100000\n[simulated]\n\
                      models = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 100000.0 }, \
                      { name = \"e\", dimensions = 8 }]\n";

/// What an attacker would like to be answered as somebody else's request.
const HIDDEN: &str = "GET /healthz?hidden HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn body(door: &Door) -> String {
    door.body(if door.path.ends_with("embeddings") { "e" } else { "m" }, "")
}

/// A request of which everything after the host is given.
fn post(door: &Door, rest: &str) -> String {
    format!("POST {} HTTP/1.1\r\nhost: localhost\r\n{rest}", door.path)
}

/// Checks that a request is refused, and that its connection brings no other answer.
async fn is_refused(gateway: &Gateway, request: &str) {
    let answers = raw(gateway.address, format!("{request}{HIDDEN}").as_bytes()).await;
    let statuses = statuses(&answers);
    assert!(statuses.len() == 1 && statuses[0].starts_with('4'), "{request:?}: {answers}");
}

async fn is_served(gateway: &Gateway) {
    assert!(!gateway.post("/v1/chat/completions", chat("m", false)).await.content().is_empty());
}

#[tokio::test]
async fn a_body_whose_end_is_told_twice_is_refused() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let body = body(&door);
        let (length, chunks) = (body.len(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
        let whole = chunks.len();
        for lines in [
            // One length for those who read lengths, chunks for all others.
            format!("content-length: {whole}\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"),
            format!("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n{chunks}"),
            format!("Transfer-Encoding: chunked\r\nx: y\r\nContent-Length: 0\r\n\r\n{chunks}"),
            "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            // Lengths that differ, or are none.
            format!("content-length: {length}\r\ncontent-length: 0\r\n\r\n{body}"),
            format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{body}"),
            format!("content-length: {length}, {length}\r\n\r\n{body}"),
            format!("content-length: {length}, 0\r\n\r\n{body}"),
            format!("content-length: +{length}\r\n\r\n{body}"),
            format!("content-length: -{length}\r\n\r\n{body}"),
            format!("content-length: 0x{length:x}\r\n\r\n{body}"),
            format!("content-length: {length} 0\r\n\r\n{body}"),
            format!("content-length: {length}.0\r\n\r\n{body}"),
            format!("content-length: \r\n\r\n{body}"),
            format!("content-length: 18446744073709551616\r\n\r\n{body}"),
            format!("content-length: 18446744073709551615\r\n\r\n{body}"),
            format!("content-length : {length}\r\n\r\n{body}"),
        ] {
            is_refused(&gateway, &post(&door, &lines)).await;
        }
    }
    is_served(&gateway).await;
}

#[tokio::test]
async fn a_coding_that_is_not_plainly_chunked_is_refused() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let body = body(&door);
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        for coding in [
            "transfer-encoding: chunked, identity",
            "transfer-encoding: identity, chunked",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: , chunked",
            "transfer-encoding: chunked,",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding: identity",
            "transfer-encoding: xchunked",
            "transfer-encoding: chunkedx",
            "transfer-encoding: chunked x",
            "transfer-encoding: chunked;q=1",
            "transfer-encoding: \"chunked\"",
            "transfer-encoding: \u{b}chunked",
            "transfer-encoding: chunked\u{c}",
            "transfer-encoding: chunked\0",
            "transfer-encoding:",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity",
            "transfer-encoding: identity\r\ntransfer-encoding: chunked",
            "transfer-encoding : chunked",
            "transfer-encoding\t: chunked",
            " transfer-encoding: chunked",
            "x: y\r\n transfer-encoding: chunked",
            "x: y\r\n\ttransfer-encoding: chunked",
            "transfer-encoding:\r\n chunked",
            "x: y\ntransfer-encoding: chunked",
            "x: y\rtransfer-encoding: chunked",
            "x: y\r\rtransfer-encoding: chunked",
        ] {
            is_refused(&gateway, &post(&door, &format!("{coding}\r\n\r\n{chunks}"))).await;
        }
        let of_http10 = format!("POST {} HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n{chunks}", door.path);
        is_refused(&gateway, &of_http10).await;
    }
    is_served(&gateway).await;
}

#[tokio::test]
async fn a_chunk_that_is_none_is_refused() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let body = body(&door);
        let size = format!("{:x}", body.len());
        for chunks in [
            "fffffffffffffffff\r\n".to_owned(),
            "ffffffffffffffff\r\n".to_owned(),
            "10000000000000000\r\n".to_owned(),
            "-1\r\n".to_owned(),
            "+1\r\nx\r\n0\r\n\r\n".to_owned(),
            format!("0x{size}\r\n{body}\r\n0\r\n\r\n"),
            format!(" {size}\r\n{body}\r\n0\r\n\r\n"),
            format!("{size}_\r\n{body}\r\n0\r\n\r\n"),
            format!("{size}\n{body}\n0\n\n"),
            format!("{size}\r\n{body}XX0\r\n\r\n"),
            format!("{size}\r\n{body}\r\n0\r\nx: y\n\r\n"),
            format!("{size};a=b\n{body}\r\n0\r\n\r\n"),
            format!("{size};a\rb\r\n{body}\r\n0\r\n\r\n"),
            format!("{size};{}\r\n{body}\r\n0\r\n\r\n", "a".repeat(50_000)),
            format!("{size}\r\n{body}\r\n0\r\nx: {}\r\n\r\n", "a".repeat(200_000)),
            format!("{size}\r\n{body}\r\n0\r\n{}\r\n", "x: y\r\n".repeat(20_000)),
            "\r\n\r\n".to_owned(),
            "z\r\n\r\n".to_owned(),
        ] {
            is_refused(&gateway, &post(&door, &format!("transfer-encoding: chunked\r\n\r\n{chunks}"))).await;
        }
    }
    is_served(&gateway).await;
}

#[tokio::test]
async fn a_line_that_ends_in_a_bare_line_feed_is_refused() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    let head = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: y\r\n\r\n";
    let ends: Vec<usize> = head.match_indices("\r\n").map(|(at, _)| at).collect();
    for at in ends {
        is_refused(&gateway, &format!("{}{}", &head[..at], &head[at + 1..])).await;
    }
    is_refused(&gateway, &head.replace("\r\n", "\n")).await;
    is_refused(&gateway, &head.replace("\r\n", "\r")).await;
    // Also where it stands behind a request that was in order, in the same piece of the connection.
    for door in DOORS {
        let request = door.request("", &body(&door)) + "GET /healthz HTTP/1.1\nhost: localhost\r\n\r\n" + HIDDEN;
        let answers = raw(gateway.address, request.as_bytes()).await;
        assert!(statuses(&answers).len() <= 2 && !answers.ends_with("ok\n"), "{answers}");
    }
    is_served(&gateway).await;
}

#[tokio::test]
async fn a_malformed_head_is_refused() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for head in [
        "GET /healthz HTTP/1.1\r\n host: localhost\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: y\0z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: y\u{7f}z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx\ry: z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx y: z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx\0: z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\n: z\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nno colon\r\n\r\n",
        "GET /healthz HTTP/1.2\r\nhost: localhost\r\n\r\n",
        "GET /healthz HTTP/2.0\r\nhost: localhost\r\n\r\n",
        "GET /healthz http/1.1\r\nhost: localhost\r\n\r\n",
        "GET /healthz\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET\t/healthz\tHTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /healthz /x HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /healthz\u{1} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GE\u{1}T /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n",
    ] {
        is_refused(&gateway, head).await;
    }
    let huge = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(200_000));
    is_refused(&gateway, &huge).await;
    let many = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    is_refused(&gateway, &many).await;
    is_served(&gateway).await;
}

/// What follows a whole request on its connection is the next request of the same caller, whatever it looks like.
#[tokio::test]
async fn what_stands_behind_a_body_is_a_request_of_its_own() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let body = body(&door);
        let beyond = post(&door, &format!("content-length: {}\r\n\r\n{body}hello", body.len()));
        let answers = raw_and_leave(gateway.address, (beyond + HIDDEN).as_bytes()).await;
        assert_eq!(statuses(&answers), ["200", "405", "200"], "`helloGET` is no method: {answers}");
        let short = post(&door, &format!("content-length: {}\r\n\r\n{body}", body.len() - 1));
        let answers = raw_and_leave(gateway.address, (short + HIDDEN).as_bytes()).await;
        assert_eq!(statuses(&answers), ["400", "400"], "the body is cut, and `}}GET` is no method: {answers}");
        let long = post(&door, &format!("content-length: {}\r\n\r\n{body}", body.len() + HIDDEN.len()));
        let answers = raw_and_leave(gateway.address, (long + HIDDEN).as_bytes()).await;
        assert_eq!(statuses(&answers), ["400", "200"], "what would be hidden is part of the body: {answers}");
        // Refused before its body is read, and the body is still no request.
        let refused =
            post(&door, &format!("content-type: text/plain\r\ncontent-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()));
        let answers = raw_and_leave(gateway.address, refused.as_bytes()).await;
        assert_eq!(statuses(&answers)[0], "415", "{answers}");
        assert!(statuses(&answers).len() <= 2, "{answers}");
    }
}

/// Whether a request of HTTP/2 is answered well; if not, its stream was reset or it was answered with an error.
async fn is_answered_well(gateway: &Gateway, headers: &[(&str, &str)], body: &[u8]) -> bool {
    let mut connection = TcpStream::connect(gateway.address).await.unwrap();
    let request = [
        preface(),
        frame(1, if body.is_empty() { 5 } else { 4 }, 1, &literals(headers)),
        if body.is_empty() { Vec::new() } else { frame(0, 1, 1, body) },
    ];
    connection.write_all(&request.concat()).await.unwrap();
    loop {
        let mut head = [0; 9];
        if connection.read_exact(&mut head).await.is_err() {
            return false;
        }
        let [_, high, mid, low] = u32::from_be_bytes([0, head[0], head[1], head[2]]).to_be_bytes();
        let mut payload = vec![0; u32::from_be_bytes([0, high, mid, low]) as usize];
        connection.read_exact(&mut payload).await.unwrap();
        match head[3] {
            // `:status: 200` stands in HPACK's table.
            1 => return payload[0] == 0x88,
            // A reset of the stream, or of the whole connection.
            3 | 7 => return false,
            _ => {}
        }
    }
}

#[tokio::test]
async fn http2_carries_nothing_that_only_http1_understands() {
    let gateway = Gateway::start_quiet(CONFIG).await;
    for door in DOORS {
        let body = body(&door);
        let length = body.len().to_string();
        let whole = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", door.path),
            (":authority", "localhost"),
            ("content-type", "application/json"),
            ("content-length", &length),
        ];
        assert!(is_answered_well(&gateway, &whole, body.as_bytes()).await, "{}", door.path);
        for further in [
            ("connection", "close"),
            ("connection", "transfer-encoding"),
            ("keep-alive", "5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "identity"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("x", "y\r\nz: 1"),
            ("x", "y\nz"),
            ("x", "y\rz"),
            ("x", "y\0z"),
            ("x\r\ny", "z"),
            ("x\ny", "z"),
            ("x y", "z"),
            ("x:y", "z"),
            ("X", "y"),
            ("", "y"),
            (":path", "/healthz"),
            (":status", "200"),
            (":authority", "evil.example"),
            ("host", "evil.example"),
            ("content-length", "1"),
            ("content-length", "99999999999999999999"),
        ] {
            let headers = [&whole[..], &[further]].concat();
            assert!(!is_answered_well(&gateway, &headers, body.as_bytes()).await, "{} {further:?}", door.path);
        }
        let with = |place: usize, value: &'static str| {
            let mut headers = whole;
            headers[place].1 = value;
            headers
        };
        for (place, value) in [
            (0, "PO\r\nST"),
            (0, "PO ST"),
            (1, "ht\r\ntp"),
            (2, ""),
            (2, "/v1\r\nhost: x"),
            (2, "/v1 /x"),
            (2, "v1"),
            (3, "local\r\nhost"),
            (3, "local host"),
            (3, "evil.example"),
            (3, "localhost@evil.example"),
            (5, "1"),
        ] {
            assert!(!is_answered_well(&gateway, &with(place, value), body.as_bytes()).await, "{place} {value:?}");
        }
        for missing in 0..4 {
            let headers: Vec<_> = whole.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, h)| *h).collect();
            assert!(!is_answered_well(&gateway, &headers, body.as_bytes()).await, "without {:?}", whole[missing]);
        }
    }
    is_served(&gateway).await;
}
