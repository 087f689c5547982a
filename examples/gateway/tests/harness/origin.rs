//! A server of bytes, in the place of a provider, or where nobody may ever come.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Keeps whatever reaches it, and answers each connection's first request with the same bytes.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    pub(crate) async fn start(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::deciding(move || answer.clone()).await
    }

    /// The same with answers that may change: each is asked for when a request is there.
    pub(crate) async fn deciding(answer: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen, answer) = (listener.local_addr().unwrap(), Arc::default(), Arc::new(answer));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&answer), Arc::clone(&kept)));
            }
        });
        Self { address, seen }
    }

    /// An answer of http with this status, these lines in its head, and this body.
    pub(crate) fn answer(status: &str, lines: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{lines}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far, each with its head and body; what sent nothing is there as an empty one.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Checks that nobody has come. Connections are taken in their order, so whoever came before is seen by now.
    pub(crate) async fn is_untouched(&self) {
        let mut own = TcpStream::connect(self.address).await.unwrap();
        own.write_all(b"GET /mark HTTP/1.1\r\n\r\n").await.unwrap();
        own.read_to_end(&mut Vec::new()).await.unwrap();
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        assert_eq!(seen, ["GET /mark HTTP/1.1\r\n\r\n"], "somebody came here");
    }
}

async fn serve(mut connection: TcpStream, answer: Arc<impl Fn() -> String>, seen: Arc<Mutex<Vec<String>>>) {
    let place = {
        let mut seen = seen.lock().unwrap();
        seen.push(String::new());
        seen.len() - 1
    };
    let mut request = Vec::new();
    while !is_whole(&request) {
        match connection.read_buf(&mut request).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    if let Some(kept) = seen.lock().unwrap().get_mut(place) {
        *kept = String::from_utf8_lossy(&request).into_owned();
    }
    let _ = connection.write_all(answer().as_bytes()).await;
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.to_ascii_lowercase().lines().find_map(|line| Some(line.strip_prefix("content-length: ")?.to_owned()));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}
