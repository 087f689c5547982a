//! A world as plain data: a stack, providers and what they do, callers and what they do, and what operators do.
//!
//! What is not written is as in `Default`, so that a world that was made small is a short text.

mod shape;

use serde::{Deserialize, Serialize};

/// Everything that happens in one run. The same world always runs alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct World {
    /// Where the layers' random numbers come from.
    #[serde(skip_serializing_if = "is_default")]
    pub seed: u32,
    /// Whether every second caller has a service of its own, made of the same layers.
    #[serde(skip_serializing_if = "is_default")]
    pub twins: bool,
    /// The layers, outermost first.
    #[serde(skip_serializing_if = "is_default")]
    pub layers: Vec<Layer>,
    /// The providers, in the router's order. They are called `p0`, `p1` and so on.
    #[serde(skip_serializing_if = "is_default")]
    pub providers: Vec<Provider>,
    /// The callers.
    #[serde(skip_serializing_if = "is_default")]
    pub callers: Vec<Caller>,
    /// What operators do.
    #[serde(skip_serializing_if = "is_default")]
    pub acts: Vec<Act>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Which.
    pub kind: Kind,
    /// Its configuration, as it would stand in a file.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub settings: toml::Table,
}

/// Which layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `llm_classify::ClassifyLayer`.
    Classify,
    /// `llm_fallback::FallbackLayer`. Its targets are asked without a `Dispatch` in between.
    Fallback,
    /// `llm_budget::LimitLayer`.
    Limit,
    /// `llm_cache::CacheLayer`.
    Cache,
    /// `llm_router::RouterLayer`.
    Router,
    /// `llm_retry::HedgeLayer`.
    Hedge,
    /// `llm_retry::RetryLayer`.
    Retry,
    /// `llm_budget::BudgetLayer`.
    Budget,
    /// `llm_breaker::BreakerLayer`.
    Breaker,
    /// `llm_timeout::TimeoutLayer`.
    Timeout,
}

/// A provider that follows a script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// Whether sensitive calls may go there.
    #[serde(skip_serializing_if = "is_default")]
    pub local: bool,
    /// How many calls it takes on at once, or hands out readiness for; 0 for any number.
    #[serde(skip_serializing_if = "is_default")]
    pub at_once: u8,
    /// From when on it is not ready, and for how long, in milliseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub busy: Option<(u32, u32)>,
    /// From when on it can never be ready again, and says so.
    #[serde(skip_serializing_if = "is_default")]
    pub dies_ms: Option<u32>,
    /// What its calls are answered with, one after the other, and then from the beginning.
    #[serde(skip_serializing_if = "is_default")]
    pub script: Vec<Answer>,
}

/// What a call is answered with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// Milliseconds before the head.
    #[serde(skip_serializing_if = "is_default")]
    pub head_ms: u32,
    /// What happens instead of an answer.
    #[serde(skip_serializing_if = "is_default")]
    pub early: Option<Early>,
    /// Frames without content before the first content.
    #[serde(skip_serializing_if = "is_default")]
    pub empty_frames: u8,
    /// Frames with content.
    #[serde(skip_serializing_if = "is_default")]
    pub frames: u8,
    /// Milliseconds before each frame.
    #[serde(skip_serializing_if = "is_default")]
    pub frame_ms: u32,
    /// How the answer ends, after its frames with content.
    #[serde(skip_serializing_if = "is_default")]
    pub end: End,
    /// When it says what it used.
    #[serde(skip_serializing_if = "is_default")]
    pub report: Report,
    /// The output tokens that it reports.
    #[serde(skip_serializing_if = "is_default")]
    pub tokens: u32,
    /// Whether those who want a stream get a whole answer.
    #[serde(skip_serializing_if = "is_default")]
    pub whole: bool,
}

/// What happens instead of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Early {
    /// A failure of this kind, in the words of `ErrorKind::as_str`.
    Fail {
        /// The kind.
        kind: String,
        /// After how many milliseconds it says to try again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u32>,
    },
    /// Nothing, for ever.
    Hang,
    /// `call` panics.
    PanicInCall,
    /// The future panics.
    PanicInFuture,
}

/// How an answer ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum End {
    /// With a reason and a terminal frame.
    #[default]
    Complete,
    /// With a reason, and then it breaks off.
    Unterminated,
    /// It breaks off.
    Cut,
    /// An error of this kind in the stream.
    Fail(String),
    /// Nothing more comes, for ever.
    Hang,
    /// The stream panics.
    Panic,
}

