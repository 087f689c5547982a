//! A layer that is broken in a way that one can choose.

pub(crate) mod ledger;

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_util::{StreamExt, future::BoxFuture, stream};
use llm_core::{
    Body, BoxLlmService, Error, Event, FinishReason, Frame, LlmRequest, LlmResponse, Output, Payload, Usage,
};
use tower::{Service, ServiceExt};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    ForgetsBody,
    ForgetsReadiness,
    LeavesTask,
    ReplaysAfterContent,
    SwapsFrames,
    DelaysFrames,
    KeepsFirstWaker,
    HidesFailure,
    RetriesForFree,
    CallsTwice,
    HidesUsage,
    CallsUnready,
    LogsPrompt,
    TellsPrompt,
    SharesAnswers,
    ForgetsSensitivity,
    Spins,
    LosesWaker,
    Panics,
}

impl Fault {
    pub(crate) fn around(self, inner: BoxLlmService) -> BoxLlmService {
        BoxLlmService::new(Broken { fault: self, inner, answers: Arc::default() })
    }
}

#[derive(Clone)]
struct Broken {
    fault: Fault,
    inner: BoxLlmService,
    answers: Arc<Mutex<Option<Output>>>,
}

impl Service<LlmRequest> for Broken {
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let Self { fault, answers, .. } = self.clone();
        let not_ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, not_ready.clone());
        Box::pin(async move {
            match fault {
                Fault::None
                | Fault::DelaysFrames
                | Fault::KeepsFirstWaker
                | Fault::HidesFailure
                | Fault::SwapsFrames
                | Fault::ForgetsBody => {
                    let response = inner.call(request).await?;
                    Ok(response.map(|body| change(fault, body)))
                }
                Fault::ForgetsReadiness => {
                    let mut forgotten = not_ready;
                    let _ = forgotten.ready().await;
                    std::mem::forget(forgotten);
                    inner.call(request).await
                }
                Fault::LeavesTask => {
                    tokio::spawn(std::future::pending::<()>());
                    inner.call(request).await
                }
                Fault::ReplaysAfterContent => {
                    let response = inner.call(request.clone()).await?;
                    let mut again = request;
                    again.context_mut().begin_attempt(llm_core::Again::Retry, Default::default());
                    Ok(response.map(|body| replay(body, not_ready, again)))
                }
                Fault::RetriesForFree => {
                    let mut result = inner.call(request.clone()).await;
                    for _ in 0..8 {
                        if result.is_ok() {
                            break;
                        }
                        let mut again = request.clone();
                        again.context_mut().begin_attempt(llm_core::Again::Retry, Default::default());
                        result = not_ready.clone().oneshot(again).await;
                    }
                    result
                }
                Fault::CallsTwice => {
                    let (first, second) =
                        futures_util::join!(inner.call(request.clone()), not_ready.oneshot(request.clone()));
                    first.or(second)
                }
                Fault::HidesUsage => {
                    let response = inner.call(request.clone()).await?;
                    let Some(output) = response.body.as_full().cloned() else { return Ok(response) };
                    let mut output = output;
                    output.set_usage(Usage::reported(1, 1));
                    Ok(LlmResponse::new(response.head, Body::full(output)))
                }
                Fault::CallsUnready => not_ready.clone().call(request).await,
                Fault::LogsPrompt => {
                    if let Payload::Chat(chat) = request.payload() {
                        let text = chat.messages[0].parts[0].as_text().unwrap_or_default();
                        tracing::trace!(text, "calling");
                    }
                    inner.call(request).await
                }
                Fault::TellsPrompt => {
                    let text = match request.payload() {
                        Payload::Chat(chat) => chat.messages[0].parts[0].as_text().unwrap_or_default().to_owned(),
                        _ => String::new(),
                    };
                    inner.call(request).await.map_err(|error| error.with_message(text))
                }
                Fault::SharesAnswers => {
                    let kept = answers.lock().unwrap().clone();
                    if let (Some(output), Payload::Chat(_)) = (kept, request.payload()) {
                        return Ok(LlmResponse::from(output));
                    }
                    let response = inner.call(request).await?;
                    if let Some(Output::Chat(chat)) = response.body.as_full() {
                        *answers.lock().unwrap() = Some(Output::Chat(chat.clone()));
                    }
                    Ok(response)
                }
                Fault::ForgetsSensitivity => {
                    let context = llm_core::Context::new(request.context().id());
                    inner.call(request.with_context(context)).await
                }
                Fault::Spins => {
                    std::future::poll_fn(|cx: &mut Context<'_>| {
                        cx.waker().wake_by_ref();
                        Poll::<()>::Pending
                    })
                    .await;
                    inner.call(request).await
                }
                Fault::LosesWaker => std::future::pending().await,
                Fault::Panics => panic!("a layer panics"),
            }
        })
    }
}

