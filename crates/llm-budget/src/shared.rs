//! What all services of a layer share: the settings, the ledger, and what is learned of models.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use llm_core::{
    Context, Error, ErrorKind, LlmRequest, NanoUsd, Payload, TargetRef, TokenFamily, catalog::Catalog, catalog::Model,
};
use smallvec::SmallVec;

use crate::{
    CapRule, Covers, Ledger, MemoryLedger, Per, Reason, Refusal, Streams,
    cell::USUAL,
    layer::Metered,
    models::{Figures, Models},
    quote::Quote,
    scope::Scoped,
    whose::{self, Whose},
};

/// What a layer was told to do.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rules: Arc<[Arc<CapRule>]>,
    /// One that was given; else the layer has its own.
    pub(crate) ledger: Option<Arc<dyn Ledger>>,
    pub(crate) most_accounts: NonZeroUsize,
    /// One that was given; else it is the built-in one.
    pub(crate) catalog: Option<Arc<Catalog>>,
    pub(crate) streams: Streams,
    pub(crate) assumed_output: NonZeroU64,
    pub(crate) fit_output: Option<NonZeroU64>,
    pub(crate) most_tokens: Option<NonZeroU64>,
    pub(crate) most_cost: Option<NanoUsd>,
    pub(crate) covers: Option<Covers>,
}

/// What the services, handles and calls of a layer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) ledger: Arc<dyn Ledger>,
    /// The ledger where it is the layer's own.
    own: Option<MemoryLedger>,
    pub(crate) models: Arc<Models>,
    pub(crate) counts: Arc<Counts>,
}

/// What has happened so far. None of it happens to a call that goes well.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) refused: AtomicU64,
    pub(crate) unpriced: AtomicU64,
    pub(crate) lowered: AtomicU64,
    pub(crate) cut: AtomicU64,
}

/// What a call is held to, and what it may come to.
pub(crate) struct Plan {
    /// Which of the settings' rules.
    pub(crate) rules: SmallVec<[usize; USUAL]>,
    pub(crate) quote: Quote,
    pub(crate) figures: Arc<Figures>,
    /// What the prompt was estimated at, before it was corrected.
    pub(crate) raw_input: u64,
    /// How much output is set aside for at first, where not for all of it.
    pub(crate) metered: Option<(Metered, u64)>,
}

impl Settings {
    /// How much output is likely where nothing is known.
    pub(crate) fn likely_output(&self) -> u64 {
        match self.streams {
            Streams::Metered(metered) => metered.likely_output.get(),
            Streams::WorstCase => Metered::default().likely_output.get(),
        }
    }
}

impl Shared {
    /// Goes on where `previous` is, if there is one.
    pub(crate) fn new(settings: Settings, previous: Option<&Self>) -> Self {
        let kept = previous.map(|previous| (Arc::clone(&previous.ledger), previous.own.clone()));
        let (ledger, own) = match (settings.ledger.clone(), kept) {
            (Some(given), _) => (given, None),
            (None, Some((ledger, own))) => {
                own.iter().for_each(|own| own.set_most_accounts(settings.most_accounts));
                (ledger, own)
            }
            (None, None) => {
                let own = MemoryLedger::new(settings.most_accounts);
                (Arc::new(own.clone()) as Arc<dyn Ledger>, Some(own))
            }
        };
        let models = previous.map(|previous| Arc::clone(&previous.models));
        let counts = previous.map(|previous| Arc::clone(&previous.counts));
        Self {
            ledger,
            own,
            models: models.unwrap_or_else(|| Arc::new(Models::new())),
            counts: counts.unwrap_or_default(),
            settings,
        }
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.settings.catalog.as_deref().unwrap_or_else(|| Catalog::builtin())
    }

    pub(crate) fn facts(&self, names: TargetRef<'_>) -> Option<&Arc<Model>> {
        whose::facts(self.catalog(), names)
    }

    /// What a call is held to; `None` if it is held to nothing. A ceiling that has to be sent with it is put into its
    /// context.
    pub(crate) fn plan(&self, request: &mut LlmRequest) -> Result<Option<Plan>, Error> {
        let settings = &self.settings;
        if matches!(request.payload(), Payload::CountTokens(_)) {
            return Ok(None);
        }
        let names = request.target_or_model();
        let facts = self.facts(names);
        let whose = Whose::of(request, facts.map(Arc::as_ref));
        let concerned = settings.rules.iter().enumerate().filter(|(_, rule)| rule.scope().concerns(&whose));
        let rules: SmallVec<[usize; USUAL]> = concerned.map(|(at, _)| at).collect();
        if rules.is_empty() && settings.most_tokens.is_none() && settings.most_cost.is_none() {
            return Ok(None);
        }
        let Some(facts) = facts.filter(|facts| facts.price.is_some()) else {
            return self.unpriced(request, &rules).map_or(Ok(None), Err);
        };
        let raw = request.estimate_prompt(TokenFamily::of(names.model));
        let figures = self.models.of(names.provider, facts, request.context().intent());
        let ceiling = self.ceiling(request, facts.max_output);
        let quote = Quote::new(Arc::clone(facts), request.payload(), figures.corrected(raw), ceiling.tokens);
        let quote = quote.expect("its price was looked for above");
        let mut quote = quote.kept_for(request.context().prompt_cache());
        if ceiling.is_assumed {
            request.context_mut().lower_output_ceiling(ceiling.tokens);
        }
        self.hold_to_ceilings(&mut quote, request)?;
        let metered = match settings.streams {
            Streams::Metered(metered) if request.is_stream() => {
                let likely = figures.likely_output().unwrap_or(metered.likely_output.get());
                Some((metered, likely.saturating_mul(quote.answers).min(quote.most_output())))
            }
            Streams::Metered(_) | Streams::WorstCase => None,
        };
        Ok(Some(Plan { rules, quote, figures, raw_input: raw.likely, metered }))
    }

