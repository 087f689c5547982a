//! An http client that answers from a script, and writes down what it was asked.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use llm_core::{Error, LlmRequest, LlmResponse};
use llm_providers::{Provider, ProviderLayer};
use llm_wire::openai;
use tower::{Layer, Service, ServiceExt};

use crate::speech::{self, Speech};

/// What a scripted body does next. At the end of its script it ends.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Break,
    Hang,
}

pub(crate) fn data(bytes: impl AsRef<[u8]>) -> Step {
    Step::Data(Bytes::copy_from_slice(bytes.as_ref()))
}

/// A body that plays a script. It holds `alive`, so that its end can be seen from outside.
#[derive(Debug)]
pub(crate) struct ScriptBody {
    steps: VecDeque<Step>,
    polled_to_end: bool,
    seen: Arc<Mutex<Seen>>,
}

/// What became of the last body, and the requests.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: Vec<Request<Bytes>>,
    pub(crate) bodies_dropped: usize,
    pub(crate) bodies_read_to_end: usize,
    pub(crate) clones: usize,
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.steps.front() {
            Some(Step::Hang) => return Poll::Pending,
            None => {
                self.polled_to_end = true;
                return Poll::Ready(None);
            }
            Some(_) => {}
        }
        Poll::Ready(self.steps.pop_front().map(|step| match step {
            Step::Data(bytes) => Ok(Frame::data(bytes)),
            Step::Break | Step::Hang => Err(io::ErrorKind::ConnectionReset.into()),
        }))
    }
}

impl Drop for ScriptBody {
    fn drop(&mut self) {
        let mut seen = self.seen.lock().unwrap();
        seen.bodies_dropped += 1;
        seen.bodies_read_to_end += usize::from(self.polled_to_end);
    }
}

/// The scripted http client.
#[derive(Debug)]
pub(crate) struct Http {
    status: u16,
    headers: HeaderMap,
    steps: Vec<Step>,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Clone for Http {
    fn clone(&self) -> Self {
        self.seen.lock().unwrap().clones += 1;
        Self {
            status: self.status,
            headers: self.headers.clone(),
            steps: self.steps.clone(),
            seen: Arc::clone(&self.seen),
        }
    }
}

impl Http {
    pub(crate) fn new(status: u16, content_type: &'static str, steps: impl IntoIterator<Item = Step>) -> Self {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert("content-type", content_type.parse().unwrap());
        }
        Self { status, headers, steps: steps.into_iter().collect(), seen: Arc::default() }
    }

    pub(crate) fn events(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::new(200, "text/event-stream; charset=utf-8", steps)
    }

    pub(crate) fn json(body: &str) -> Self {
        Self::new(200, "application/json", [data(body)])
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn provider(&self) -> Provider<Self> {
        layer().layer(self.clone())
    }

    pub(crate) async fn ask(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        self.provider().oneshot(request).await
    }

    pub(crate) async fn ask_in(&self, speech: &Speech, request: LlmRequest) -> Result<LlmResponse, Error> {
        speech.layer().layer(self.clone()).oneshot(request).await
    }

    pub(crate) fn last_request(&self) -> Request<Bytes> {
        self.seen.lock().unwrap().requests.last().expect("a request was made").clone()
    }

    pub(crate) fn bodies_dropped(&self) -> usize {
        self.seen.lock().unwrap().bodies_dropped
    }
}

pub(crate) fn layer() -> ProviderLayer {
    speech::OPENAI.layer()
}

impl Service<Request<Full<Bytes>>> for Http {
    type Response = Response<ScriptBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let bytes = body.collect();
        let bytes = futures_util::FutureExt::now_or_never(bytes).unwrap().unwrap().to_bytes();
        self.seen.lock().unwrap().requests.push(Request::from_parts(parts, bytes));
        let body = ScriptBody { steps: self.steps.clone().into(), polled_to_end: false, seen: Arc::clone(&self.seen) };
        let mut response = Response::new(body);
        *response.status_mut() = self.status.try_into().unwrap();
        *response.headers_mut() = self.headers.clone();
        ready(Ok(response))
    }
}

pub(crate) fn chat(body: &'static str) -> LlmRequest {
    openai::decode_chat(Bytes::from_static(body.as_bytes())).unwrap()
}

pub(crate) fn whole() -> LlmRequest {
    LlmRequest::chat("small").user("a prompt-canary").build()
}

pub(crate) fn streamed() -> LlmRequest {
    LlmRequest::chat("small").user("a prompt-canary").stream().build()
}
