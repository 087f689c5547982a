//! Our cache, what it is made of, and moka alone.

use std::{
    cell::OnceCell,
    hint::black_box,
    num::NonZeroU64,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use llm_breaker::BreakerLayer;
use llm_budget::{BudgetLayer, Cap, CapRule, Per, Window};
use llm_cache::{CacheHandle, CacheLayer, Entry, Key};
use llm_core::{CacheDirective, Caller, Error, LlmRequest, LlmResponse, NanoUsd};
use llm_retry::RetryLayer;
use tokio::runtime::Builder;
use tower::{Layer, Service, ServiceBuilder};

use super::{
    ENTRIES, HIT, JOIN, KEY,
    calls::{Asked, Readers, asked_by, asking, call, chat, read_together},
};
use crate::{
    layers::{
        BARE,
        echo::{Answer, Echo, stock},
        own::router,
    },
    rounds::{Case, by_turns},
    tenants::{MANY, Tenants},
};

/// What a hit cannot do without: the key of the prompt, and a look into the store with it.
pub const KEY_AND_GET: &str = "key, and get from llm-cache's store";

/// A look into moka with a key that is known.
pub const MOKA: &str = "moka alone, get";

/// A hit, whole.
pub const HIT_WHOLE: &str = "llm-cache, whole";

/// A hit, streamed.
pub const HIT_STREAM: &str = "llm-cache, streamed to its end";

/// A call whose answer is kept.
pub const STORED: &str = "llm-cache, stored each time";

/// A call whose answer may not be kept.
pub const NO_STORE: &str = "llm-cache, no-store";

/// All five named layers.
pub const FIVE: &str = "cache, router, retry, budget and breaker, stored each time";

/// The same where nothing may be kept.
pub const FIVE_NO_STORE: &str = "cache, router, retry, budget and breaker, no-store";

/// A call that somebody joins.
pub const JOINED: &str = "and one who joins";

/// What is measured in this program.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = [1_000, 100_000].into_iter().map(key).collect();
    cases.extend(hits());
    for answer in [Answer::Whole, Answer::Stream] {
        cases.push(made(BARE, answer, CacheDirective::default(), Echo));
        cases.push(made(STORED, answer, CacheDirective::default(), CacheLayer::new().layer(Echo)));
        let no_store = CacheDirective { no_store: true, ..CacheDirective::default() };
        cases.push(made(NO_STORE, answer, no_store, CacheLayer::new().layer(Echo)));
        cases.push(made(FIVE, answer, CacheDirective::default(), five()));
        cases.push(made(FIVE_NO_STORE, answer, no_store, five()));
    }
    for answer in [Answer::Whole, Answer::Stream] {
        cases.extend(joins(answer));
    }
    cases
}

fn key(bytes: usize) -> Case {
    Case::new(&format!("key of a chat of {} KB", bytes / 1_000), KEY, move |_| {
        Box::new(move || {
            let handle = CacheLayer::new().handle();
            by_turns(vec![chat(bytes, false)], move |request, _| {
                black_box(handle.keys(black_box(request)));
            })
        })
    })
}

/// A cache that knows the answers to what [`Tenants::Many`] ask, and keeps as many others that there are [`ENTRIES`].
struct Filled {
    layer: CacheLayer,
    handle: CacheHandle,
    entry: Arc<Entry>,
}

/// Such a cache, which is filled when it is needed: that takes a while, and some programs need none.
#[derive(Clone)]
struct Fills(Answer, Rc<OnceCell<Arc<Filled>>>);

impl Fills {
    fn new(answer: Answer) -> Self {
        Self(answer, Rc::default())
    }

    fn filled(&self) -> Arc<Filled> {
        Arc::clone(self.1.get_or_init(|| Arc::new(Filled::with(self.0))))
    }
}

impl Filled {
    fn with(answer: Answer) -> Self {
        let layer = CacheLayer::new().capacity(NonZeroU64::new(1 << 30).expect("it is not zero"));
        let (handle, mut service) = (layer.handle(), layer.layer(Echo));
        let prototype = Asked::again(answer, Tenants::Many).prototype();
        let runtime = Builder::new_current_thread().build().expect("it needs nothing of the system");
        let mut cx = Context::from_waker(Waker::noop());
        for tenant in Tenants::Many.of(0) {
            stock(answer, 1);
            call(&mut service, asked_by(Caller::tenant(tenant), &prototype), answer, &mut cx, &runtime);
        }
        let store = handle.store();
        let entry = store.get(&keys(&handle, 0)[0]).expect("it has just been kept");
        others().for_each(|key| store.put(key, Arc::clone(&entry)));
        assert_eq!(handle.size().entries, ENTRIES as u64, "there is room for all");
        Self { layer, handle, entry }
    }
}

/// Keys of what nobody asks again.
fn others() -> impl Iterator<Item = Key> {
    (MANY..ENTRIES).map(|number| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Key::from_bytes(bytes)
    })
}

/// The keys of what [`Tenants::Many`] ask, in turn.
fn keys(handle: &CacheHandle, thread: usize) -> Vec<Key> {
    let prototype = Asked::again(Answer::Whole, Tenants::Many).prototype();
    let key = |tenant: String| handle.keys(&asked_by(Caller::tenant(tenant), &prototype))[0];
    Tenants::Many.of(thread).into_iter().map(key).collect()
}

