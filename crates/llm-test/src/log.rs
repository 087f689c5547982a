//! What a probe has seen: the figures that tests and laws read.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use llm_core::{AttemptEnd, LlmRequest, Observer, Outcome};
use tokio::time::Instant;

use crate::BodyLog;

/// What a [`Probe`](crate::Probe) and all its clones have seen. Clones read the same.
#[derive(Clone, Default)]
pub struct ProbeLog(Arc<Inner>);

#[derive(Default)]
struct Inner {
    record: Mutex<Record>,
    bodies: BodyLog,
}

#[derive(Default)]
struct Record {
    clones: u64,
    ready_polls: u64,
    granted: u64,
    readied: usize,
    in_flight: usize,
    misuses: u64,
    futures_dropped: u64,
    bodies_dropped: u64,
    calls: Vec<(Instant, LlmRequest)>,
    ends: Vec<AttemptEnd>,
    waiting: Vec<Waker>,
}

impl ProbeLog {
    /// How many calls were made.
    pub fn calls(&self) -> usize {
        self.record().calls.len()
    }

    /// When they were made.
    pub fn call_times(&self) -> Vec<Instant> {
        self.record().calls.iter().map(|(at, _)| *at).collect()
    }

    /// The requests that came, with their contexts.
    pub fn requests(&self) -> Vec<LlmRequest> {
        self.record().calls.iter().map(|(_, request)| request.clone()).collect()
    }

    /// How often a probe was cloned.
    pub fn clones(&self) -> u64 {
        self.record().clones
    }

    /// How often a probe was asked whether it is ready.
    pub fn ready_polls(&self) -> u64 {
        self.record().ready_polls
    }

    /// How often a probe became ready.
    pub fn granted(&self) -> u64 {
        self.record().granted
    }

    /// How many probes are ready at this moment, and not called yet. At rest none is.
    pub fn readied(&self) -> usize {
        self.record().readied
    }

    /// How many calls are under way: called, and neither ended nor dropped. A streamed call ends with its stream.
    pub fn in_flight(&self) -> usize {
        self.record().in_flight
    }

    /// How many permits are out: for probes that are ready, and for calls under way.
    pub fn permits(&self) -> usize {
        let record = self.record();
        record.readied + record.in_flight
    }

    /// How often a probe was called that was not ready.
    pub fn misuses(&self) -> u64 {
        self.record().misuses
    }

    /// How many calls were dropped, or panicked, before they had answered.
    pub fn futures_dropped(&self) -> u64 {
        self.record().futures_dropped
    }

    /// How many streams were dropped, or panicked, before their end.
    pub fn bodies_dropped(&self) -> u64 {
        self.record().bodies_dropped
    }

    /// How often the streams were polled.
    pub fn body_polls(&self) -> u64 {
        self.0.bodies.polls()
    }

    /// How the calls ended, in the order in which they did. A panic in `call` itself is not among them.
    pub fn ends(&self) -> Vec<AttemptEnd> {
        self.record().ends.clone()
    }

    pub(crate) fn bodies(&self) -> BodyLog {
        self.0.bodies.clone()
    }

    pub(crate) fn note_clone(&self) {
        self.record().clones += 1;
    }

    pub(crate) fn note_ready_poll(&self) {
        self.record().ready_polls += 1;
    }

    pub(crate) fn note_misuse(&self) {
        self.record().misuses += 1;
    }

    /// A permit, if fewer than `limit` are out; else `waker` is woken when one comes back.
    pub(crate) fn grant(&self, limit: usize, waker: &Waker) -> Option<Permit> {
        let mut record = self.record();
        if record.readied + record.in_flight >= limit {
            if !record.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
                record.waiting.push(waker.clone());
            }
            return None;
        }
        record.granted += 1;
        record.readied += 1;
        Some(Permit(Some(self.clone())))
    }

    /// Begins a call, with the permit of the probe that is called if it had one.
    pub(crate) fn begin(&self, request: &LlmRequest, permit: Option<Permit>) -> Flight {
        let mut record = self.record();
        record.calls.push((Instant::now(), request.clone()));
        record.in_flight += 1;
        // The permit moves on to the call: nobody else may get it in between.
        if permit.and_then(|mut permit| permit.0.take()).is_some() {
            record.readied -= 1;
        }
        drop(record);
        Flight { log: self.clone(), stage: Stage::Head }
    }

    fn release(&self, change: impl FnOnce(&mut Record)) {
        let waiting = {
            let mut record = self.record();
            change(&mut record);
            std::mem::take(&mut record.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        // Every writer leaves the record whole, so a scripted panic does not spoil it.
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ProbeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.record();
        f.debug_struct("ProbeLog")
            .field("calls", &record.calls.len())
            .field("readied", &record.readied)
            .field("in_flight", &record.in_flight)
            .field("ends", &record.ends)
            .finish_non_exhaustive()
    }
}

/// The readiness of one probe. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Option<ProbeLog>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(log) = self.0.take() {
            log.release(|record| record.readied -= 1);
        }
    }
}

/// A call under way. Over when dropped, at the latest.
#[derive(Debug)]
pub(crate) struct Flight {
    log: ProbeLog,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Head,
    Body,
    Over,
}

impl Flight {
    pub(crate) fn with_body(mut self) -> Self {
        self.stage = Stage::Body;
        self
    }

    pub(crate) fn over(mut self) {
        self.stage = Stage::Over;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let stage = self.stage;
        self.log.release(|record| {
            record.in_flight -= 1;
            match stage {
                Stage::Head => record.futures_dropped += 1,
                Stage::Body => record.bodies_dropped += 1,
                Stage::Over => {}
            }
        });
    }
}

/// Notes how a call ended.
pub(crate) struct EndNote(pub(crate) ProbeLog);

impl Observer for EndNote {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        self.0.record().ends.push(outcome.to_end());
    }
}
