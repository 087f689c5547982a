//! What all services of a layer share: the limits, and what is kept of their callers.

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use llm_core::{
    Caller, Error, ErrorKind, LlmRequest, Notice, Notices, Payload, Severity, TargetRef, TokenFamily, catalog::Catalog,
};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    LimitRule,
    entry::{Amount, Entry, Refusal},
    key::key,
    table::Table,
};
use crate::{
    scope::Scoped,
    whose::{self, Whose},
};

/// What a layer was told to do.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rules: Vec<LimitRule>,
    pub(crate) most_callers: NonZeroUsize,
    pub(crate) expected_output: u64,
    /// One that was given; else it is the built-in one.
    pub(crate) catalog: Option<Arc<Catalog>>,
}

/// What the services, handles and calls of a layer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) tables: Box<[Table]>,
    pub(crate) notices: Notices,
    // Whether it matters by which name the catalogue knows a model.
    looks_at_model: bool,
    began: Instant,
}

/// The entries of one call, one for each limit that concerns it, with the places of these, in their order. Three limits
/// need no allocation.
pub(crate) type Entries = SmallVec<[(usize, Arc<Entry>); 3]>;

/// That a call was let through, and what it was charged with.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) entries: Entries,
    pub(crate) tokens: u64,
}

/// What came of an attempt to let a call through.
enum Tried {
    Through,
    Refused {
        at: usize,
        refusal: Refusal,
        is_to_be_told: bool,
    },
    /// One of its entries was forgotten in between.
    Again,
}

impl Shared {
    /// Goes on where `previous` is, if there is one.
    pub(crate) fn new(settings: Settings, previous: Option<&Self>) -> Self {
        // What callers have used is known by times since the first of them began.
        let began = previous.map_or_else(Instant::now, |previous| previous.began);
        let table = |rule: LimitRule| {
            let mut tables = previous.iter().flat_map(|previous| &previous.tables);
            let named = tables.find(|table| table.scope.name == rule.scope.name);
            Table::new(rule, settings.most_callers, began, named)
        };
        Self {
            tables: settings.rules.iter().cloned().map(table).collect(),
            notices: Notices::new(),
            looks_at_model: settings.rules.iter().any(|rule| rule.scope().looks_at_model()),
            began,
            settings,
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn whose<'a>(&'a self, caller: &'a Caller, called: TargetRef<'a>) -> Whose<'a> {
        let catalog = || self.settings.catalog.as_deref().unwrap_or_else(|| Catalog::builtin());
        let facts = if self.looks_at_model { whose::facts(catalog(), called) } else { None };
        Whose::new(caller, called, facts.map(Arc::as_ref))
    }

    /// Lets a call through all limits, or none.
    pub(crate) fn admit(&self, request: &LlmRequest) -> Result<Admitted, Error> {
        let now = self.now();
        loop {
            let entries = self.entries(request, now);
            let tokens = if self.count_tokens(&entries) { self.expected_tokens(request) } else { 0 };
            match self.try_begin(&entries, tokens, now) {
                Tried::Through => return Ok(Admitted { entries, tokens }),
                Tried::Refused { at, refusal, is_to_be_told } => {
                    return Err(self.refuse(request, &self.tables[at], refusal, is_to_be_told));
                }
                Tried::Again => {}
            }
        }
    }

    /// Puts right what a call was charged with that is over, and gives its places back.
    pub(crate) fn end(&self, admitted: &Admitted, really: u64) {
        let now = self.now();
        for (at, entry) in &admitted.entries {
            let table = &self.tables[*at];
            table.amounts.end(&mut entry.lock(), admitted.tokens, really, now);
            table.counts().ended.fetch_add(1, Relaxed);
        }
    }

    /// Whether one of these is of a limit of tokens.
    pub(crate) fn count_tokens(&self, entries: &Entries) -> bool {
        entries.iter().any(|(at, _)| self.tables[*at].amounts.tokens.is_some())
    }

    /// What a call is charged with when it begins.
    fn expected_tokens(&self, request: &LlmRequest) -> u64 {
        let output = match request.payload() {
            Payload::Chat(_) => {
                let expected = self.settings.expected_output;
                request.max_output_tokens().map_or(expected, |most| most.min(expected))
            }
            Payload::Embed(_) => 0,
            // Counting is free.
            Payload::CountTokens(_) => return 0,
        };
        let family = TokenFamily::of(request.target_or_model().model);
        request.estimate_prompt(family).likely.saturating_add(output)
    }

