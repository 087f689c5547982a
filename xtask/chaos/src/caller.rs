//! A caller: makes one call, reads its answer, and leaves when it wants to.

use std::{any::Any, future::poll_fn, panic::AssertUnwindSafe, sync::Arc, task::Poll, time::Duration};

use futures_util::{FutureExt, StreamExt};
use llm_core::{
    BoxLlmService, CacheDirective, CallId, Caller as Identity, Context, Embed, EmbedInput, Error, Event, Frame,
    LlmRequest, LlmResponse, NanoUsd, Observer, Outcome, Output, Payload, Sensitivity, Served, Target, TokenFamily,
    Usage, estimate_prompt, watch,
};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt};

use crate::{
    Invariant, models,
    provider::{Scripted, Watches},
    staying::Staying,
    truth::{ANSWER, CAUSE, Call, PROMPT, Seen, Truth, heard},
    world::{Asks, Caller, Directive, Leaves},
};

/// Makes the call of caller `at`, from its coming to its leaving.
pub(crate) async fn play(at: usize, caller: Caller, service: BoxLlmService, truth: Truth, watches: Watches) {
    sleep(Duration::from_millis(caller.at_ms.into())).await;
    let request = request(at, &caller);
    {
        let mut facts = truth.facts();
        facts.by_id.insert(request.context().id(), at);
        facts.prompts.push((at, Arc::downgrade(&request.shared_payload())));
        let prompt_cost = prompt_cost(&request);
        facts.calls[at] = Call {
            tenant: caller.tenant,
            allowance: caller.allowance.into(),
            prompt_cost,
            is_sensitive: caller.sensitive,
            only_if_kept: facts.has_cache && request.context().cache().only_if_cached,
            ..Call::default()
        };
        facts.happened(("came", at));
    }
    let (leaves, restless) = (caller.leaves, caller.restless);
    let deadline = request.context().deadline().filter(|_| caller.pause.is_none());
    let call = Making { at, caller, truth: truth.clone() }.call(service, request);
    let call = AssertUnwindSafe(call).catch_unwind();
    if let Some(Err(panic)) = Staying::new(call, leaves, restless, truth.clone(), watches).await {
        panicked(&truth, at, &*panic);
    }
    let mut facts = truth.facts();
    facts.happened(("left", at));
    let late = deadline.map(|deadline| Instant::now().saturating_duration_since(deadline));
    if let Some(late) = late.filter(|late| facts.keeps_deadlines && *late > Duration::from_millis(2)) {
        facts.violated(Invariant::Ends, format!("call {at} ended {late:?} after its deadline"));
    }
}

fn panicked(truth: &Truth, at: usize, panic: &(dyn Any + Send)) {
    let mut facts = truth.facts();
    facts.calls[at].seen = Seen::Panic;
    if !panic.is::<Scripted>() {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        facts.violated(Invariant::Panics, format!("call {at}: {}", text.unwrap_or("a panic of another kind")));
    }
}

fn prompt_cost(request: &LlmRequest) -> NanoUsd {
    let tokens = estimate_prompt(request.payload(), TokenFamily::of(request.model())).likely;
    let price = models::CATALOG.get(None, request.model()).and_then(|model| model.price.as_ref());
    price.map(|price| price.cost(&Usage::estimated(tokens, 0)).total()).unwrap_or_default()
}

fn request(at: usize, caller: &Caller) -> LlmRequest {
    let model = match caller.asks {
        Asks::Embed => models::VECTORS,
        Asks::Whole | Asks::Stream | Asks::Count => models::CHAT[usize::from(caller.model) % models::CHAT.len()],
    };
    let question = format!("question {} {PROMPT}", caller.question);
    let mut request = match caller.asks {
        Asks::Embed => {
            let input = ["first", "second"].map(|text| EmbedInput::Text(format!("{text} {question}"))).to_vec();
            LlmRequest::new(model, Payload::Embed(Embed { input, ..Embed::default() }))
        }
        Asks::Whole | Asks::Stream | Asks::Count => {
            let mut chat = LlmRequest::chat(model).system(PROMPT).user(question);
            chat = chat.temperature(if caller.deterministic { 0.0 } else { 0.7 });
            if let Some(most) = caller.most_output {
                chat = chat.max_output_tokens(most.into());
            }
            if caller.asks == Asks::Stream {
                chat = chat.stream();
            }
            let request = chat.build();
            match (caller.asks, request.payload()) {
                (Asks::Count, Payload::Chat(chat)) => LlmRequest::new(model, Payload::CountTokens(chat.clone())),
                _ => request,
            }
        }
    };
    // Ids are told apart by the caller's place, so that a world runs alike each time.
    let mut context = Context::new(CallId(at as u128 + 1));
    context.set_caller(Identity {
        tenant: Some(format!("tenant-{}", caller.tenant).into()),
        user: Some(format!("user-{}", caller.question % 2).into()),
        ..Identity::default()
    });
    context.set_allowance(caller.allowance.into());
    if let Some(ms) = caller.deadline_ms {
        context.set_deadline(Instant::now() + Duration::from_millis(ms.into()));
    }
    if let Some(ms) = caller.read_timeout_ms {
        context.set_read_timeout(Duration::from_millis(ms.into()));
    }
    if caller.sensitive {
        context.raise_sensitivity(Sensitivity::Sensitive);
    }
    if let Some(provider) = caller.provider {
        context.set_target(Target::new(format!("p{provider}"), model));
    }
    let says = |directive| caller.cache.contains(&directive);
    context.set_cache(CacheDirective {
        no_cache: says(Directive::NoCache),
        no_store: says(Directive::NoStore),
        only_if_cached: says(Directive::OnlyIfCached),
        force: says(Directive::Force),
        ..CacheDirective::default()
    });
    request = request.with_context(context);
    request.extensions_mut().insert(Arc::<str>::from(PROMPT));
    request
}