/// When an answer says what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// At the end.
    #[default]
    AtEnd,
    /// Never.
    Never,
    /// Half a second after the finish reason.
    Late,
    /// Of the prompt at the beginning, and all of it at the end.
    Twice,
    /// At the end, and all zeros.
    Zeros,
    /// Before the first content already.
    Early,
}

/// A caller, who makes one call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caller {
    /// When.
    #[serde(skip_serializing_if = "is_default")]
    pub at_ms: u32,
    /// Of which tenant.
    #[serde(skip_serializing_if = "is_default")]
    pub tenant: u8,
    /// Which question; the same one is the same request.
    #[serde(skip_serializing_if = "is_default")]
    pub question: u8,
    /// Which of the models.
    #[serde(skip_serializing_if = "is_default")]
    pub model: u8,
    /// What is asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub asks: Asks,
    /// Whether at temperature zero.
    #[serde(skip_serializing_if = "is_default")]
    pub deterministic: bool,
    /// The most output tokens, where it says so.
    #[serde(skip_serializing_if = "is_default")]
    pub most_output: Option<u32>,
    /// How many further calls may be made.
    #[serde(skip_serializing_if = "is_default")]
    pub allowance: u8,
    /// After how long it stops waiting, as it tells the layers.
    #[serde(skip_serializing_if = "is_default")]
    pub deadline_ms: Option<u32>,
    /// How long it waits for the next piece, as it tells the layers.
    #[serde(skip_serializing_if = "is_default")]
    pub read_timeout_ms: Option<u32>,
    /// Whether its call may not leave the house.
    #[serde(skip_serializing_if = "is_default")]
    pub sensitive: bool,
    /// The provider that it names itself.
    #[serde(skip_serializing_if = "is_default")]
    pub provider: Option<u8>,
    /// What it says to caches.
    #[serde(skip_serializing_if = "is_default")]
    pub cache: Vec<Directive>,
    /// After how many frames it does not read for how many milliseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub pause: Option<(u8, u32)>,
    /// How often its call is polled for no reason, and how many milliseconds after each other.
    #[serde(skip_serializing_if = "is_default")]
    pub restless: Option<(u8, u32)>,
    /// Whether it calls a clone of the instance that it has readied.
    #[serde(skip_serializing_if = "is_default")]
    pub clones: bool,
    /// When it leaves.
    #[serde(skip_serializing_if = "is_default")]
    pub leaves: Leaves,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    /// A whole answer.
    #[default]
    Whole,
    /// A stream.
    Stream,
    /// Embeddings of two inputs.
    Embed,
    /// A count of tokens.
    Count,
}

/// What a caller says to caches, see `llm_core::CacheDirective`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directive {
    /// `no_cache`.
    NoCache,
    /// `no_store`.
    NoStore,
    /// `only_if_cached`.
    OnlyIfCached,
    /// `force`.
    Force,
}

/// When a caller leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaves {
    /// When all is read.
    #[default]
    AtEnd,
    /// When the service is ready, before it calls.
    Ready,
    /// When it has called, before the future is polled.
    Unpolled,
    /// After the call was polled this often.
    Polls(u8),
    /// This many milliseconds after it came.
    Ms(u32),
    /// After it has read this many frames.
    Frames(u8),
}

/// Something that an operator does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When.
    pub at_ms: u32,
    /// What.
    pub does: Does,
}

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// The clock jumps by so many milliseconds, as if the machine had slept.
    Jump(u32),
    /// Opens a provider's circuits.
    ForceOpen(u8),
    /// Closes them.
    ForceClosed(u8),
    /// Leaves all circuits to their rules.
    ResetCircuits,
    /// Freezes all accounts.
    Freeze,
    /// Lets them go on.
    Unfreeze,
    /// Raises all caps by a hundredth of a dollar.
    TopUp,
    /// Forgets what was spent.
    ResetAccounts,
    /// Forgets what caches keep.
    Invalidate,
    /// Forgets what they keep of this tenant.
    InvalidateTenant(u8),
    /// Gives routers the plan again that they have.
    Replan,
    /// Readies a clone of the service, keeps it for so many milliseconds, and drops it.
    Ready(u32),
    /// Looks at everything that can be shown.
    Look,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl World {
    /// The world of a text as [`Display`](std::fmt::Display) writes it.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Whether there is a layer of this kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.layers.iter().any(|layer| layer.kind == kind)
    }
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&toml::to_string(self).expect("a world is plain data"))
    }
}
