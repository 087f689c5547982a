//! Metered streams: more is set aside while they run, and they end where there is no more.

use std::{num::NonZeroU64, time::Duration};

use futures_util::{FutureExt, StreamExt, future::join_all};
use llm_budget::{BudgetLayer, Metered, Streams, WhenShort};
use llm_core::{Body, ErrorKind, Frame, NanoUsd, Payload, Random, Stage as When, Usage};
use llm_test::{Answer, Gate, Probe};
use tower::{Layer, ServiceExt};

use crate::stage::{Stage, TOKEN, answer, ask_for, frames, mills, per_tenant, streamed, whole, words};

fn tokens(tokens: u64) -> NonZeroU64 {
    NonZeroU64::new(tokens).unwrap()
}

fn metered(amount: NanoUsd, terms: Metered) -> Stage {
    Stage::of(BudgetLayer::new([per_tenant(amount)]), |layer| layer.streams(Streams::Metered(terms)))
}

/// Streams until the end or an error: how many frames of text came, and the error.
async fn read(body: Body) -> (usize, Option<llm_core::Error>) {
    let frames = frames(body).await;
    let texts = frames.iter().filter(|frame| frame.as_ref().is_ok_and(Frame::is_content)).count();
    (texts, frames.into_iter().find_map(Result::err))
}

