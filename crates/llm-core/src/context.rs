//! Who calls and why: what travels with a request and is never sent to a provider.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{Again, CacheTtl, Call, CallId, Error, Target, TargetRef, Trail};

/// Who calls and why, where the call goes, and what its attempts have in common.
///
/// Clones belong to the same call: they share its id, its allowance of attempts and its trail. Everything else is the
/// clone's own, so that two attempts of one call can go to two targets.
#[derive(Clone, Debug)]
pub struct Context {
    call: Arc<Call>,
    caller: Option<Arc<Caller>>,
    target: Option<Target>,
    deadline: Option<Instant>,
    read_timeout: Option<Duration>,
    intent: Option<Arc<str>>,
    tags: Option<Arc<[Box<str>]>>,
    allowed: Option<AllowedModels>,
    sensitivity: Sensitivity,
    cache: CacheDirective,
    output_ceiling: Option<u64>,
    prompt_cache: Option<CacheTtl>,
    is_probe: bool,
    attempt: Attempt,
}

/// Which attempt of the call this is, and why it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 0.
    pub number: u32,
    /// Why it is made.
    pub reason: Again,
    /// How long was waited before it.
    pub waited: Duration,
}

impl Default for Context {
    fn default() -> Self {
        Self::new(CallId::random())
    }
}

impl Context {
    /// The context of a new call with the default allowance.
    pub fn new(id: CallId) -> Self {
        Self {
            call: Arc::new(Call::new(id)),
            caller: None,
            target: None,
            deadline: None,
            read_timeout: None,
            intent: None,
            tags: None,
            allowed: None,
            sensitivity: Sensitivity::default(),
            cache: CacheDirective::default(),
            output_ceiling: None,
            prompt_cache: None,
            is_probe: false,
            attempt: Attempt { number: 0, reason: Again::First, waited: Duration::ZERO },
        }
    }

    /// The same for a call of its own (id, allowance, trail) that no caller waits for, and that goes where this one would.
    /// It is allowed as many further calls as this one has left.
    pub fn of_new_call(&self) -> Self {
        let Self { call, attempt, .. } = Self::default();
        let mut context = Self { call, attempt, is_probe: false, ..self.clone() };
        context.set_allowance(self.calls_left());
        context.outlive_caller();
        context
    }

    /// The id of the call.
    pub fn id(&self) -> CallId {
        self.call.id()
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// The record of the call's attempts.
    pub fn trail(&self) -> Trail {
        Trail::of(Arc::clone(&self.call))
    }

    /// Asks for another call to a provider, and takes it from the call's allowance if there is one left.
    ///
    /// Whoever calls *again* asks first: the first call of all is free. `failure` is what the previous attempt came
    /// to, absent when it is merely late. Going to another target after a refusal of our own (open circuit, budget, no
    /// route) takes nothing, because no provider was reached. See [`Again`] for who may take what.
    #[must_use = "without permission no further call may be made"]
    pub fn may_call_again(&self, reason: Again, failure: Option<&Error>) -> bool {
        self.call.may_call_again(reason, failure)
    }

    /// How many further calls are left.
    pub fn calls_left(&self) -> u32 {
        self.call.calls_left()
    }

    /// Limits how many further calls may be made; never raises it.
    ///
    /// A front door lowers it by the retries that the caller's own SDK has already made.
    pub fn lower_allowance_to(&self, calls: u32) {
        self.call.lower_allowance_to(calls);
    }

    /// Sets how many further calls may be made. For the owner of the call, before it begins. Defaults to 2.
    pub fn set_allowance(&self, calls: u32) {
        self.call.set_allowance(calls);
    }

    /// Says how many candidates a router has not tried yet; retry and hedge leave one call for each of them.
    pub fn set_untried_candidates(&self, candidates: u32) {
        self.call.set_untried_candidates(candidates);
    }

    /// How many candidates a router has not tried yet.
    pub fn untried_candidates(&self) -> u32 {
        self.call.untried_candidates()
    }

    /// Makes this the context of the call's next attempt, made for `reason` after `waited`.
    pub fn begin_attempt(&mut self, reason: Again, waited: Duration) {
        self.attempt = Attempt { number: self.call.next_attempt(), reason, waited };
    }

    /// Which attempt of the call this is.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Who calls. Nobody in particular unless a front door or the caller said so.
    pub fn caller(&self) -> &Caller {
        static NOBODY: Caller = Caller { tenant: None, user: None, key: None, workflow: None, job: None };
        self.caller.as_deref().unwrap_or(&NOBODY)
    }

    /// Says who calls.
    pub fn set_caller(&mut self, caller: Caller) {
        self.caller = Some(Arc::new(caller));
    }

    /// Where the call goes, once that is decided.
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// Decides where the call goes.
    pub fn set_target(&mut self, target: Target) {
        self.target = Some(target);
    }

    /// When the caller stops waiting.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets when the caller stops waiting; of two deadlines the earlier holds.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
    }

