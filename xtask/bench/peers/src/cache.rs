//! The cache layer of tower-resilience. What it keeps has to be cloned, which an answer that is read once cannot be, so it
//! stands over an echo whose answers are shared, and is asked for whole ones only.

use std::{
    future::{Ready, poll_fn, ready},
    hint::black_box,
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use llm_core::{Caller, Error, LlmRequest, LlmResponse, Output, PartContent, Payload};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service};
use tower_resilience_cache::{Cache, CacheLayer};
use xtask_bench::{
    cache::{
        ENTRIES, HIT,
        calls::{Asked, PROMPT, asked_by, asking},
    },
    layers::{
        BARE,
        echo::{Answer, Echo, stock},
    },
    rounds::{Case, at_once_or_later},
    tenants::{MANY, Tenants},
};

/// As many as ours keeps by default of such answers.
const MOST: usize = 60_000;

/// What is measured in this program.
pub fn cases() -> Vec<Case> {
    let filled = OnceLock::new();
    let hit = Case::new("tower-resilience cache, whole", HIT, move |thread| {
        let service: Filled = filled.get_or_init(filled_with_entries).clone();
        Box::new(move || {
            let mut service = service.clone();
            asking(Asked::again(Answer::Whole, Tenants::Many), thread, move |request, cx, runtime| {
                call(&mut service, request, cx, runtime);
            })
        })
    });
    vec![hit, made(BARE, Shares), made("tower-resilience cache, stored each time", layer(MOST).layer(Shares))]
}

type Filled = Cache<Shares, LlmRequest, (String, String), Arc<Output>>;

/// It is told how to make a key: of the tenant and the prompt, as they are.
fn layer(most: usize) -> CacheLayer<LlmRequest, (String, String)> {
    let key = |request: &LlmRequest| {
        let tenant = request.context().caller().tenant.as_deref().unwrap_or_default().to_owned();
        let Payload::Chat(chat) = request.payload() else { panic!("only chats are asked for") };
        let mut prompt = String::with_capacity(PROMPT + 64);
        for part in chat.system.iter().chain(&chat.messages).flat_map(|message| &message.parts) {
            if let PartContent::Text(text) = &part.content {
                prompt.push_str(text);
            }
        }
        (tenant, prompt)
    };
    let layer = CacheLayer::builder().max_size(most).ttl(Duration::from_secs(3_600)).key_extractor(key);
    layer.build().expect("these settings are allowed")
}

fn filled_with_entries() -> Filled {
    let mut service = layer(ENTRIES).layer(Shares);
    let prototype = Asked::again(Answer::Whole, Tenants::Many).prototype();
    let runtime = Builder::new_current_thread().build().expect("it needs nothing of the system");
    let mut cx = Context::from_waker(Waker::noop());
    let others = (MANY..ENTRIES).map(|number| format!("other-{number}"));
    for tenant in Tenants::Many.of(0).into_iter().chain(others) {
        stock(Answer::Whole, 1);
        call(&mut service, asked_by(Caller::tenant(tenant), &prototype), &mut cx, &runtime);
    }
    service
}

fn made<S>(name: &str, service: S) -> Case
where
    S: Service<LlmRequest, Response = Arc<Output>> + Clone + Send + 'static,
{
    Case::new(name, Answer::Whole.name(), move |thread| {
        let service = service.clone();
        Box::new(move || {
            let mut service = service.clone();
            asking(Asked::anew(Answer::Whole), thread, move |request, cx, runtime| {
                call(&mut service, request, cx, runtime);
            })
        })
    })
}

fn call<S>(service: &mut S, request: LlmRequest, cx: &mut Context<'_>, runtime: &Runtime)
where
    S: Service<LlmRequest, Response = Arc<Output>>,
{
    let is_ready = at_once_or_later(pin!(poll_fn(|cx| service.poll_ready(cx))), cx, runtime).is_ok();
    assert!(is_ready, "the echo does not fail to get ready");
    assert!(black_box(at_once_or_later(pin!(service.call(request)), cx, runtime)).is_ok(), "the echo answers");
}

/// The echo, with answers that can be cloned.
#[derive(Clone, Copy, Debug)]
struct Shares;

impl Service<LlmRequest> for Shares {
    type Response = Arc<Output>;
    type Error = Error;
    type Future = Ready<Result<Arc<Output>, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Echo.poll_ready(cx)
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let answered = Echo.call(request).into_inner();
        ready(answered.map(|response| Arc::new(whole(response))))
    }
}

fn whole(response: LlmResponse) -> Output {
    let collected = response.body.collect().now_or_never().expect("a whole answer is there");
    collected.expect("a whole answer has not failed")
}