#[tokio::test(start_paused = true)]
async fn what_is_likely_is_set_aside_and_slices_while_the_stream_runs() {
    let stage = metered(mills(2_000), Metered::default().likely_output(tokens(200)));
    let gates = [Gate::new(), Gate::new()];
    let frames = words(100).gate(&gates[0]);
    let frames = (0..60).fold(frames, |frames, _| frames.text("why ")).gate(&gates[1]);
    let frames = frames.usage(Usage::reported(10, 160)).finish().last();
    let mut body = stage.send(streamed(3_000), Answer::stream(frames)).await.unwrap().body;
    assert_eq!(stage.reserved(), NanoUsd(200 * TOKEN));
    while body.next().now_or_never().is_some() {}
    assert_eq!(stage.reserved(), NanoUsd(200 * TOKEN), "a hundred words are not near two hundred");
    gates[0].open();
    while body.next().now_or_never().is_some() {}
    assert_eq!(stage.reserved(), NanoUsd(328 * TOKEN));
    gates[1].open();
    while body.next().await.is_some() {}
    assert_eq!((stage.spent(), stage.reserved()), (NanoUsd(160 * TOKEN), mills(0)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_its_whole_ceiling_set_aside_asks_for_no_more() {
    let stage = metered(NanoUsd(150 * TOKEN), Metered::default());
    let body = stage.send(streamed(150), Answer::stream(whole(150))).await.unwrap().body;
    assert_eq!(stage.reserved(), NanoUsd(150 * TOKEN));
    assert_eq!(read(body).await.1.map(|error| error.kind()), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_cut_within_what_was_set_aside_with_an_error_that_says_so() {
    let stage = metered(NanoUsd(300 * TOKEN), Metered::default().likely_output(tokens(100)));
    let body = stage.send(streamed(3_000), Answer::stream(whole(1_000))).await.unwrap().body;
    let (texts, error) = read(body).await;
    let error = error.unwrap();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::BudgetExceeded, When::AfterContent));
    assert!(error.message().starts_with("the answer was cut: the budget `per-tenant` has"), "{error}");
    assert!(error.retry_after().is_none(), "its own reservation is what stands in the way");
    assert!(error.usage().is_some() && error.trail().is_some() && error.target().is_some());
    assert!((240..=300).contains(&texts), "{texts} of 300 words that a margin of a fifth leaves");
    let balance = stage.balance("acme");
    assert_eq!((balance.reserved, balance.debt), (mills(0), mills(0)));
    assert!(balance.spent >= NanoUsd(240 * TOKEN) && balance.spent <= NanoUsd(300 * TOKEN), "{balance:?}");
    assert_eq!(stage.handle.counts().cut, 1);
    assert_eq!(stage.handle.models()[0].reported, mills(0), "marked as estimated");
}

#[tokio::test(start_paused = true)]
async fn the_provider_is_left_when_a_stream_is_cut() {
    let stage = metered(NanoUsd(150 * TOKEN), Metered::default().likely_output(tokens(100)));
    let probe = Probe::answering(Answer::stream(words(1_000)));
    let log = probe.log();
    let response = stage.layer.layer(probe).oneshot(streamed(3_000)).await.unwrap();
    let mut body = response.body;
    while let Some(Ok(_)) = body.next().await {}
    assert_eq!(log.in_flight(), 0, "while the body is still there");
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_finish_on_the_stated_overdraft_and_is_cut_beyond_it() {
    let terms =
        |overdraft| Metered::default().likely_output(tokens(100)).when_short(WhenShort::Finish(tokens(overdraft)));
    let stage = metered(NanoUsd(150 * TOKEN), terms(1_000));
    let body = stage.send(streamed(3_000), Answer::stream(whole(500))).await.unwrap().body;
    assert!(read(body).await.1.is_none());
    assert_eq!(stage.balance("acme").debt, NanoUsd(350 * TOKEN));
    let stage = metered(NanoUsd(150 * TOKEN), terms(100));
    let body = stage.send(streamed(3_000), Answer::stream(whole(500))).await.unwrap().body;
    assert_eq!(read(body).await.1.map(|error| error.kind()), Some(ErrorKind::BudgetExceeded));
    assert!(stage.balance("acme").debt <= NanoUsd(101 * TOKEN), "{:?}", stage.balance("acme"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_short_goes_on_once_others_have_settled() {
    let stage = metered(NanoUsd(1_000 * TOKEN), Metered::default().likely_output(tokens(400)));
    let gate = Gate::new();
    let other = stage.send(streamed(800), Answer::stream(words(1).gate(&gate))).await.unwrap().body;
    let frames = whole(700).spaced(Duration::from_millis(10));
    let body = stage.send(streamed(3_000), Answer::stream(frames)).await.unwrap().body;
    let reading = tokio::spawn(read(body));
    tokio::time::sleep(Duration::from_millis(4_600)).await;
    drop(other);
    assert!(reading.await.unwrap().1.is_none());
    assert_eq!(stage.balance("acme").debt, mills(0));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_half_way_pays_for_the_prompt_and_what_came_and_it_is_marked() {
    let stage = metered(mills(2_000), Metered::default());
    let mut body = stage.send(streamed(3_000), Answer::stream(whole(400))).await.unwrap().body;
    for _ in 0..201 {
        body.next().await.unwrap().unwrap();
    }
    drop(body);
    let spent = stage.spent().0 / TOKEN;
    assert!((190..=220).contains(&spent), "{spent} tokens of 200 that came");
    assert_eq!(stage.reserved(), mills(0));
    assert_eq!(stage.handle.models()[0].reported, mills(0));
}

#[tokio::test(start_paused = true)]
async fn streams_and_their_panics_leave_nothing_reserved() {
    let stage = metered(mills(2_000), Metered::default());
    let body = stage.send(streamed(3_000), Answer::stream(words(300).panic())).await.unwrap().body;
    assert!(std::panic::AssertUnwindSafe(read(body)).catch_unwind().await.is_err());
    assert_eq!(stage.reserved(), mills(0));
    assert!(stage.spent() > mills(0), "what came is paid for");
    let cut = stage.send(streamed(3_000), Answer::stream(words(20))).await.unwrap().body;
    assert_eq!(read(cut).await.1.map(|error| error.kind()), Some(ErrorKind::Interrupted));
    assert_eq!(stage.reserved(), mills(0));
}

#[tokio::test(start_paused = true)]
async fn likely_output_is_learned() {
    let stage = metered(mills(5_000), Metered::default());
    for _ in 0..60 {
        let body = stage.send(streamed(3_000), Answer::stream(whole(60))).await.unwrap().body;
        assert!(read(body).await.1.is_none());
    }
    let likely = stage.handle.models()[0].likely_output.unwrap();
    assert!(likely < 600, "{likely}");
    let _body = stage.send(streamed(3_000), Answer::stream(words(1).hang())).await.unwrap().body;
    assert_eq!(stage.reserved(), NanoUsd(likely * TOKEN));
}

#[tokio::test(start_paused = true)]
async fn of_several_answers_each_is_as_long_as_its_share() {
    let stage = metered(mills(5_000), Metered::default().likely_output(tokens(400)));
    let mut request = streamed(1_000);
    let Payload::Chat(chat) = request.payload_mut() else { panic!("it is a chat") };
    chat.n = std::num::NonZeroU32::new(3);
    let held = || {
        let call = stage.send(request.clone(), Answer::stream(words(1).hang()));
        let _body = call.now_or_never().unwrap().unwrap().body;
        stage.reserved().0 / TOKEN
    };
    assert_eq!(held(), 3 * 400);
    stage.send(request.clone(), answer(900)).await.unwrap();
    assert_eq!(held(), 3 * 396, "three hundred are less than four hundred");
    stage.send(request.clone(), answer(1_500)).await.unwrap();
    assert_eq!(held(), 3 * 436, "and five hundred are more");
}

#[tokio::test(start_paused = true)]
async fn likely_output_is_learned_by_what_calls_are_about() {
    let stage = metered(mills(5_000), Metered::default().likely_output(tokens(700)));
    let about = |intent: &str| {
        let mut request = streamed(3_000);
        request.context_mut().set_intent(intent);
        request
    };
    for _ in 0..30 {
        let code = stage.send(about("code"), Answer::stream(whole(1_500))).await.unwrap().body;
        let rewrite = stage.send(about("rewrite"), Answer::stream(whole(60))).await.unwrap().body;
        assert!(read(code).await.1.is_none() && read(rewrite).await.1.is_none());
    }
    let held = |intent: &str| {
        let call = stage.send(about(intent), Answer::stream(words(1).hang()));
        let _body = call.now_or_never().unwrap().unwrap().body;
        stage.reserved().0 / TOKEN
    };
    assert!((1_400..1_800).contains(&held("code")), "{}", held("code"));
    assert!((400..600).contains(&held("rewrite")), "{}", held("rewrite"));
    assert_eq!(held("math"), 700);
    let known: Vec<_> = stage.handle.models().into_iter().map(|spend| (spend.intent, spend.calls)).collect();
    let named = |intent: &str, calls| (Some(intent.into()), calls);
    assert_eq!(known, [named("code", 31), named("math", 1), named("rewrite", 31)]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_begin_leave_to_a_stream_a_third_of_what_is_likely() {
    let stage = metered(NanoUsd(1_000 * TOKEN), Metered::default().likely_output(tokens(300)).slice(tokens(100)));
    let gate = Gate::new();
    let frames = (0..310).fold(words(1).gate(&gate), |frames, _| frames.text("why "));
    let frames = frames.usage(Usage::reported(10, 311)).finish().last();
    let body = stage.send(streamed(3_000), Answer::stream(frames)).await.unwrap().body;
    let error = stage.send(ask_for("m", "acme", 601), answer(1)).await.unwrap_err();
    assert_eq!(error.message(), "the budget `per-tenant` has $0.03 left, and $0.03005 would be needed");
    let mut call = Box::pin(stage.send(ask_for("m", "acme", 600), Answer::hang()));
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(stage.reserved(), NanoUsd(900 * TOKEN));
    gate.open();
    assert!(read(body).await.1.is_none(), "a hundred tokens were left to it");
}

/// Log-normal lengths, as answers have: a median of 400 tokens.
fn lengths(seed: u64) -> impl FnMut() -> u64 {
    let random = Random::seeded(seed);
    move || {
        let normal = (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
        ((400.0_f64.ln() + 0.6 * normal).exp() as u64).clamp(10, 3_000)
    }
}

/// A crowd of 64 streams, and then more, one after the other in each place, until the cap is spent: what was spent of it,
/// how many streams were whole, and how many were cut.
async fn crowd(streams: Streams, cap: NanoUsd) -> (NanoUsd, usize, u64) {
    let stage = Stage::of(BudgetLayer::new([per_tenant(cap)]), |layer| layer.streams(streams));
    let mut next = lengths(7);
    let lists: Vec<Vec<u64>> = (0..64).map(|_| (0..20).map(|_| next()).collect()).collect();
    let worker = |lengths: Vec<u64>| {
        let stage = &stage;
        async move {
            let mut done = 0;
            for length in lengths {
                let frames = (0..length / 4).fold(words(0), |frames, _| frames.text("why why why why "));
                let frames = frames.usage(Usage::reported(10, length)).finish().last();
                let frames = frames.spaced(Duration::from_millis(80));
                if let Ok(response) = stage.send(streamed(3_000), Answer::stream(frames)).await {
                    done += usize::from(read(response.body).await.1.is_none());
                }
                let balance = stage.balance("acme");
                assert!(balance.spent <= cap && balance.debt == NanoUsd::ZERO, "{balance:?}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            done
        }
    };
    let done = join_all(lists.into_iter().map(worker)).await.into_iter().sum();
    assert_eq!(stage.reserved(), NanoUsd::ZERO);
    (stage.spent(), done, stage.handle.counts().cut)
}

#[tokio::test(start_paused = true)]
async fn of_a_small_cap_metered_streams_use_nearly_all_and_few_are_cut() {
    let cap = mills(2_000);
    let (spent, whole, cut) = crowd(Streams::default(), cap).await;
    assert!(spent.0 >= cap.0 / 100 * 95, "{spent} of {cap}, {whole} whole, {cut} cut");
    assert!(cut <= 2, "{cut} cut, {whole} whole");
    assert_eq!(crowd(Streams::WorstCase, cap).await.2, 0);
}
