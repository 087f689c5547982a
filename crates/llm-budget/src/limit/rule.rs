//! One limit: whose calls it counts together, and how many it lets through.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
};

use crate::{
    Per,
    scope::{Scope, Scoped},
};

/// A limit on the calls of each caller, as [`Per`] tells them apart. Without an amount it limits nothing.
///
/// Amounts by the minute are buckets that fill evenly. A caller who was idle for a minute may use a minute's amount at
/// once and then goes on as the bucket fills, so that in any single minute up to twice the amount may pass, and never
/// more over a longer time than the amount a minute and one bucket.
#[derive(Clone, Debug)]
#[must_use = "a limit does nothing until a layer has it"]
pub struct LimitRule {
    pub(crate) scope: Scope,
    pub(crate) requests: Option<NonZeroU32>,
    pub(crate) tokens: Option<NonZeroU64>,
    pub(crate) at_once: Option<NonZeroU32>,
}

impl LimitRule {
    /// A limit of this name on all calls, by which errors, notices and measures call it. Callers see it.
    pub fn new(name: impl Into<Arc<str>>, per: Per) -> Self {
        Self::scoped(Scope::new(name, per))
    }

    pub(crate) fn scoped(scope: Scope) -> Self {
        Self { scope, requests: None, tokens: None, at_once: None }
    }

    /// How many calls may begin in a minute. Not limited by default. The time that one takes to come back is rounded
    /// down to a nanosecond.
    pub fn requests_per_minute(mut self, requests: NonZeroU32) -> Self {
        self.requests = Some(requests);
        self
    }

    /// How many tokens calls may use in a minute, input and output together. Not limited by default.
    ///
    /// A call is charged with an estimate when it begins and with what it really used when it is over. What it used
    /// beyond the estimate may leave the caller in debt, who then waits until that is made up for. A call that is
    /// larger than the amount itself is let through by a full bucket, and leaves its debt.
    pub fn tokens_per_minute(mut self, tokens: NonZeroU64) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// How many calls may be under way at the same time, each to the end of its stream. Not limited by default.
    pub fn at_once(mut self, calls: NonZeroU32) -> Self {
        self.at_once = Some(calls);
        self
    }

    /// Only calls of these tenants. Those of all by default, as for whatever is named below.
    pub fn tenants(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.tenants(names);
        self
    }

    /// Only calls of these users.
    pub fn users(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.users(names);
        self
    }

    /// Only calls with the API keys of these names.
    pub fn keys(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.keys(names);
        self
    }

    /// Only calls for these workflows.
    pub fn workflows(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.workflows(names);
        self
    }

    /// Only calls of these jobs.
    pub fn jobs(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.jobs(names);
        self
    }

    /// Only calls of these models: `model`, `provider/model`, or beginnings of either that end in `*`.
    /// Where no target is chosen yet, a model is the same with its provider before it and without, as far as the catalogue
    /// knows whose it is, and a route is listed by its own name.
    pub fn models(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.scope.concerns.models(names);
        self
    }

    /// A call that this limit is about is not held to the limit of that name, if that stands before this one: everybody
    /// ten requests a minute, and one of them a hundred.
    pub fn instead_of(mut self, name: impl Into<Arc<str>>) -> Self {
        self.scope.instead_of = Some(name.into());
        self
    }
}

impl Scoped for LimitRule {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn scope_mut(&mut self) -> &mut Scope {
        &mut self.scope
    }
}