    /// How long the caller's client waits for the head, and between two pieces of a stream, before it gives up.
    pub fn read_timeout(&self) -> Option<Duration> {
        self.read_timeout
    }

    /// Sets how long the caller's client waits for the next piece.
    pub fn set_read_timeout(&mut self, timeout: Duration) {
        self.read_timeout = Some(timeout);
    }

    /// Forgets how long the caller waits, for a call that others wait for too. Whoever says so sees to the deadline.
    pub fn outlive_caller(&mut self) {
        self.deadline = None;
        self.read_timeout = None;
    }

    /// What the request is about, as a classifier or the caller says.
    pub fn intent(&self) -> Option<&str> {
        self.intent.as_deref()
    }

    /// Says what the request is about.
    pub fn set_intent(&mut self, intent: impl Into<Arc<str>>) {
        self.intent = Some(intent.into());
    }

    /// Words of the caller's about the request, for routing rules.
    pub fn tags(&self) -> &[Box<str>] {
        self.tags.as_deref().unwrap_or_default()
    }

    /// Whether the request bears this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags().iter().any(|own| **own == *tag)
    }

    /// Sets the request's tags.
    pub fn set_tags(&mut self, tags: impl IntoIterator<Item = impl Into<Box<str>>>) {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
    }

    /// The models that the caller may use; absent where it may use all.
    pub fn allowed_models(&self) -> Option<&AllowedModels> {
        self.allowed.as_ref()
    }

    /// Limits the models that the caller may use.
    pub fn set_allowed_models(&mut self, allowed: AllowedModels) {
        self.allowed = Some(allowed);
    }

    /// Whether the request may leave the house.
    pub fn sensitivity(&self) -> Sensitivity {
        self.sensitivity
    }

    /// Says whether the request may leave the house; once sensitive, a request stays so.
    pub fn raise_sensitivity(&mut self, sensitivity: Sensitivity) {
        self.sensitivity = self.sensitivity.max(sensitivity);
    }

    /// How a cache is to treat the call.
    pub fn cache(&self) -> &CacheDirective {
        &self.cache
    }

    /// Says how a cache is to treat the call.
    pub fn set_cache(&mut self, directive: CacheDirective) {
        self.cache = directive;
    }

    /// The most output tokens that a layer allows this attempt, where the caller set no limit or a higher one.
    pub fn output_ceiling(&self) -> Option<u64> {
        self.output_ceiling
    }

    /// Limits the output tokens of this attempt; of two ceilings the lower holds.
    pub fn lower_output_ceiling(&mut self, tokens: u64) {
        self.output_ceiling = Some(self.output_ceiling.map_or(tokens, |known| known.min(tokens)));
    }

    /// For how long the provider is asked to keep the beginning of the prompt, where its dialect has marks for that and the
    /// caller has set none; not at all unless a layer says so.
    pub fn prompt_cache(&self) -> Option<CacheTtl> {
        self.prompt_cache
    }

    /// Asks the provider to keep the beginning of the prompt.
    pub fn set_prompt_cache(&mut self, ttl: CacheTtl) {
        self.prompt_cache = Some(ttl);
    }

    /// Whether a router sends this call to find out if an open target has recovered.
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Marks the call as one that finds out if an open target has recovered.
    pub fn set_probe(&mut self, is_probe: bool) {
        self.is_probe = is_probe;
    }
}

