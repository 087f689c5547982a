//! What entries and calls take up. A program of its own, with an allocator that counts.

use std::{alloc::System, hint::black_box, num::NonZeroU64, time::Instant};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use llm_cache::{CacheLayer, Replay};
use llm_core::{Dialect, Error, Event, FinishReason, Frame, LlmRequest, LlmResponse, Output, Start, Usage};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::{Layer, Service, service_fn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CAPACITY: u64 = 8 << 20;

fn ask(number: usize, is_stream: bool) -> LlmRequest {
    let chat = LlmRequest::chat("gpt-4o").user(format!("Question {number}: why?")).temperature(0.0);
    if is_stream { chat.stream().build() } else { chat.build() }
}

fn whole(words: usize) -> Output {
    let mut output = Output::text("word ".repeat(words));
    output.set_usage(Usage::reported(10, words as u64));
    output
}

/// A stream as it comes off a wire, several frames a buffer.
fn frames(words: usize) -> Vec<Frame> {
    let wire = |frame: Frame, buffer: &Bytes, at: usize| {
        let at = at * 200 % (buffer.len() - 200);
        frame.with_wire(Dialect::OpenAi, buffer.slice(at..at + 200))
    };
    let buffer = Bytes::from(vec![b'x'; 16_384]);
    let start = Start { id: Some("chatcmpl-123".into()), model: Some("gpt-4o".into()), created: Some(1) };
    let mut frames = vec![wire(Frame::event(Event::Start(start)), &buffer, 0)];
    frames.extend((1..=words).map(|at| wire(Frame::text("word "), &buffer, at)));
    frames.push(wire(Frame::event(Event::Finish(FinishReason::Stop)), &buffer, 3));
    frames.push(wire(Frame::event(Event::Usage(Usage::reported(10, words as u64))), &buffer, 4));
    frames.push(Frame::default().last());
    frames
}

fn streamed(words: usize) -> LlmResponse {
    let body = llm_core::Body::stream(futures_util::stream::iter(frames(words).into_iter().map(Ok)));
    LlmResponse::new(Default::default(), body)
}

/// Answers of so many words as the question's number says.
fn answer(request: LlmRequest, words: usize) -> LlmResponse {
    if request.is_stream() { streamed(words) } else { LlmResponse::from(whole(words)) }
}

fn finish(response: LlmResponse) -> Output {
    response.body.collect().now_or_never().expect("it does not wait").expect("it does not fail")
}

fn call(
    service: &mut impl Service<LlmRequest, Response = LlmResponse, Error = Error>,
    request: LlmRequest,
) -> LlmResponse {
    service.call(request).now_or_never().expect("it does not wait").expect("it does not fail")
}

fn kept(region: &Region<'_, System>) -> i64 {
    let change = region.change();
    change.bytes_allocated as i64 - change.bytes_deallocated as i64
}

// One test, because the allocator counts for all threads together.
#[test]
fn the_capacity_holds_and_calls_leave_nothing() {
    for (what, is_stream, words) in
        [("short", false, 2), ("whole", false, 300), ("short streams", true, 2), ("streams", true, 300)]
    {
        capacity_holds(what, is_stream, words);
    }
    rounds_leave_nothing();
    hits_are_cheap();
}

fn capacity_holds(what: &str, is_stream: bool, words: usize) {
    let region = Region::new(ALLOCATOR);
    let layer = CacheLayer::new().capacity(NonZeroU64::new(CAPACITY).expect("it is not zero"));
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(move |request| async move { Ok::<_, Error>(answer(request, words)) }));
    drop(finish(call(&mut service, ask(0, is_stream))));
    let one = handle.size().bytes;
    for number in 1..2 * (CAPACITY / one) as usize {
        drop(finish(call(&mut service, ask(number, is_stream))));
    }
    // What was evicted is let go some lookups later.
    let (store, key) = (handle.store(), handle.keys(&ask(0, is_stream))[0]);
    (0..1_000).for_each(|_| drop(store.get(&key)));
    let size = handle.size();
    let kept = kept(&region) as u64;
    let each = kept / size.entries;
    println!(
        "{what}: {} entries of {each} bytes, which weigh {one}; {kept} bytes for a capacity of {CAPACITY}",
        size.entries
    );
    assert!(size.bytes <= CAPACITY && size.bytes > CAPACITY * 9 / 10, "{what}: {size:?}");
    assert!(kept <= CAPACITY * 11 / 10, "{what}: {kept} bytes");
    assert!(kept >= CAPACITY * 7 / 10, "{what}: {kept} bytes, so entries weigh far more than they take up");
}

