//! The layer, which is the configuration.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
};

use llm_core::{NanoUsd, Striped, catalog::Catalog};
use serde::Deserialize;
use tower::Layer;

use crate::{
    Budget, BudgetHandle, CapRule, Ledger, MemoryLedger, scope,
    shared::{Settings, Shared},
};

/// Refuses calls that there is no money for. See the [crate docs](crate).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct BudgetLayer {
    shared: Striped<Shared>,
}

/// How much is set aside for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// All that it may come to, as for whole answers: nothing is ever cut, and while calls are under way much of a cap
    /// cannot be used.
    WorstCase,
    /// What is likely, and more while it runs.
    Metered(Metered),
}

/// How a stream is metered.
///
/// Set aside are the bound of its prompt and a likely output: what nine of ten answers of its model to calls with its intent did
/// not exceed, and until one has been seen [`likely_output`](Self::likely_output). When the answer comes near that, more is set
/// aside. A third of what is likely is left to each stream under way by calls that begin, so that there is more when it is
/// asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metered {
    pub(crate) likely_output: NonZeroU64,
    pub(crate) slice: NonZeroU64,
    pub(crate) when_short: WhenShort,
}

/// What becomes of a stream for which no more can be set aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenShort {
    /// It ends with an error within the stream, before more comes than was set aside for.
    #[default]
    Cut,
    /// It may go on for so many output tokens, which can become debt, and is cut then.
    Finish(NonZeroU64),
}

/// What a layer settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covers {
    /// The one attempt that goes through it, by its usage. For a place below whatever calls again.
    Attempt,
    /// All attempts that are made below it, by the trail. For a place above whatever calls again, or chooses targets.
    Call,
}

impl Default for Streams {
    fn default() -> Self {
        Self::Metered(Metered::default())
    }
}

impl Default for Metered {
    fn default() -> Self {
        Self {
            likely_output: NonZeroU64::new(1_024).expect("it is not zero"),
            slice: NonZeroU64::new(128).expect("it is not zero"),
            when_short: WhenShort::default(),
        }
    }
}

impl Metered {
    /// How much output of a model is likely of which nothing has been seen. Defaults to 1,024 tokens: more than nearly
    /// all answers in a chat, and a quarter of the ceiling that is assumed where none is stated. Less lets more streams begin
    /// at once, and more of them are cut if answers are longer.
    pub fn likely_output(mut self, tokens: NonZeroU64) -> Self {
        self.likely_output = tokens;
        self
    }

    /// How much more is set aside at a time. Defaults to 128 tokens: one more look at the accounts every few seconds of
    /// a stream. It is asked for when half of one is left.
    pub fn slice(mut self, tokens: NonZeroU64) -> Self {
        self.slice = tokens;
        self
    }

    /// What happens when it is not there. Defaults to [`WhenShort::Cut`].
    pub fn when_short(mut self, when_short: WhenShort) -> Self {
        self.when_short = when_short;
        self
    }
}

impl BudgetLayer {
    /// The most output that a call is sent with that states no ceiling, unless set otherwise.
    pub const ASSUMED_OUTPUT: NonZeroU64 = NonZeroU64::new(4_096).expect("it is not zero");

    /// A layer that holds calls to these rules, with a [`MemoryLedger`] of its own. Of rules of one name the last
    /// holds.
    pub fn new(rules: impl IntoIterator<Item = CapRule>) -> Self {
        Self::of(Settings {
            rules: scope::holding(rules).into_iter().map(Arc::new).collect(),
            ledger: None,
            most_accounts: MemoryLedger::MOST_ACCOUNTS,
            catalog: None,
            streams: Streams::default(),
            assumed_output: Self::ASSUMED_OUTPUT,
            fit_output: None,
            most_tokens: None,
            most_cost: None,
            covers: None,
        })
    }

    /// Where models' prices are found. Defaults to the built-in catalogue.
    pub fn catalog(self, catalog: Arc<Catalog>) -> Self {
        Self::of(Settings { catalog: Some(catalog), ..self.shared.settings.clone() })
    }

    /// What keeps the accounts. Defaults to a [`MemoryLedger`] of the layer's own.
    pub fn ledger(self, ledger: Arc<dyn Ledger>) -> Self {
        Self::of(Settings { ledger: Some(ledger), ..self.shared.settings.clone() })
    }

    /// The most accounts of the layer's own ledger, and as many again of single workflows and jobs, see [`MemoryLedger`].
    /// Defaults to 100,000, about 45 MB.
    pub fn most_accounts(self, most: NonZeroUsize) -> Self {
        Self::of(Settings { most_accounts: most, ..self.shared.settings.clone() })
    }

    /// How much is set aside for streams. Defaults to [`Streams::Metered`]. For whole answers it is all that they may
    /// come to, since nobody sees them grow.
    pub fn streams(self, streams: Streams) -> Self {
        Self::of(Settings { streams, ..self.shared.settings.clone() })
    }

    /// The most output of an answer to a call that states no ceiling. It is sent with the call, so that it holds.
    /// Defaults to 4,096 tokens, the most that GPT-4 Turbo and the Claude 3 models answer; a model's own limit holds
    /// where it is lower.
    pub fn assumed_output(self, tokens: NonZeroU64) -> Self {
        Self::of(Settings { assumed_output: tokens, ..self.shared.settings.clone() })
    }

    /// Lowers the ceiling of a call to what is left, instead of refusing it, if that is at least so many tokens. Off by
    /// default: an answer that is cut short at the ceiling may be worth less than none. A stream for which what is likely is
    /// not left has all of what is left set aside for it then, and is not cut.
    pub fn fit_output(self, at_least: impl Into<Option<NonZeroU64>>) -> Self {
        Self::of(Settings { fit_output: at_least.into(), ..self.shared.settings.clone() })
    }

    /// The most tokens, both ways, that one call may come to, whoever makes it. None by default.
    pub fn most_tokens(self, most: impl Into<Option<NonZeroU64>>) -> Self {
        Self::of(Settings { most_tokens: most.into(), ..self.shared.settings.clone() })
    }

    /// The most that one call may cost, whoever makes it. None by default.
    pub fn most_cost(self, most: impl Into<Option<NanoUsd>>) -> Self {
        Self::of(Settings { most_cost: most.into(), ..self.shared.settings.clone() })
    }

    /// What is settled: see [`Covers`]. By default a call without a target in its context stands above whoever decides
    /// that, and is settled as a whole; one with a target is an attempt.
    pub fn covers(self, covers: Covers) -> Self {
        Self::of(Settings { covers: Some(covers), ..self.shared.settings.clone() })
    }

    /// Goes on where another layer is, for a change of settings while calls are under way: with its ledger, unless this one
    /// was given another, with what it has learned of models, and with its counts. What is spent of an account stays spent
    /// where its rule has another cap for the same window, and calls that the other layer has let through settle in it.
    /// Setters start fresh accounts, so call it after them.
    pub fn resuming(self, previous: &BudgetHandle) -> Self {
        let settings = self.shared.settings.clone();
        Self { shared: Striped::new(Shared::new(settings, Some(previous.shared()))) }
    }

    /// A handle to watch and control it with. Setters start fresh accounts, so take it after them.
    pub fn handle(&self) -> BudgetHandle {
        BudgetHandle::new(self.shared.clone())
    }

    fn of(settings: Settings) -> Self {
        Self { shared: Striped::new(Shared::new(settings, None)) }
    }
}

impl<S> Layer<S> for BudgetLayer {
    type Service = Budget<S>;

    fn layer(&self, inner: S) -> Budget<S> {
        Budget::new(inner, self.shared.clone())
    }
}
