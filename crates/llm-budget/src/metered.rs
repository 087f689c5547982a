//! A stream for which more is set aside while it runs, and which ends where there is no more.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context as Task, Poll, ready},
};

use futures_core::Stream;
use llm_core::{Body, Context, Error, ErrorKind, Frame, NanoUsd, Stage, Striped, Target, Trail};

use crate::{Hold, LedgerFuture, Refusal, Settlement, WhenShort, layer::Metered, quote::Quote, shared::Shared};

/// What is set aside for a stream, and on what terms there is more: what the stream and whoever observes it have in common.
pub(crate) struct Meter {
    shared: Striped<Shared>,
    trail: Trail,
    target: Option<Target>,
    quote: Quote,
    terms: Metered,
    /// How much output is set aside for at first.
    first: u64,
    /// The output so far, as it may be billed.
    output: AtomicU64,
    hold: Mutex<Option<Box<dyn Hold>>>,
}

impl Meter {
    pub(crate) fn new(
        shared: Striped<Shared>,
        context: &Context,
        quote: Quote,
        terms: Metered,
        first: u64,
        hold: Box<dyn Hold>,
    ) -> Self {
        let (trail, target) = (context.trail(), context.target().cloned());
        let (output, hold) = (AtomicU64::new(0), Mutex::new(Some(hold)));
        Self { shared, trail, target, quote, terms, first, output, hold }
    }

    /// Holds `body` to what is set aside for it. A whole answer is there already, and settled.
    pub(crate) fn limit(self: Arc<Self>, body: Body) -> Body {
        if body.is_full() {
            return body;
        }
        body.wrap(|body| MeteredStream { body: Some(body), metering: Metering::new(self) })
    }

    pub(crate) fn saw(&self, output: u64) {
        self.output.store(output, Relaxed);
    }

    pub(crate) fn settle(&self, settlement: Settlement) {
        if let Some(mut hold) = self.lock().take() {
            hold.settle(settlement);
        }
    }

    fn extend(&self, more: NanoUsd) -> Option<LedgerFuture<Result<(), Refusal>>> {
        self.lock().as_mut().map(|hold| hold.extend(more))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Box<dyn Hold>>> {
        // It is there or it is not, whoever panics.
        self.hold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a stream has come.
struct Metering {
    meter: Arc<Meter>,
    /// How much output is set aside for.
    covered: u64,
    /// How much of it there must be before more is asked for.
    ask_at: u64,
    asking: Option<Asking>,
    /// Why there is no more, since it was last asked for.
    refusal: Option<(NanoUsd, Refusal)>,
    /// The most output that came with one frame.
    largest: u64,
    seen: u64,
}

struct Asking {
    tokens: u64,
    amount: NanoUsd,
    answer: LedgerFuture<Result<(), Refusal>>,
}

impl Metering {
    fn new(meter: Arc<Meter>) -> Self {
        let (covered, slice) = (meter.first, meter.terms.slice.get());
        let ask_at = covered.saturating_sub(slice / 2);
        Self { meter, covered, ask_at, asking: None, refusal: None, largest: 0, seen: 0 }
    }

    /// Takes note of what has come, and asks for more when it is time.
    fn go_on(&mut self) {
        let output = self.meter.output.load(Relaxed);
        self.largest = self.largest.max(output.saturating_sub(self.seen));
        self.seen = output;
        let most = self.meter.quote.most_output();
        if self.asking.is_none() && self.covered < most && output >= self.ask_at {
            self.ask(self.meter.terms.slice.get().min(most - self.covered));
        }
    }

    fn ask(&mut self, tokens: u64) {
        let known = self.meter.quote.with_output(self.covered);
        let amount = self.meter.quote.with_output(self.covered + tokens).saturating_sub(known);
        // There is nothing to extend once the call is settled.
        self.asking = self.meter.extend(amount).map(|answer| Asking { tokens, amount, answer });
    }

    /// Looks whether more was set aside; true while that is not known.
    fn is_asking(&mut self, task: &mut Task<'_>) -> bool {
        while let Some(Asking { tokens, amount, answer }) = &mut self.asking {
            let Poll::Ready(answer) = Pin::new(answer).poll(task) else { return true };
            let (tokens, amount, slice) = (*tokens, *amount, self.meter.terms.slice.get());
            self.asking = None;
            match answer {
                Ok(()) => {
                    self.covered += tokens;
                    self.ask_at = self.covered.saturating_sub(slice / 2);
                    self.refusal = None;
                }
                Err(refusal) => {
                    // Others may have settled by the time that a little more has come.
                    self.ask_at = self.seen + (slice / 8).max(1);
                    let known = self.meter.quote.with_output(self.covered);
                    let fits = self.meter.quote.output_for(known.saturating_add(refusal.available));
                    let fits = fits.unwrap_or(0).saturating_mul(self.meter.quote.answers).saturating_sub(self.covered);
                    self.refusal = Some((amount, refusal));
                    if fits >= (slice / 8).max(1) && fits < tokens {
                        self.ask(fits);
                    }
                }
            }
        }
        false
    }

    /// Whether the next frame may hold more than is set aside for.
    fn is_spent(&self) -> bool {
        self.covered < self.meter.quote.most_output() && self.seen.saturating_add(self.largest) > self.covered
    }

    /// Why the stream must end, if it must.
    fn verdict(&self) -> Option<Error> {
        let (amount, refusal) = self.refusal.as_ref().filter(|_| self.is_spent())?;
        let may_go_on = match self.meter.terms.when_short {
            WhenShort::Cut => false,
            WhenShort::Finish(overdraft) => self.seen <= self.covered.saturating_add(overdraft.get()),
        };
        if may_go_on {
            return None;
        }
        self.meter.shared.counts.cut.fetch_add(1, Relaxed);
        let text = format!("the answer was cut: {}", self.meter.shared.message(refusal, *amount));
        let mut error = Error::new(ErrorKind::BudgetExceeded, text).with_trail(self.meter.trail.clone());
        error = error.with_stage(Stage::AfterContent);
        if let Some(wait) = refusal.wait {
            error = error.with_retry_after(wait);
        }
        Some(match &self.meter.target {
            Some(target) => error.with_target(target.clone()),
            None => error,
        })
    }
}

struct MeteredStream {
    // Gone once it has ended.
    body: Option<Body>,
    metering: Metering,
}

impl Stream for MeteredStream {
    type Item = Result<Frame, Error>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let Self { body: own, metering } = &mut *self;
        let Some(body) = own else { return Poll::Ready(None) };
        // What came is handed on before anything is made of it, so that no frame waits.
        if metering.is_asking(task) && metering.is_spent() {
            return Poll::Pending;
        }
        if let Some(error) = metering.verdict() {
            // The call to the provider is cancelled first, which settles it, and then told of.
            *own = None;
            return Poll::Ready(Some(Err(error)));
        }
        let polled = ready!(Pin::new(body).poll_next(task));
        match polled {
            Some(Ok(frame)) => {
                metering.go_on();
                Poll::Ready(Some(Ok(frame)))
            }
            over => {
                *own = None;
                Poll::Ready(over)
            }
        }
    }
}
