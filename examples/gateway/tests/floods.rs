//! Frames that cost a client nothing cost the gateway little, and its other callers nothing.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod harness;

use harness::{
    ADMIN, Gateway, chat,
    doors::{CHAT, DOORS},
    http2::{frame, literals, preface},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const CONFIG: &str = "[simulated]\nmodels = [{ name = \"m\", first_token = \"1ms\", tokens_per_second = 1000.0 }, \
                      { name = \"slow\", first_token = \"1h\" }, { name = \"e\", dimensions = 8 }]\n";

/// How often each is sent.
const TIMES: u32 = 20_000;

/// The frames of each time.
type Frames = Box<dyn Fn(u32) -> Vec<u8>>;

/// A connection that sends the preface, a frame many times, and reads whatever comes meanwhile. Returns whether the
/// gateway closed it.
async fn flood(gateway: &Gateway, times: u32, each: impl Fn(u32) -> Vec<u8>) -> bool {
    let mut connection = TcpStream::connect(gateway.address).await.unwrap();
    connection.write_all(&preface()).await.unwrap();
    let (mut read, mut write) = connection.split();
    let sending = async {
        for number in 0..times {
            if write.write_all(&each(number)).await.is_err() {
                return true;
            }
        }
        false
    };
    let reading = async {
        let mut piece = [0; 4096];
        while read.read(&mut piece).await.is_ok_and(|count| count > 0) {}
        true
    };
    tokio::select! {
        is_closed = sending => is_closed,
        is_closed = reading => is_closed,
    }
}

/// The frame that begins a request on a stream of a client's, of which some are still to come.
fn headers(number: u32, flags: u8, model: &str) -> Vec<u8> {
    let door = DOORS[number as usize % DOORS.len()];
    let block = [(":method", "POST"), (":scheme", "http"), (":path", door.path), (":authority", "localhost")];
    let body = door.body(model, r#""stream":true"#);
    let stream = 2 * number + 1;
    let mut frames = frame(1, flags, stream, &literals(&block));
    if flags == 4 {
        frames.extend(frame(0, 1, stream, body.as_bytes()));
    }
    frames
}

fn reset(number: u32) -> Vec<u8> {
    frame(3, 0, 2 * number + 1, &8_u32.to_be_bytes())
}

#[tokio::test]
async fn a_flood_of_frames_is_cut_or_borne_and_others_are_served() {
    let gateway = Gateway::start_quiet(&format!("{ADMIN}{CONFIG}")).await;
    gateway.post(CHAT.path, chat("m", false)).await.content();
    let memory = gateway.memory();
    // What is sent, and whether it costs the client its connection.
    let floods: [(&str, bool, Frames); 9] = [
        (
            "requests that are reset at once",
            true,
            Box::new(|number| [headers(number, 4, "slow"), reset(number)].concat()),
        ),
        ("heads that are reset at once", true, Box::new(|number| [headers(number, 0, "m"), reset(number)].concat())),
        ("requests without a body", false, Box::new(|number| headers(number, 5, "m"))),
        ("requests beyond the limit", true, Box::new(|number| headers(number, 4, "slow"))),
        (
            "a head without an end",
            true,
            Box::new(|number| {
                let kind = if number == 0 { 1 } else { 9 };
                frame(kind, 0, 1, &literals(&[("x-flood", "y")]))
            }),
        ),
        ("empty parts of a head", true, Box::new(|number| frame(if number == 0 { 1 } else { 9 }, 0, 1, &[]))),
        ("pings", false, Box::new(|number| frame(6, 0, 0, &u64::from(number).to_be_bytes()))),
        ("settings", false, Box::new(|_| frame(4, 0, 0, &[]))),
        (
            "empty parts of a body",
            false,
            Box::new(|number| {
                if number == 0 {
                    frame(
                        1,
                        4,
                        1,
                        &literals(&[
                            (":method", "POST"),
                            (":scheme", "http"),
                            (":path", CHAT.path),
                            (":authority", "localhost"),
                        ]),
                    )
                } else {
                    frame(0, 0, 1, &[])
                }
            }),
        ),
    ];
    for (name, is_cut, each) in floods {
        let (is_closed, served) = tokio::join!(flood(&gateway, TIMES, each), gateway.post(CHAT.path, chat("m", false)));
        assert!(!served.content().is_empty(), "{name}");
        assert!(is_closed || !is_cut, "{name}: the connection is still open");
    }
    gateway.until_idle().await;
    let peak = gateway.peak_memory();
    assert!(peak < memory + 32_768, "{memory} KiB, and {peak} KiB at the most");
    gateway.post(CHAT.path, chat("m", false)).await.content();
}