    /// How much output the answer may have at most.
    fn ceiling(&self, request: &LlmRequest, of_model: Option<u64>) -> Ceiling {
        let stated = match request.payload() {
            Payload::Chat(_) => request.max_output_tokens(),
            Payload::Embed(_) | Payload::CountTokens(_) => Some(0),
        };
        // What is stated is what is sent, whatever the catalogue knows of the model.
        let assumed = || self.settings.assumed_output.get().min(of_model.unwrap_or(u64::MAX));
        Ceiling { tokens: stated.unwrap_or_else(assumed), is_assumed: stated.is_none() }
    }

    /// Holds a call to what any one call may come to.
    fn hold_to_ceilings(&self, quote: &mut Quote, request: &mut LlmRequest) -> Result<(), Error> {
        let tokens = |quote: &Quote| quote.input.bound.saturating_add(quote.most_output());
        if let Some(most) = self.settings.most_tokens
            && tokens(quote) > most.get()
        {
            let fits = most.get().saturating_sub(quote.input.bound) / quote.answers;
            if !self.lower(quote, request.context_mut(), fits) {
                let message =
                    format!("the call may come to {} tokens, more than the {most} of one call", tokens(quote));
                return Err(self.refuse(request, message, None));
            }
        }
        if let Some(most) = self.settings.most_cost
            && quote.worst() > most
        {
            let fits = quote.output_for(most).unwrap_or(0);
            if !self.lower(quote, request.context_mut(), fits) {
                let message = format!("the call may cost {}, more than the {most} of one call", quote.worst());
                return Err(self.refuse(request, message, None));
            }
        }
        Ok(())
    }

    /// Lowers the ceiling of a call, if that may be done and leaves enough.
    pub(crate) fn lower(&self, quote: &mut Quote, context: &mut Context, tokens: u64) -> bool {
        let is_worth_it = self.settings.fit_output.is_some_and(|least| tokens >= least.get());
        if is_worth_it && tokens < quote.ceiling {
            quote.ceiling = tokens;
            context.lower_output_ceiling(tokens);
            self.counts.lowered.fetch_add(1, Relaxed);
            return true;
        }
        false
    }

    /// The refusal of a call of which nobody knows what it costs, unless nothing needs to know.
    fn unpriced(&self, request: &LlmRequest, rules: &[usize]) -> Option<Error> {
        self.counts.unpriced.fetch_add(1, Relaxed);
        let names = request.target_or_model();
        let whom = match rules.iter().map(|at| &self.settings.rules[*at]).find(|rule| rule.is_hard()) {
            Some(rule) => format!("the budget `{}`", rule.name()),
            None if self.settings.most_cost.is_some() || self.settings.most_tokens.is_some() => {
                "the ceiling of one call".to_owned()
            }
            None => return None,
        };
        let message = format!(
            "the price of `{names}` is not known, and {whom} needs it: state its `input` and `output` price in a [[models]] \
             entry of the catalogue"
        );
        Some(self.refuse(request, message, None))
    }

    /// The error of a call that an account refuses.
    pub(crate) fn short(&self, request: &LlmRequest, amount: NanoUsd, refusal: &Refusal) -> Error {
        self.refuse(request, self.message(refusal, amount), Some(refusal))
    }

    /// What a caller is told: the rule by its name, and how much is left where that is nobody else's business.
    pub(crate) fn message(&self, refusal: &Refusal, amount: NanoUsd) -> String {
        let Refusal { rule, reason, left, available: _, wait: _ } = refusal;
        let known = self.settings.rules.iter().find(|known| known.name() == rule);
        let is_shared = !known.is_some_and(|known| known.per().includes(Per::TENANT));
        match reason {
            Reason::Spent if is_shared => {
                format!("the budget `{rule}` has less than {amount} left, which would be needed")
            }
            Reason::Spent => format!("the budget `{rule}` has {left} left, and {amount} would be needed"),
            Reason::Frozen => format!("the budget `{rule}` was frozen by hand"),
            Reason::NoRoom => format!("the budget `{rule}` has no room for another account"),
            Reason::Unreachable => format!("the ledger of the budget `{rule}` cannot be reached"),
            Reason::Settled => format!("the call was settled at the budget `{rule}` already"),
        }
    }

    fn refuse(&self, request: &LlmRequest, message: String, refusal: Option<&Refusal>) -> Error {
        self.counts.refused.fetch_add(1, Relaxed);
        let context = request.context();
        let mut error = Error::new(ErrorKind::BudgetExceeded, message).with_trail(context.trail());
        if let Some(wait) = refusal.and_then(|refusal| refusal.wait) {
            error = error.with_retry_after(wait);
        }
        if let Some(target) = context.target() {
            error = error.with_target(target.clone());
        }
        context.trail().fail(context.attempt(), context.target(), &error);
        error
    }
}

struct Ceiling {
    tokens: u64,
    is_assumed: bool,
}
