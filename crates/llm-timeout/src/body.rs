//! The stream of an answer, which must go on and end in time.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use llm_core::{Body, Error, Frame, Stage};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    call::Call,
    terms::{Due, Terms},
    timer::Timer,
};

/// Holds `body` to the terms of its call, which it takes. A whole answer is there already and stays as it is.
pub(crate) fn limit(body: Body, call: &mut Option<Call>) -> Body {
    if body.is_full() {
        return body;
    }
    let Some(call) = call.take_if(|call| call.terms.is_any_left()) else { return body };
    let end = call.terms.end();
    body.wrap(|body| Limited { body: Some(body), call, end, wait: Wait::FirstContent, timer: Timer::default() })
}

pin_project! {
    /// A stream that fails when its next content, or its end, does not come in time.
    struct Limited {
        // Gone once it has ended.
        body: Option<Body>,
        call: Call,
        // By when all of it must be there.
        end: Option<Due>,
        wait: Wait,
        #[pin]
        timer: Timer,
    }
}

/// What the stream waits for. The time that the reader takes between two frames is no wait.
enum Wait {
    FirstContent,
    /// More content, for which it may wait this much longer. Nobody waits now.
    Paused(Duration),
    /// More content, for which somebody waits.
    More {
        until: Instant,
    },
    /// The end, and no longer for content.
    End,
}

impl Wait {
    /// A frame has come, and nobody waits until the next one is asked for.
    fn pause(&mut self, frame: &Frame, terms: &Terms) {
        if frame.ends_wait() {
            *self = terms.idle().map_or(Self::End, |(idle, _)| Self::Paused(idle));
        } else if let Self::More { until } = self {
            *self = Self::Paused(until.saturating_duration_since(Instant::now()));
        }
    }

    /// Somebody waits now. What runs out first?
    fn begin(&mut self, terms: &Terms) -> Option<Due> {
        if let Self::Paused(left) = self {
            *self = Instant::now().checked_add(*left).map_or(Self::End, |until| Self::More { until });
        }
        match self {
            Self::FirstContent => terms.first_content(),
            Self::More { until } => terms.while_idle(*until),
            Self::Paused(_) | Self::End => terms.end(),
        }
    }

    fn stage(&self) -> Stage {
        match self {
            Self::FirstContent => Stage::BeforeContent,
            Self::Paused(_) | Self::More { .. } | Self::End => Stage::AfterContent,
        }
    }
}

impl Stream for Limited {
    type Item = Result<Frame, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let Some(body) = this.body else { return Poll::Ready(None) };
        let terms = &this.call.terms;
        // The time for all of it may have run out without anybody waiting for the provider.
        if let Some(end) = *this.end
            && (this.timer.has_rung() || !this.timer.is_set())
        {
            if Instant::now() > end.at {
                return Poll::Ready(Some(Err(expire(this.body, this.call, this.wait, end))));
            }
            if this.timer.is_set() {
                this.timer.as_mut().ring_by(end.at);
            }
        }
        let due = match Pin::new(body).poll_next(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.wait.pause(&frame, terms);
                if let Some(end) = *this.end
                    && !this.timer.is_set()
                {
                    this.timer.ring_by(end.at);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(over) => {
                *this.body = None;
                return Poll::Ready(over);
            }
            Poll::Pending => this.wait.begin(terms),
        };
        let Some(due) = due else { return Poll::Pending };
        ready!(this.timer.poll_until(due.at, cx));
        Poll::Ready(Some(Err(expire(this.body, this.call, this.wait, due))))
    }
}

/// The call to the provider is cancelled first, and then told of.
fn expire(body: &mut Option<Body>, call: &Call, wait: &Wait, due: Due) -> Error {
    *body = None;
    call.expire(due.expiry, wait.stage())
}
