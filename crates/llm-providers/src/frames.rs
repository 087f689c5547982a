//! A streamed answer: http data in, frames out, one by one as they come.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body as HttpBodyTrait;
use llm_core::{Error, Frame, Target, Trail};
use llm_wire::{error::decode_in_band, sse};
use tower::BoxError;

use crate::{
    dialect::StreamDecoder,
    failure,
    layer::Settings,
    whole::{HttpBody, data, next_piece},
};

/// How long the end of an http body may lag behind its last frame for the connection to be kept. Servers write the
/// two one after the other, often in two packets; a new TLS connection costs about as much as this.
const LINGER: Duration = Duration::from_secs(1);

/// The frames of an http body. The body is let go as soon as nothing more is wanted of it, and when this is dropped.
pub(crate) struct Frames<B> {
    body: Option<HttpBody<B>>,
    lines: sse::Decoder,
    decoder: StreamDecoder,
    settings: Arc<Settings>,
    target: Target,
    trail: Trail,
}

impl<B> Frames<B>
where
    B: HttpBodyTrait + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// `begun` is what was read of the body already.
    pub(crate) fn new(begun: Bytes, body: HttpBody<B>, settings: Arc<Settings>, target: Target, trail: Trail) -> Self {
        let mut lines = sse::Decoder::new();
        lines.push(begun);
        Self { body: Some(body), lines, decoder: settings.dialect.stream_decoder(), settings, target, trail }
    }

    fn decode(&mut self, frame: sse::Frame) -> Result<Frame, Error> {
        // An error object can follow the events as bare JSON; to the rules of event streams its lines say nothing.
        if frame.data.is_none()
            && let Some(error) = bare_error(&frame.bytes)
        {
            return Err(error);
        }
        self.decoder.decode(frame)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.body = None;
        let error = self.settings.keys.strike_out(error);
        error.with_target(self.target.clone()).with_trail(self.trail.clone())
    }
}

impl<B> Stream for Frames<B>
where
    B: HttpBodyTrait + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let decoded = match this.lines.next_frame() {
                Ok(Some(frame)) => this.decode(frame),
                Err(error) => Err(error),
                Ok(None) => {
                    let Some(body) = &mut this.body else { return Poll::Ready(None) };
                    match ready!(body.as_mut().poll_frame(cx)) {
                        Some(Ok(frame)) => {
                            this.lines.push(data(frame));
                            continue;
                        }
                        Some(Err(error)) => Err(failure::of_body(error.into())),
                        None => {
                            this.body = None;
                            match bare_error(&this.lines.rest()) {
                                Some(error) => Err(error),
                                None => return Poll::Ready(None),
                            }
                        }
                    }
                }
            };
            return Poll::Ready(Some(match decoded {
                Ok(frame) => {
                    if frame.is_last() {
                        let_go(this.body.take(), cx);
                    }
                    Ok(frame)
                }
                Err(error) => Err(this.fail(error)),
            }));
        }
    }
}

fn bare_error(bytes: &[u8]) -> Option<Error> {
    let bytes = bytes.trim_ascii();
    if bytes.starts_with(b"{") || bytes.starts_with(b"[") { decode_in_band(bytes) } else { None }
}

/// Lets a body go whose last frame has come, so that its connection can be used again: for that the http body must be
/// read to its end. If the end is not there yet, a task waits for it, for a moment.
fn let_go<B>(body: Option<HttpBody<B>>, cx: &mut Context<'_>)
where
    B: HttpBodyTrait + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Some(mut body) = body else { return };
    if body.is_end_stream() || body.as_mut().poll_frame(cx).is_ready() {
        return;
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        // One more piece is the end, or the server is not about to end.
        runtime.spawn(async move { tokio::time::timeout(LINGER, next_piece(&mut body)).await });
    }
}
