//! What all calls through one layer share: settings, the state of each target, and the counts.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use llm_core::{Again, Health, HealthState, Keyed, LlmRequest, Payload, PerTarget, Target, TargetRef};
use tokio::time::Instant;

use super::{
    After, Alternatives, HedgeEvent, HedgeQuota, alternatives::may_go, bucket::Bucket, handle::Counts,
    percentile::Observed,
};

/// A target that was not called for this long may be forgotten: what it took then says little of today.
const IDLE_MINUTES: u32 = 10;

/// What a layer was told.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) after: PerTarget<After>,
    pub(super) quota: HedgeQuota,
    pub(super) targets: NonZeroUsize,
    pub(super) health: Option<Arc<dyn Health>>,
    pub(super) alternatives: Option<Arc<dyn Alternatives>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("after", &self.after)
            .field("quota", &self.quota)
            .field("targets", &self.targets)
            .field("health", &self.health.is_some())
            .field("alternatives", &self.alternatives.is_some())
            .finish()
    }
}

/// What is known of a target, in about 800 bytes.
#[derive(Debug, Default)]
pub(super) struct State {
    bucket: Bucket,
    streamed: Observed,
    whole: Observed,
    // The minute of the last call, since the layer began.
    called: AtomicU32,
}

/// How a call is answered, which decides what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    Streamed,
    Whole,
}

impl Answers {
    /// `None` for a call that is never hedged: counting costs the provider nothing, and it is no measure for answers.
    fn of(request: &LlmRequest) -> Option<Self> {
        match request.payload() {
            Payload::Chat(chat) if chat.stream => Some(Self::Streamed),
            Payload::Chat(_) | Payload::Embed(_) => Some(Self::Whole),
            Payload::CountTokens(_) => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) states: Keyed<Target, State>,
    pub(super) counts: Counts,
    begun: Instant,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        let states = Keyed::new(settings.targets, State::default());
        Self { settings, states, counts: Counts::default(), begun: Instant::now() }
    }

    /// A call begins: it pays into the quota, and learns after how long it is late, if there is any telling.
    pub(super) fn begin(&self, request: &LlmRequest, now: Instant) -> Option<Duration> {
        let answers = Answers::of(request)?;
        let target = request.target_or_model();
        let minute = self.minute(now);
        let delay = self.with_state(&target, minute, |state| {
            if state.called.load(Relaxed) != minute {
                state.called.store(minute, Relaxed);
            }
            state.bucket.pay(&self.settings.quota);
            self.delay_by(&target, state, answers)
        });
        if delay.is_none() {
            self.counts.add(HedgeEvent::FewSamples);
        }
        delay
    }

    /// How long a first attempt took to its content, or how long it has taken by now, which is late.
    pub(super) fn record(&self, request: &LlmRequest, took: Duration, now: Instant) {
        let target = request.target_or_model();
        match self.after(&target) {
            After::Fixed(_) => {}
            After::P95 { .. } => {
                let Some(answers) = Answers::of(request) else { return };
                self.with_state(&target, self.minute(now), |state| state.observed(answers).record(took));
            }
        }
    }

    /// The request of a second attempt beside the one that was made with `request`, if there may be one.
    pub(super) fn second(
        &self,
        request: &LlmRequest,
        waited: Duration,
        now: Instant,
    ) -> Result<LlmRequest, HedgeEvent> {
        let context = request.context();
        let names = request.target_or_model();
        if context.is_probe() || !self.is_healthy(&names) {
            return Err(HedgeEvent::Unhealthy);
        }
        self.with_state(&names, self.minute(now), |state| {
            if !state.bucket.take() {
                return Err(HedgeEvent::QuotaSpent);
            }
            if !context.may_call_again(Again::Hedge, None) {
                state.bucket.give_back(&self.settings.quota);
                return Err(HedgeEvent::AllowanceSpent);
            }
            Ok(())
        })?;
        let mut second = request.clone();
        if let Some(other) = self.alternative(request) {
            second.context_mut().set_target(other);
        }
        second.context_mut().begin_attempt(Again::Hedge, waited);
        Ok(second)
    }

    /// After how long a call to `target` is late, if there is any telling.
    pub(super) fn delay(&self, target: &TargetRef<'_>, answers: Answers) -> Option<Duration> {
        match self.after(target) {
            After::Fixed(delay) => Some(delay),
            After::P95 { .. } => self.states.get(target, |state| self.delay_by(target, state, answers)).flatten(),
        }
    }

    fn delay_by(&self, target: &TargetRef<'_>, state: &State, answers: Answers) -> Option<Duration> {
        match self.after(target) {
            After::Fixed(delay) => Some(delay),
            After::P95 { floor, samples } => state.observed(answers).p95(samples.get()).map(|p95| p95.max(floor)),
        }
    }

    fn after(&self, target: &TargetRef<'_>) -> After {
        *self.settings.after.of_names(Some(target.provider), target.model)
    }

    fn alternative(&self, request: &LlmRequest) -> Option<Target> {
        let context = request.context();
        let target = context.target()?;
        let other = self.settings.alternatives.as_ref()?.beside(target, request)?;
        (may_go(context, target, &other) && self.is_healthy(&other.names())).then_some(other)
    }

    fn is_healthy(&self, target: &TargetRef<'_>) -> bool {
        let Some(health) = &self.settings.health else { return true };
        match health.of(&target.to_target()) {
            HealthState::Healthy => true,
            HealthState::Cooling { .. } | HealthState::Open { .. } | HealthState::Probing => false,
        }
    }

    fn minute(&self, now: Instant) -> u32 {
        // Four thousand years of them.
        (now.saturating_duration_since(self.begun).as_secs() / 60) as u32
    }

    fn with_state<R>(&self, target: &TargetRef<'_>, minute: u32, mut with: impl FnMut(&State) -> R) -> R {
        // What is counted in a state while it is forgotten is lost with it, which harms nobody.
        let is_idle = |state: &State| minute.saturating_sub(state.called.load(Relaxed)) >= IDLE_MINUTES;
        let make = || State { called: AtomicU32::new(minute), ..State::default() };
        self.states.get_or_insert(target, || target.to_target(), make, is_idle, |state| Some(with(state)))
    }
}

impl State {
    fn observed(&self, answers: Answers) -> &Observed {
        match answers {
            Answers::Streamed => &self.streamed,
            Answers::Whole => &self.whole,
        }
    }
}