fn hits() -> Vec<Case> {
    let [whole, stream] = [Answer::Whole, Answer::Stream].map(Fills::new);
    vec![
        key_and_get(whole.clone()),
        get(whole.clone()),
        moka_get(whole.clone()),
        hit(HIT_WHOLE, Tenants::Many, &whole),
        hit("llm-cache, whole, both threads the same", Tenants::One, &whole),
        hit(HIT_STREAM, Tenants::Many, &stream),
        hit("llm-cache, streamed, both threads the same", Tenants::One, &stream),
    ]
}

fn key_and_get(fills: Fills) -> Case {
    Case::new(KEY_AND_GET, HIT, move |thread| {
        let handle = fills.filled().handle.clone();
        Box::new(move || {
            let (handle, store) = (handle.clone(), handle.store());
            asking(Asked::again(Answer::Whole, Tenants::Many), thread, move |request, _, _| {
                let key = handle.keys(&request)[0];
                assert!(black_box(store.get(&key)).is_some(), "it is kept");
            })
        })
    })
}

fn get(fills: Fills) -> Case {
    Case::new("llm-cache's store alone, get", HIT, move |thread| {
        let handle = fills.filled().handle.clone();
        Box::new(move || {
            let store = handle.store();
            by_turns(keys(&handle, thread), move |key, _| assert!(black_box(store.get(key)).is_some(), "it is kept"))
        })
    })
}

fn moka_get(fills: Fills) -> Case {
    let moka: OnceCell<moka::sync::Cache<Key, Arc<Entry>>> = OnceCell::new();
    Case::new(MOKA, HIT, move |thread| {
        let filled = fills.filled();
        let moka = moka.get_or_init(|| {
            let moka = moka::sync::Cache::new(2 * ENTRIES as u64);
            let all = keys(&filled.handle, 0).into_iter().chain(others());
            all.for_each(|key| moka.insert(key, Arc::clone(&filled.entry)));
            moka
        });
        let moka = moka.clone();
        Box::new(move || {
            let keys = keys(&filled.handle, thread);
            by_turns(keys, move |key, _| assert!(black_box(moka.get(key)).is_some(), "it is kept"))
        })
    })
}

fn hit(name: &str, tenants: Tenants, fills: &Fills) -> Case {
    let (answer, fills) = (fills.0, fills.clone());
    Case::new(name, HIT, move |thread| {
        let filled = fills.filled();
        Box::new(move || {
            let mut service = filled.layer.layer(Echo);
            // One of those that are known.
            let asked = Asked { is_first_alone: tenants == Tenants::One, ..Asked::again(answer, Tenants::Many) };
            asking(asked, thread, move |request, cx, runtime| call(&mut service, request, answer, cx, runtime))
        })
    })
}

/// Calls that nothing is kept for.
fn made<S>(name: &str, answer: Answer, directive: CacheDirective, service: S) -> Case
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
{
    Case::new(name, answer.name(), move |thread| {
        let service = service.clone();
        // Cloned again on its thread, because that is where its handles are to count.
        Box::new(move || {
            let mut service = service.clone();
            let asked = Asked { directive, ..Asked::anew(answer) };
            asking(asked, thread, move |request, cx, runtime| call(&mut service, request, answer, cx, runtime))
        })
    })
}

/// The five layers in the recommended order. All calls share the three accounts, since no caller comes twice.
fn five() -> impl Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send> + Clone + Send + 'static {
    let cap = |name: &str, per: Per| CapRule::new(name, per, Cap::new(NanoUsd(u64::MAX / 2), Window::DAY));
    let caps = [cap("all", Per::GLOBAL), cap("also-all", Per::GLOBAL), cap("per-model", Per::MODEL)];
    let outer = ServiceBuilder::new().layer(CacheLayer::new()).layer(router()).layer(RetryLayer::new());
    outer.layer(BudgetLayer::new(caps)).layer(BreakerLayer::new()).service(Echo)
}

/// A call of one reader, and a call of two.
fn joins(answer: Answer) -> [Case; 2] {
    let case = |name: String, readers: Readers| {
        let layer = CacheLayer::new();
        Case::new(&name, JOIN, move |thread| {
            let layer = layer.clone();
            Box::new(move || {
                let mut service = layer.layer(Late);
                asking(Asked::anew(answer), thread, move |request, cx, _| {
                    read_together(&mut service, request, answer, readers, cx);
                })
            })
        })
    };
    let name = answer.name();
    [case(format!("{name}, one reader"), Readers::One), case(format!("{name}, {JOINED}"), Readers::Two)]
}

/// The echo, which answers when it is asked again.
#[derive(Clone, Copy, Debug)]
struct Late;

struct Later {
    answer: Option<Result<LlmResponse, Error>>,
    was_asked: bool,
}

impl Service<LlmRequest> for Late {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Later;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Echo.poll_ready(cx)
    }

    fn call(&mut self, request: LlmRequest) -> Later {
        Later { answer: Some(Echo.call(request).into_inner()), was_asked: false }
    }
}

impl Future for Later {
    type Output = Result<LlmResponse, Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if !std::mem::replace(&mut self.was_asked, true) {
            return Poll::Pending;
        }
        Poll::Ready(self.answer.take().expect("polled after completion"))
    }
}
