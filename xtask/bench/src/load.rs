//! Requests over connections that are kept, and a look at each answer.

use std::{net::SocketAddr, time::Instant};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    Failure,
    canned::{MODEL, quoted},
    dialect::OPENAI,
    peer::{ANSWER, MORE},
};

/// What is asked: the body of a request, and the bytes of its answer.
#[derive(Clone, Debug)]
pub struct Question {
    body: Bytes,
    answer: Bytes,
}

impl Question {
    /// A small request for a whole answer.
    pub fn whole() -> Self {
        Self { body: body(MODEL, ""), answer: (OPENAI.answer)(ANSWER).into() }
    }

    /// A small request for a stream of `model`, which says how fast it comes.
    pub fn stream(model: &str) -> Self {
        let stream = r#","stream":true,"stream_options":{"include_usage":true}"#;
        Self { body: body(model, stream), answer: (OPENAI.stream)().concat().into() }
    }

    /// The same question, of which another answer is expected.
    pub fn expecting(mut self, answer: impl Into<Bytes>) -> Self {
        self.answer = answer.into();
        self
    }

    /// The bytes of the answer.
    pub fn answer(&self) -> &Bytes {
        &self.answer
    }
}

fn body(model: &str, more: &str) -> Bytes {
    let text = quoted("Why is the sky blue? Answer in one sentence.");
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":{text}}}],"max_tokens":200{more}}}"#).into()
}

/// One connection that is kept.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Connection {
    /// Opens it.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How it ends shows in the answers.
        tokio::spawn(connection);
        Ok(Self { sender, address })
    }

    async fn post(&mut self, path: &str, body: Bytes) -> Result<Response<Incoming>, Failure> {
        self.sender.ready().await?;
        let request = Request::post(path)
            .header("host", self.address.to_string())
            .header("authorization", "Bearer bench")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Asks, and returns when the head of the answer is there.
    pub async fn begin(&mut self, question: &Question) -> Result<Incoming, Failure> {
        let response = self.post("/v1/chat/completions", question.body.clone()).await?;
        if !response.status().is_success() {
            return Err(format!("the answer was {}", response.status()).into());
        }
        Ok(response.into_body())
    }

    /// Asks, and checks every byte of the answer.
    pub async fn ask(&mut self, question: &Question) -> Result<(), Failure> {
        let mut body = self.begin(question).await?;
        let mut left = &question.answer[..];
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            left = left.strip_prefix(&data[..]).ok_or("the answer is not the one that the origin gave")?;
        }
        if left.is_empty() { Ok(()) } else { Err("the answer is not whole".into()) }
    }

    /// Asks for a stream, checks it, and tells after how many nanoseconds its first content was there.
    pub async fn first_content(&mut self, question: &Question) -> Result<f64, Failure> {
        let started = Instant::now();
        let mut body = self.begin(question).await?;
        let mut seen = BytesMut::with_capacity(question.answer.len());
        let mut first = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            seen.extend_from_slice(&data);
            // The first event has an empty text.
            if first.is_none() && occurrences(&seen, b"\n\n") >= 2 {
                first = Some(started.elapsed().as_nanos() as f64);
            }
        }
        if seen != question.answer {
            return Err("the answer is not the one that the origin gave".into());
        }
        first.ok_or_else(|| "there was no content".into())
    }

    /// Asks an origin for one more event of a stream that comes on request.
    pub async fn more(&mut self) -> Result<(), Failure> {
        self.post(MORE, Bytes::new()).await?.into_body().collect().await?;
        Ok(())
    }
}

/// How often `what` is in `text`.
fn occurrences(text: &[u8], what: &[u8]) -> usize {
    text.windows(what.len()).filter(|window| *window == what).count()
}

/// Asks `question` `each` times over each of the `connections`, over all of them at once.
pub async fn ask_all(
    connections: Vec<Connection>,
    question: &Question,
    each: usize,
) -> Result<Vec<Connection>, Failure> {
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let question = question.clone();
        tasks.spawn(async move {
            for _ in 0..each {
                connection.ask(&question).await?;
            }
            Ok::<_, Failure>(connection)
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// Opens `number` connections.
pub async fn open(address: SocketAddr, number: usize) -> Result<Vec<Connection>, Failure> {
    let mut connections = Vec::with_capacity(number);
    for _ in 0..number {
        connections.push(Connection::open(address).await?);
    }
    Ok(connections)
}
