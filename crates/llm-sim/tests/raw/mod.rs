//! An http client that shows what the others hide: how a connection ended, and which bytes came together.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the message complete.
    Whole,
    /// Closed in the middle of the message.
    Cut,
    /// Reset.
    Reset,
}

/// What came over one connection.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The head; empty if there was none.
    pub(crate) head: String,
    /// The chunks of the body, or the whole body where its length was told.
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) end: End,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body()).unwrap()
    }

    /// How many tokens of text are in the stream.
    pub(crate) fn tokens(&self) -> usize {
        let chunks =
            self.text().lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect::<Vec<_>>();
        let content = |data: &String| {
            let chunk: serde_json::Value = serde_json::from_str(data).ok()?;
            let text = chunk["choices"][0]["delta"]["content"].as_str().or(chunk["delta"]["text"].as_str());
            text.filter(|text| !text.is_empty()).map(drop)
        };
        chunks.iter().filter_map(content).count()
    }
}

/// Sends a request and reads until the connection ends.
pub(crate) async fn send(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = open(addr, method, path, headers, body).await;
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await;
    parse(&bytes, end)
}

/// Sends a request and reads nothing.
pub(crate) async fn open(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
    stream
}

fn parse(bytes: &[u8], end: io::Result<usize>) -> Answer {
    let reset = matches!(&end, Err(error) if error.kind() == io::ErrorKind::ConnectionReset);
    assert!(reset || end.is_ok(), "{end:?}");
    let cut = if reset { End::Reset } else { End::Cut };
    let Some(at) = find(bytes, b"\r\n\r\n") else {
        return Answer { head: String::new(), chunks: Vec::new(), end: cut };
    };
    let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
    let mut answer = Answer { head, chunks: Vec::new(), end: cut };
    let mut rest = &bytes[at + 4..];
    if let Some(length) = answer.header("content-length").map(|length| length.parse::<usize>().unwrap()) {
        answer.chunks.push(rest.to_vec());
        answer.end = if rest.len() == length { End::Whole } else { cut };
        return answer;
    }
    while let Some(line) = find(rest, b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            answer.end = End::Whole;
            break;
        }
        answer.chunks.push(rest[..size.min(rest.len())].to_vec());
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    answer
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