fn change(fault: Fault, body: Body) -> Body {
    match fault {
        Fault::HidesFailure => body.wrap(|body| {
            let mut is_over = false;
            body.flat_map(move |item| {
                let items: Vec<Result<Frame, Error>> = match item {
                    _ if is_over => Vec::new(),
                    Ok(frame) => vec![Ok(frame)],
                    Err(_) => {
                        is_over = true;
                        vec![Ok(Frame::event(Event::Finish(FinishReason::Stop))), Ok(Frame::default().last())]
                    }
                };
                stream::iter(items)
            })
        }),
        Fault::DelaysFrames => body.wrap(|body| {
            body.then(|item| async {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                item
            })
        }),
        Fault::KeepsFirstWaker => body.wrap(|body| Clinging { body, waker: None }),
        Fault::SwapsFrames => body.wrap(|body| Swapping { body, kept: None }),
        Fault::ForgetsBody => body.wrap(|body| Forgetful(Some(body))),
        _ => body,
    }
}

/// Hands on each frame after the next one.
struct Swapping {
    body: Body,
    kept: Option<Frame>,
}

impl Stream for Swapping {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            return match std::task::ready!(this.body.poll_next_unpin(cx)) {
                Some(Ok(frame)) if this.kept.is_none() && frame.is_content() => {
                    this.kept = Some(frame);
                    continue;
                }
                None => Poll::Ready(this.kept.take().map(Ok)),
                Some(Ok(frame)) if frame.is_last() => {
                    let kept = this.kept.take().unwrap_or_default();
                    this.kept = Some(frame);
                    Poll::Ready(Some(Ok(kept)))
                }
                other => Poll::Ready(other),
            };
        }
    }
}

/// Wakes whoever has polled it first.
struct Clinging {
    body: Body,
    waker: Option<std::task::Waker>,
}

impl Stream for Clinging {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let waker = self.waker.get_or_insert_with(|| cx.waker().clone()).clone();
        self.body.poll_next_unpin(&mut Context::from_waker(&waker))
    }
}

/// What is not read to its end is never dropped.
struct Forgetful(Option<Body>);

impl Stream for Forgetful {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().unwrap().poll_next_unpin(cx)
    }
}

impl Drop for Forgetful {
    fn drop(&mut self) {
        std::mem::forget(self.0.take());
    }
}

/// Goes on with another attempt where the first one has failed after content.
fn replay(body: Body, service: BoxLlmService, request: LlmRequest) -> Body {
    body.wrap(|body| {
        body.flat_map(move |item| {
            let (service, request) = (service.clone(), request.clone());
            match item {
                Ok(frame) => stream::iter([Ok(frame)]).boxed(),
                Err(error) => stream::once(async move {
                    match service.oneshot(request).await {
                        Ok(response) => response.body.boxed(),
                        Err(_) => stream::iter([Err(error)]).boxed(),
                    }
                })
                .flatten()
                .boxed(),
            }
        })
    })
}
