//! An answer as its script says.

use std::{
    collections::VecDeque,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use llm_core::{
    Body, EmbedOutput, Error, ErrorKind, Event, FinishReason, Frame, Head, LlmRequest, LlmResponse, Output, Payload,
    Provenance, Start, Target, TokenCount, Usage, Vector,
};
use tokio::time::{Instant, Sleep, sleep};

use super::{Place, Scripted};
use crate::{
    truth::{CAUSE, Truth, said},
    world::{Answer, Early, End, Report},
};

/// One answer as it goes on.
pub(super) struct Playing {
    pub(super) attempt: usize,
    pub(super) tenant: u8,
    pub(super) answer: Answer,
    pub(super) target: Target,
    pub(super) truth: Truth,
    pub(super) place: Option<Place>,
}

impl Playing {
    pub(super) async fn respond(self, request: LlmRequest) -> Result<LlmResponse, Error> {
        sleep(Duration::from_millis(self.answer.head_ms.into())).await;
        match &self.answer.early {
            None => {}
            Some(Early::Hang) => std::future::pending().await,
            Some(Early::PanicInFuture | Early::PanicInCall) => resume_unwind(Box::new(Scripted)),
            Some(Early::Fail { kind, retry_after_ms }) => {
                let error = self.failure(kind, &request);
                let wait = retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
                return Err(match wait {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                });
            }
        }
        let head = Head { target: Some(self.target.clone()), ..Head::default() };
        let body = if request.is_stream() && !self.answer.whole {
            let steps = self.steps(&request);
            let model = self.target.model().to_owned();
            Body::stream(Frames { steps, sleeps: None, playing: self }).answering(&request, &model)
        } else {
            Body::full(self.whole(&request).await?).answering(&request, self.target.model())
        };
        Ok(LlmResponse::new(head, body))
    }

    fn failure(&self, kind: &str, request: &LlmRequest) -> Error {
        let kind = ErrorKind::ALL.into_iter().find(|known| known.as_str() == kind).unwrap_or(ErrorKind::Server);
        Error::new(kind, "as the script says")
            .with_source(CAUSE)
            .with_target(self.target.clone())
            .with_trail(request.context().trail())
    }

    fn usage(&self) -> Option<Usage> {
        match self.answer.report {
            Report::Never => None,
            Report::Zeros => Some(Usage::reported(0, 0)),
            Report::AtEnd | Report::Late | Report::Twice | Report::Early => {
                Some(Usage::reported(20, self.answer.tokens.into()))
            }
        }
    }

    fn text(&self) -> impl Iterator<Item = String> {
        (0..u32::from(self.answer.frames)).map(|frame| said(self.attempt, frame, self.tenant))
    }

    /// The whole answer, when a client would have read all of it.
    async fn whole(&self, request: &LlmRequest) -> Result<Output, Error> {
        let ms = u64::from(self.answer.frame_ms) * u64::from(self.answer.frames);
        sleep(Duration::from_millis(ms)).await;
        match &self.answer.end {
            End::Complete | End::Unterminated => {}
            End::Cut => return Err(self.failure("interrupted", request)),
            End::Fail(kind) => return Err(self.failure(kind, request)),
            End::Hang => std::future::pending().await,
            End::Panic => resume_unwind(Box::new(Scripted)),
        }
        let mut output = match request.payload() {
            Payload::Chat(_) => Output::text(self.text().collect::<String>()),
            Payload::Embed(embed) => Output::Embed(EmbedOutput {
                vectors: embed.input.iter().map(|_| Vector(vec![self.tenant.into()])).collect(),
                ..EmbedOutput::default()
            }),
            Payload::CountTokens(_) => TokenCount { input_tokens: 20, provenance: Provenance::Reported }.into(),
        };
        if let Some(usage) = self.usage() {
            output.set_usage(usage);
        }
        Ok(output)
    }

    fn steps(&self, request: &LlmRequest) -> VecDeque<Step> {
        let Answer { empty_frames, frame_ms, end, report, .. } = &self.answer;
        let usage = self.usage().map(|usage| Frame::event(Event::Usage(usage)));
        let pause = Step::Wait((*frame_ms).into());
        let mut steps = VecDeque::from([Step::Frame(Frame::event(Event::Start(Start::default())))]);
        match report {
            Report::Twice => steps.push_back(Step::Frame(Frame::event(Event::Usage(Usage::reported(20, 0))))),
            Report::Early => steps.extend(usage.clone().map(Step::Frame)),
            Report::AtEnd | Report::Never | Report::Late | Report::Zeros => {}
        }
        for _ in 0..*empty_frames {
            steps.extend([pause.clone(), Step::Frame(Frame::default())]);
        }
        for text in self.text() {
            steps.extend([pause.clone(), Step::Frame(Frame::text(text))]);
        }
        steps.push_back(pause);
        match end {
            End::Complete | End::Unterminated => {
                if !matches!(report, Report::Late | Report::Early) {
                    steps.extend(usage.clone().map(Step::Frame));
                }
                steps.push_back(Step::Frame(Frame::event(Event::Finish(FinishReason::Stop))));
                if *report == Report::Late {
                    steps.push_back(Step::Wait(500));
                    steps.extend(usage.map(Step::Frame));
                }
                if *end == End::Complete {
                    steps.push_back(Step::Frame(Frame::default().last()));
                }
            }
            End::Cut => {}
            End::Fail(kind) => steps.push_back(Step::Fail(self.failure(kind, request))),
            End::Hang => steps.push_back(Step::Hang),
            End::Panic => steps.push_back(Step::Panic),
        }
        steps
    }
}

#[derive(Clone)]
enum Step {
    Wait(u64),
    Frame(Frame),
    Fail(Error),
    Hang,
    Panic,
}

/// The frames of a streamed answer.
struct Frames {
    steps: VecDeque<Step>,
    sleeps: Option<Pin<Box<Sleep>>>,
    playing: Playing,
}

impl Stream for Frames {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if !this.playing.truth.may_poll() {
            return Poll::Pending;
        }
        if let Some(place) = &this.playing.place {
            (place.shared.watches.0)();
        }
        loop {
            if let Some(sleep) = &mut this.sleeps {
                ready!(sleep.as_mut().poll(cx));
                this.sleeps = None;
            }
            match this.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Wait(0)) => {}
                Some(Step::Wait(ms)) => this.sleeps = Some(Box::pin(sleep(Duration::from_millis(ms)))),
                Some(Step::Frame(frame)) => {
                    if frame.is_content() {
                        let Playing { attempt, truth, .. } = &this.playing;
                        truth.facts().attempts[*attempt].emitted.push(Instant::now());
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Step::Fail(error)) => {
                    this.steps.clear();
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Step::Hang) => {
                    this.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Panic) => resume_unwind(Box::new(Scripted)),
            }
        }
    }
}
