//! One http exchange: from the request's future to the model's response.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body as HttpBodyTrait;
use llm_core::{Body, Error, ErrorKind, Head, LlmRequest, LlmResponse, Output, Start, Target, clock};
use llm_wire::{error, headers};
use tower::BoxError;

use crate::{
    failure,
    frames::Frames,
    layer::Settings,
    whole::{HttpBody, NotWhole, next_piece, read_whole},
};

/// The most that is read of an error's body. Error objects have a few hundred bytes; some proxies send pages.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// How long an error's body is waited for. The status alone says most, and a body that hangs must not hide it.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);

/// A call under way.
pub(crate) struct Exchange {
    pub(crate) request: LlmRequest,
    pub(crate) target: Target,
    pub(crate) settings: Arc<Settings>,
}

impl Exchange {
    pub(crate) async fn run<F, B, E>(self, response: F) -> Result<LlmResponse, Error>
    where
        F: Future<Output = Result<Response<B>, E>>,
        E: Into<BoxError>,
        B: HttpBodyTrait + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let response = response.await.map_err(|error| failure::of_exchange(error.into()));
        let read = match response {
            Ok(response) => self.read(response).await,
            Err(error) => Err(error),
        };
        let read = read.map_err(|error| self.settings.keys.strike_out(error));
        read.map_err(|error| error.with_target(self.target).with_trail(self.request.context().trail()))
    }

    async fn read<B>(&self, response: Response<B>) -> Result<LlmResponse, Error>
    where
        B: HttpBodyTrait + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (parts, body) = response.into_parts();
        let mut body = Box::pin(body);
        if !parts.status.is_success() {
            return Err(failed(parts.status, &parts.headers, &mut body).await);
        }
        if is_compressed(&parts.headers) {
            return Err(undecodable("the provider's answer is compressed, which was not asked for"));
        }
        let mut head = Head {
            target: Some(self.target.clone()),
            rate_limits: headers::rate_limits(&parts.headers, clock::wall()).map(Box::new),
            request_id: headers::request_id(&parts.headers),
            ..Head::default()
        };
        let mut begun = Bytes::new();
        if is_event_stream(&parts.headers) {
            return Ok(LlmResponse::new(head, self.stream(begun, body)));
        }
        // Where a stream was asked for, some servers label it as JSON, or not at all: the bytes themselves decide.
        if self.request.is_stream() {
            begun = self.sniff(&mut body).await?;
            if !matches!(begun.trim_ascii_start().first(), Some(b'{' | b'[')) {
                return Ok(LlmResponse::new(head, self.stream(begun, body)));
            }
        }
        let bytes =
            read_whole(begun, &mut body, self.settings.max_answer_bytes).await.map_err(|error| match error {
                NotWhole::TooLong(_) => undecodable("the provider's answer is larger than can be taken"),
                NotWhole::Broken(_, source) => failure::of_body(source),
            })?;
        let output = self.settings.dialect.decode(self.request.payload(), bytes.clone())?;
        if let Output::Chat(chat) = &output {
            let Start { id, model, created } = &chat.start;
            (head.id, head.model, head.created) = (id.clone(), model.clone(), *created);
        }
        let body = Body::full(output).with_wire(self.settings.dialect.wire(), bytes);
        let body = body.answering(&self.request, self.target.model());
        Ok(LlmResponse::new(head, body))
    }

    fn stream<B>(&self, begun: Bytes, body: HttpBody<B>) -> Body
    where
        B: HttpBodyTrait + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let frames =
            Frames::new(begun, body, Arc::clone(&self.settings), self.target.clone(), self.request.context().trail());
        Body::stream(frames).answering(&self.request, self.target.model())
    }

    /// Reads up to the first byte that is not white space: some providers send empty lines while a call waits.
    async fn sniff<B>(&self, body: &mut HttpBody<B>) -> Result<Bytes, Error>
    where
        B: HttpBodyTrait,
        B::Error: Into<BoxError>,
    {
        let mut begun = BytesMut::new();
        while begun.trim_ascii_start().is_empty() && begun.len() < self.settings.max_answer_bytes {
            match next_piece(body).await {
                Some(piece) => begun.extend_from_slice(&piece.map_err(failure::of_body)?),
                None => break,
            }
        }
        Ok(begun.freeze())
    }
}

/// The error of an answer whose status is not a success.
async fn failed<B>(status: StatusCode, headers: &HeaderMap, body: &mut HttpBody<B>) -> Error
where
    B: HttpBodyTrait,
    B::Error: Into<BoxError>,
{
    if !(status.is_client_error() || status.is_server_error()) {
        return undecodable("the provider's answer is neither an answer nor an error; redirects are not followed")
            .with_status(status.as_u16());
    }
    let read = tokio::time::timeout(ERROR_BODY_WAIT, read_whole(Bytes::new(), body, MAX_ERROR_BYTES)).await;
    let bytes = match read {
        Ok(Ok(bytes) | Err(NotWhole::TooLong(bytes) | NotWhole::Broken(bytes, _))) => bytes,
        Err(_) => Bytes::new(),
    };
    error::decode(status.as_u16(), headers, &bytes, clock::wall())
}

fn undecodable(message: &'static str) -> Error {
    Error::new(ErrorKind::Undecodable, message)
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}
