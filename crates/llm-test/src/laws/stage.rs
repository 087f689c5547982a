//! What the laws have in common: a subject around a probe, and ways to drive it by hand.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use llm_core::{Body, BoxLlmService, Error, Frame, LlmRequest, LlmResponse};
use tokio::time::Instant;
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use crate::{Probe, ProbeLog, Subject, Tally};

/// How an answer is asked for.
pub(super) const WHOLE_AND_STREAMED: [bool; 2] = [false, true];

/// A text that makes several frames.
pub(super) const TEXT: &str = "Blue light is scattered more than red.";

/// A subject around a probe.
pub(super) struct Stage {
    pub(super) subject: Subject,
    pub(super) service: BoxLlmService,
    pub(super) log: ProbeLog,
    at_rest: Vec<u64>,
}

impl Stage {
    pub(super) fn new(subject: &dyn Fn() -> Subject, probe: Probe) -> Self {
        let subject = subject();
        let log = probe.log();
        let service = subject.wrap(boxed(probe));
        let at_rest = subject.held.iter().map(|(_, read)| read()).collect();
        Self { subject, service, log, at_rest }
    }

    /// The rejecting twin of the subject, if there is one.
    pub(super) fn rejecting(subject: &dyn Fn() -> Subject, probe: Probe) -> Option<Self> {
        let log = probe.log();
        let subject = subject();
        let service = subject.wrap_rejecting(boxed(probe))?;
        Some(Self { subject, service, log, at_rest: Vec::new() })
    }

    /// Readies the service and calls it.
    pub(super) async fn call(&mut self, number: u64, streamed: bool) -> Result<LlmResponse, Error> {
        let request = self.subject.request(number, streamed);
        call(&mut self.service, request).await
    }

    /// A whole call, to the end of its stream.
    pub(super) async fn finish(&mut self, number: u64, streamed: bool) -> Result<Vec<Frame>, Error> {
        read(self.call(number, streamed).await?.body).await
    }

    /// Nothing may be left of the calls so far.
    #[track_caller]
    pub(super) fn assert_at_rest(&self, after: &str) {
        assert_eq!(self.log.in_flight(), 0, "after {after} the inner call was still under way");
        self.assert_nothing_held(after);
    }

    /// The layer itself may hold nothing.
    #[track_caller]
    pub(super) fn assert_nothing_held(&self, after: &str) {
        for ((what, read), at_rest) in self.subject.held.iter().zip(&self.at_rest) {
            assert_eq!(read(), *at_rest, "after {after} the layer still held some of its {what}");
        }
        assert_eq!(self.log.readied(), 0, "after {after} an inner instance was still kept ready");
    }

    /// What the layer has counted must be this, if it counts.
    #[track_caller]
    pub(super) fn assert_tally(&self, expected: Tally, after: &str) {
        if let Some(tally) = &self.subject.tally {
            assert_eq!(tally(), expected, "after {after} the layer had not counted exactly that");
        }
    }
}

/// The probe as a service. It forgives misuse, so that only the laws about misuse mind.
pub(super) fn boxed(probe: Probe) -> BoxLlmService {
    BoxCloneSyncService::new(probe.forgiving())
}

pub(super) async fn call(service: &mut BoxLlmService, request: LlmRequest) -> Result<LlmResponse, Error> {
    let answered = async { service.ready().await?.call(request).await };
    within(answered, "a call through the layer never came back").await
}

/// The frames of a body, up to its end.
pub(super) async fn read(mut body: Body) -> Result<Vec<Frame>, Error> {
    let mut frames = Vec::new();
    while let Some(frame) = within(body.next(), "the stream through the layer never ended").await {
        frames.push(frame?);
    }
    Ok(frames)
}

/// Reads up to and including the first content.
pub(super) async fn read_to_content(body: &mut Body) {
    loop {
        let frame = within(body.next(), "the first content never came through the layer").await;
        let frame = frame.expect("the layer ended the stream before its first content");
        if frame.expect("the layer failed the stream before its first content").is_content() {
            return;
        }
    }
}

/// Waits, for a day of paused time at most, which passes at once when nothing happens.
///
/// Paused time does not pass while something keeps waking itself, so polls without progress are limited too.
pub(super) async fn within<F: Future>(future: F, otherwise: &str) -> F::Output {
    const MOST_POLLS_AT_ONE_INSTANT: u32 = 100_000;
    let mut future = pin!(future);
    let (mut polls, mut at) = (0, Instant::now());
    let counted = std::future::poll_fn(|cx| {
        let now = Instant::now();
        polls = if now == at { polls + 1 } else { 0 };
        at = now;
        assert!(polls < MOST_POLLS_AT_ONE_INSTANT, "{otherwise}: it wakes itself again and again");
        future.as_mut().poll(cx)
    });
    tokio::time::timeout(Duration::from_secs(86_400), counted).await.unwrap_or_else(|_| panic!("{otherwise}"))
}

/// Lets tasks run that the layer may have spawned. Time stands still.
pub(super) async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

/// Runs a future to its end or to its panic.
pub(super) async fn caught<F: Future>(future: F) -> Option<F::Output> {
    std::panic::AssertUnwindSafe(future).catch_unwind().await.ok()
}

/// A future that is polled by hand, and counts how often it asks to be.
pub(super) struct ByHand<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicU64);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl<F: Future> ByHand<F> {
    pub(super) fn new(future: F) -> Self {
        Self { future: Box::pin(future), wakes: Arc::default() }
    }

    pub(super) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        // Polls by hand must not use up the share of tokio's time that this task has, or timers stop answering.
        let future = pin!(tokio::task::unconstrained(self.future.as_mut()));
        future.poll(&mut Context::from_waker(&waker))
    }

    /// Whether it has asked to be polled since this was last looked at.
    pub(super) fn was_woken(&self) -> bool {
        self.wakes.0.swap(0, Relaxed) > 0
    }

    /// Polls it for as long as it asks for that, up to a few times, and says whether it came to rest.
    pub(super) async fn poll_to_rest(&mut self) -> Rest<F::Output> {
        for _ in 0..4 {
            if let Poll::Ready(output) = self.poll() {
                return Rest::Done(output);
            }
            settle().await;
            if !self.was_woken() {
                return Rest::Waiting;
            }
        }
        Rest::Spinning
    }
}

/// What a future does that is polled only when it asks for it.
pub(super) enum Rest<T> {
    Done(T),
    Waiting,
    Spinning,
}
