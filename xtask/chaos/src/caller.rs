//! A caller: makes one call, reads its answer, and leaves when it wants to.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context as Waking, Poll},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use llm_core::{
    BoxLlmService, CacheDirective, CallId, Caller as Identity, Context, Embed, EmbedInput, Error, Event, Frame,
    LlmRequest, LlmResponse, NanoUsd, Observer, Outcome, Output, Payload, Sensitivity, Served, Target, TokenFamily,
    Usage, estimate_prompt, watch,
};
use tokio::time::{Instant, Sleep, sleep};
use tower::{Service, ServiceExt};

use crate::{
    Invariant, models,
    provider::{Scripted, Watches},
    truth::{ANSWER, CAUSE, Call, PROMPT, Seen, Truth},
    world::{Asks, Caller, Directive, Leaves},
};

/// Makes the call of caller `at`, from its coming to its leaving.
pub(crate) async fn play(at: usize, caller: Caller, service: BoxLlmService, truth: Truth, watches: Watches) {
    sleep(Duration::from_millis(caller.at_ms.into())).await;
    let request = request(at, &caller);
    {
        let mut facts = truth.facts();
        facts.by_id.insert(request.context().id(), at);
        let prompt_cost = prompt_cost(&request);
        facts.calls[at] = Call {
            tenant: caller.tenant,
            allowance: caller.allowance.into(),
            prompt_cost,
            is_sensitive: caller.sensitive,
            ..Call::default()
        };
        facts.happened(("came", at));
    }
    let leaves = caller.leaves;
    let call = Making { at, caller, truth: truth.clone() }.call(service, request);
    let call = AssertUnwindSafe(call).catch_unwind();
    let staying = Staying {
        call: Some(Box::pin(call)),
        polls_left: if let Leaves::Polls(polls) = leaves { Some(polls) } else { None },
        until: if let Leaves::Ms(ms) = leaves { Some(Box::pin(sleep(Duration::from_millis(ms.into())))) } else { None },
        truth: truth.clone(),
        watches,
    };
    if let Some(Err(panic)) = staying.await {
        panicked(&truth, at, &*panic);
    }
    truth.facts().happened(("left", at));
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
        let future = ready.call(request.clone());
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
            match body.next().await {
                Some(Ok(frame)) => self.heard(&frame),
                Some(Err(error)) => {
                    self.failed(&error);
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

    fn heard(&self, frame: &Frame) {
        self.check_shown(&format!("{frame:?}"));
        let mut facts = self.truth.facts();
        facts.happened(("frame", self.at, frame.events().len()));
        let call = &mut facts.calls[self.at];
        for item in frame.events() {
            match &item.event {
                Event::Text(text) => call.text.push_str(text),
                Event::Finish(_) => call.finishes += 1,
                _ => {}
            }
        }
        call.read_last |= frame.is_last();
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
        facts.calls[self.at].outcomes.push(outcome.to_end());
    }
}

/// A call that its caller stays with for so many polls, or until then.
struct Staying<F> {
    call: Option<Pin<Box<F>>>,
    polls_left: Option<u8>,
    until: Option<Pin<Box<Sleep>>>,
    truth: Truth,
    watches: Watches,
}

impl<F: Future> Future for Staying<F> {
    /// Nothing if the caller left.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Waking<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let is_over = this.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready());
        if is_over || this.polls_left == Some(0) || !this.truth.may_poll() {
            this.call = None;
            (this.watches.0)();
            return Poll::Ready(None);
        }
        let Some(call) = &mut this.call else { return Poll::Ready(None) };
        let polled = call.as_mut().poll(cx);
        if polled.is_ready() {
            this.call = None;
        } else if let Some(left) = &mut this.polls_left {
            *left -= 1;
            if *left == 0 {
                this.call = None;
                (this.watches.0)();
                return Poll::Ready(None);
            }
        }
        (this.watches.0)();
        polled.map(Some)
    }
}