/// A call as it is made.
struct Making {
    at: usize,
    caller: Caller,
    truth: Truth,
}

impl Making {
    async fn call(self, mut service: BoxLlmService, request: LlmRequest) {
        let ready = match service.ready().await {
            Ok(ready) => ready,
            Err(error) => return self.failed(&error),
        };
        if self.caller.leaves == Leaves::Ready {
            return;
        }
        self.check_shown(&format!("{request:?}"));
        let future = if self.caller.clones {
            // Readiness is not cloned; it goes back with the instance that had it.
            let mut clone = ready.clone();
            drop(service);
            match clone.ready().await {
                Ok(ready) => ready.call(request.clone()),
                Err(error) => return self.failed(&error),
            }
        } else {
            ready.call(request.clone())
        };
        self.truth.facts().calls[self.at].was_called = true;
        let future = watch(&request, future, Top { truth: self.truth.clone(), at: self.at });
        if self.caller.leaves == Leaves::Unpolled {
            return;
        }
        match future.await {
            Ok(response) => self.read(response).await,
            Err(error) => self.failed(&error),
        }
    }

    async fn read(&self, response: LlmResponse) {
        self.check_shown(&format!("{response:?}"));
        let LlmResponse { head, mut body } = response;
        self.truth.facts().calls[self.at].is_degraded = head.served == Served::Degraded;
        if self.caller.asks == Asks::Embed || self.caller.asks == Asks::Count {
            return match body.collect().await {
                Ok(output) => self.took(&output),
                Err(error) => self.failed(&error),
            };
        }
        for frames in 0.. {
            if self.caller.leaves == Leaves::Frames(frames) {
                return;
            }
            if let Some((after, ms)) = self.caller.pause
                && after == frames
            {
                sleep(Duration::from_millis(ms.into())).await;
            }
            let asked = Instant::now();
            match body.next().await {
                Some(Ok(frame)) => self.heard(&frame, asked),
                Some(Err(error)) => {
                    self.failed(&error);
                    if error.is_retryable() && !self.truth.facts().calls[self.at].text.is_empty() {
                        let seen = format!("call {} may be made again, and its caller has read content", self.at);
                        self.truth.violated(Invariant::AfterFailure, seen);
                    }
                    self.check_over(&mut body).await;
                    return;
                }
                None => {
                    self.whole();
                    self.check_over(&mut body).await;
                    return;
                }
            }
        }
    }

    /// After its end a body has nothing more.
    async fn check_over(&self, body: &mut llm_core::Body) {
        let polled = poll_fn(|cx| Poll::Ready(body.poll_next_unpin(cx))).await;
        if !matches!(polled, Poll::Ready(None)) {
            self.truth.violated(Invariant::AfterFailure, format!("call {} goes on after its end: {polled:?}", self.at));
        }
    }

    fn whole(&self) {
        let mut facts = self.truth.facts();
        facts.calls[self.at].seen = Seen::Whole;
        facts.happened(("whole", self.at));
    }

    fn took(&self, output: &Output) {
        self.whole();
        if let Output::Embed(embed) = output {
            let own = f32::from(self.caller.tenant);
            if let Some(vector) = embed.vectors.iter().find(|vector| vector.0 != [own]) {
                let seen = format!("call {} of tenant {own} got the vector {:?}", self.at, vector.0);
                self.truth.violated(Invariant::Tenants, seen);
            }
            if embed.vectors.len() != 2 {
                let seen = format!("call {} got {} vectors for two inputs", self.at, embed.vectors.len());
                self.truth.violated(Invariant::Frames, seen);
            }
        }
    }

    fn heard(&self, frame: &Frame, asked: Instant) {
        self.check_shown(&format!("{frame:?}"));
        let mut facts = self.truth.facts();
        facts.happened(("frame", self.at, frame.events().len()));
        for item in frame.events() {
            let call = &mut facts.calls[self.at];
            match &item.event {
                Event::Text(text) => {
                    call.text.push_str(text);
                    if let Some([(attempt, at, _)]) = heard(text).as_deref() {
                        facts.check_delay(self.at, *attempt, *at, asked);
                    }
                }
                Event::Finish(_) => call.finishes += 1,
                _ => {}
            }
        }
        facts.calls[self.at].read_last |= frame.is_last();
    }

    fn failed(&self, error: &Error) {
        self.check_shown(&format!("{error} {error:?} {:?}", error.trail()));
        let mut facts = self.truth.facts();
        facts.calls[self.at].seen = Seen::Failure;
        *facts.ends.entry(error.kind().as_str()).or_default() += 1;
        facts.happened(("failed", self.at, error.kind()));
    }

    fn check_shown(&self, text: &str) {
        if let Some(secret) = [PROMPT, ANSWER, CAUSE].into_iter().find(|secret| text.contains(secret)) {
            self.truth.violated(Invariant::Secrets, format!("call {} shows `{secret}`: {text}", self.at));
        }
    }
}

/// Sees how the whole call ends.
struct Top {
    truth: Truth,
    at: usize,
}

impl Observer for Top {
    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let mut facts = self.truth.facts();
        facts.happened(("ended", self.at, outcome.to_end()));
        let call = &mut facts.calls[self.at];
        call.outcomes.push(outcome.to_end());
        call.usage = Some(outcome.progress().usage());
    }
}