/// Who calls. Front doors fill it from the caller's key alone; budgets, limits and caches are scoped by it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The customer. Nothing is ever shared between two of them.
    pub tenant: Option<Arc<str>>,
    /// The person or machine within the tenant.
    pub user: Option<Arc<str>>,
    /// The name of the API key that the caller came with, never the key itself.
    pub key: Option<Arc<str>>,
    /// What the calls are for, such as `support-chat`.
    pub workflow: Option<Arc<str>>,
    /// One run of the workflow.
    pub job: Option<Arc<str>>,
}

impl Caller {
    /// A caller of `tenant`.
    pub fn tenant(tenant: impl Into<Arc<str>>) -> Self {
        Self { tenant: Some(tenant.into()), ..Self::default() }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, user, key, workflow, job } = self;
        let fields = [("tenant", tenant), ("user", user), ("key", key), ("workflow", workflow), ("job", job)];
        let mut out = f.debug_struct("Caller");
        for (name, value) in fields {
            if let Some(value) = value {
                out.field(name, value);
            }
        }
        out.finish()
    }
}

/// The models that a caller may use. Cloning copies a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedModels(Arc<[Box<str>]>);

impl AllowedModels {
    /// Only these: names as callers ask for them, `provider/model`, or beginnings of either that end in `*`.
    pub fn new(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// What it was made of.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Whether the caller may use what goes by this name.
    pub fn permits(&self, name: &str) -> bool {
        self.0.iter().any(|allowed| stands_for(allowed, name))
    }

    /// Whether the caller may use this target, by the name of its model or with its provider before that.
    pub fn permits_target(&self, target: TargetRef<'_>) -> bool {
        self.0.iter().any(|allowed| stands_for_target(allowed, target))
    }

    /// The same for a target whose model is named as if it were one of `other`'s, which is another provider: what is
    /// allowed of that one's models says nothing of this.
    pub fn permits_target_named_like(&self, other: &str, target: TargetRef<'_>) -> bool {
        let mut others = self.0.iter().filter(|allowed| behind(allowed, other).is_none());
        others.any(|allowed| stands_for_target(allowed, target))
    }
}

fn stands_for(allowed: &str, name: &str) -> bool {
    match allowed.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => allowed == name,
    }
}

fn stands_for_target(allowed: &str, target: TargetRef<'_>) -> bool {
    let of_provider = behind(allowed, target.provider);
    stands_for(allowed, target.model) || of_provider.is_some_and(|allowed| stands_for(allowed, target.model))
}

/// What stands behind the provider's name and a slash.
fn behind<'a>(allowed: &'a str, provider: &str) -> Option<&'a str> {
    allowed.strip_prefix(provider)?.strip_prefix('/')
}

/// Whether a request may leave the house.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitivity {
    /// It may go to any target.
    #[default]
    Normal,
    /// It goes to targets marked local, or nowhere.
    Sensitive,
}

impl Sensitivity {
    /// Whether the request may go only to targets marked local.
    pub const fn is_sensitive(self) -> bool {
        matches!(self, Self::Sensitive)
    }
}

/// How a cache is to treat one call, after HTTP's `Cache-Control`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CacheDirective {
    /// Do not answer from the cache; the new answer may be stored.
    pub no_cache: bool,
    /// Do not store the answer.
    pub no_store: bool,
    /// Answer from the cache or fail.
    pub only_if_cached: bool,
    /// Use the cache although the call is not deterministic.
    pub force: bool,
    /// Do not answer with what is older.
    pub max_age: Option<Duration>,
    /// How long the answer may be kept, instead of the cache's own time.
    pub ttl: Option<Duration>,
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