/// Readers who join, leave early, are left by their starter or meet a failure.
fn rounds_leave_nothing() {
    let layer = CacheLayer::new().capacity(NonZeroU64::MIN);
    let handle = layer.handle();
    let mut service = layer.layer(service_fn(|request: LlmRequest| async move {
        let mut frames: Vec<_> = frames(5).into_iter().map(Ok).collect();
        if request.model() == "broken" {
            frames.truncate(4);
        }
        Ok::<_, Error>(LlmResponse::new(Default::default(), llm_core::Body::stream(futures_util::stream::iter(frames))))
    }));
    let mut round = |number: usize| {
        let mut request = ask(number, true);
        if number.is_multiple_of(3) {
            request.set_model("broken");
        }
        let mut readers: Vec<_> = (0..4).map(|_| call(&mut service, request.clone()).body).collect();
        for reader in &mut readers {
            drop(reader.next().now_or_never());
        }
        drop(readers.remove(number % 4));
        let read = readers.pop().map(|reader| reader.collect().now_or_never().expect("it does not wait"));
        assert_eq!(read.expect("there are four").is_ok(), !number.is_multiple_of(3));
    };
    // Until what the store lets go late is as much as it ever will be.
    (0..1_000).for_each(&mut round);
    handle.size();
    let region = Region::new(ALLOCATOR);
    (0..10_000).for_each(&mut round);
    handle.size();
    let kept = kept(&region);
    println!("after 10,000 rounds {kept} bytes more");
    assert!(kept < 3 * 10_000, "{kept}");
    assert_eq!(handle.under_way(), 0);
}

/// Prints what a hit takes. It asserts nothing about time.
fn hits_are_cheap() {
    const ROUNDS: u32 = 10_000;
    let layer = CacheLayer::new().replay(Replay::AtOnce);

    let handle = layer.handle();
    let prompt = "Why is the sky blue, and not green? ".repeat(28);
    let request = LlmRequest::chat("gpt-4o").user(prompt).temperature(0.0).build();
    let mut service = layer.layer(service_fn(|request| async move { Ok::<_, Error>(answer(request, 10)) }));
    drop(finish(call(&mut service, request.clone())));
    let time = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| work());
        begun.elapsed() / ROUNDS
    };
    let store = handle.store();
    let key = handle.keys(&request)[0];
    let keys = time(&mut || drop(black_box(handle.keys(&request))));
    let lookup = time(&mut || drop(black_box(store.get(&key))));
    let region = Region::new(ALLOCATOR);
    let hit = time(&mut || drop(black_box(call(&mut service, request.clone()))));
    let allocations = region.change().allocations / ROUNDS as usize;
    let no_cache = llm_core::CacheDirective { no_cache: true, ..Default::default() };
    for (what, model, directive) in [
        ("a miss that is kept", "gpt-4o", no_cache),
        ("a miss that is not kept", "nothing", Default::default()),
        ("a call that passes by", "nothing", llm_core::CacheDirective { no_store: true, ..no_cache }),
    ] {
        let requests: Vec<_> = (0..100)
            .map(|number| {
                let mut request = ask(number, false);
                request.set_model(model);
                request.context_mut().set_cache(directive);
                request
            })
            .collect();
        let mut service = layer.layer(service_fn(|request: LlmRequest| async move {
            let mut output = whole(1);
            if request.model() == "nothing" {
                output = Output::text("");
            }
            Ok::<_, Error>(LlmResponse::from(output))
        }));
        let region = Region::new(ALLOCATOR);
        for request in requests {
            drop(black_box(call(&mut service, request)));
        }
        println!("{what}: {} allocations", region.change().allocations / 100);
    }
    println!("1 KB: key {keys:?}, lookup {lookup:?}, hit {hit:?} with {allocations} allocations");
}