    fn entries(&self, request: &LlmRequest, now: Duration) -> Entries {
        let whose = self.whose(request.context().caller(), request.target_or_model());
        let entry = |(at, table): (usize, &Table)| {
            let found = table.entry(&key(table.scope.per, &table.scope.account(&whose)), now);
            if found.is_overflow {
                self.crowd(table, now);
            }
            (at, found.entry)
        };
        let concerned = self.tables.iter().enumerate().filter(|(_, table)| table.scope.concerns(&whose));
        concerned.map(entry).collect()
    }

    /// Looks at all limits and charges them if they agree. Their entries are locked together, always in the order of
    /// the limits, so that nobody sees a call that is counted by some of them.
    fn try_begin(&self, entries: &Entries, tokens: u64, now: Duration) -> Tried {
        let mut locked: SmallVec<[_; 3]> = entries.iter().map(|(_, entry)| entry.lock()).collect();
        if entries.iter().any(|(_, entry)| entry.is_retired()) {
            return Tried::Again;
        }
        let tables = || entries.iter().map(|(at, _)| &self.tables[*at]);
        let looked = tables().zip(&locked).map(|(table, used)| table.amounts.look(used, tokens, now));
        let looked: SmallVec<[_; 3]> = looked.collect();
        // Of several limits that are reached, the one that is so for longest.
        let refused =
            looked.iter().enumerate().filter_map(|(of, look)| look.as_ref().err().map(|refusal| (of, *refusal)));
        if let Some((of, refusal)) = refused.max_by_key(|(_, refusal)| refusal.wait) {
            let is_to_be_told = locked[of].is_to_be_told(now);
            return Tried::Refused { at: entries[of].0, refusal, is_to_be_told };
        }
        for ((table, used), arrival) in tables().zip(&mut locked).zip(looked.into_iter().flatten()) {
            table.amounts.begin(used, arrival, tokens, now);
            table.counts().begun.fetch_add(1, Relaxed);
        }
        Tried::Through
    }

    fn refuse(&self, request: &LlmRequest, table: &Table, refusal: Refusal, is_to_be_told: bool) -> Error {
        table.counts().refused(refusal.amount).fetch_add(1, Relaxed);
        if is_to_be_told {
            let whose = self.whose(request.context().caller(), request.target_or_model());
            let wait = refusal.wait.map(|wait| ("wait_seconds", wait.as_secs_f64()));
            self.notices.send(Notice {
                source: "limit",
                key: table.scope.account(&whose).to_string(),
                kind: "limited",
                severity: Severity::Info,
                numbers: wait.into_iter().collect(),
            });
        }
        let context = request.context();
        let mut error =
            Error::new(ErrorKind::LimitExceeded, sentence(table, refusal.amount)).with_trail(context.trail());
        if let Some(wait) = refusal.wait {
            error = error.with_retry_after(wait);
        }
        if let Some(target) = context.target() {
            error = error.with_target(target.clone());
        }
        context.trail().fail(context.attempt(), context.target(), &error);
        error
    }

    /// A caller for whom there is no room.
    fn crowd(&self, table: &Table, now: Duration) {
        table.counts().crowded.fetch_add(1, Relaxed);
        if table.is_crowd_to_be_told(now) {
            self.notices.send(Notice {
                source: "limit",
                key: table.scope.name.to_string(),
                kind: "crowded",
                severity: Severity::Warning,
                numbers: vec![("callers", table.len() as f64)],
            });
        }
    }
}

/// Says to a caller which limit is reached.
fn sentence(Table { scope, amounts, .. }: &Table, amount: Amount) -> String {
    let (what, most) = match amount {
        Amount::Requests => ("requests a minute", amounts.requests.as_ref().map(|limit| limit.amount().get().into())),
        Amount::Tokens => ("tokens a minute", amounts.tokens.map(|limit| limit.amount().get())),
        Amount::AtOnce => ("calls at once", amounts.at_once.map(|most| most.get().into())),
    };
    let most: u64 = most.expect("only an amount that there is refuses");
    format!("the limit `{}` is reached ({what}: {most})", scope.name)
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
