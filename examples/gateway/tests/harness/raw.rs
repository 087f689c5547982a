//! Bytes on a socket, where a client library would be too polite.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends raw bytes and reads until the gateway closes the connection.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    // A peer that has been refused may be gone before it has read everything.
    let _ = connection.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends raw bytes and closes the sending half, where the gateway may want to go on with the connection.
pub(crate) async fn raw_and_leave(address: SocketAddr, bytes: &[u8]) -> String {
    // The last request of the connection, so that the gateway closes it when all before it is answered.
    let last = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    raw(address, &[bytes, last].concat()).await
}

/// The statuses of the answers on a connection, in order.
pub(crate) fn statuses(answers: &str) -> Vec<&str> {
    let status = |answer| str::get(answer, ..3).filter(|status| status.bytes().all(|byte| byte.is_ascii_digit()));
    answers.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..)).filter_map(status).collect()
}
