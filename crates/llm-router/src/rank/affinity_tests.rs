//! Tests of the choice by conversation.

use llm_core::{Caller, ChatBuilder, Json, Random, Tool};

use super::*;
use crate::rank::testing::Bench;

fn conversation(number: usize) -> ChatBuilder {
    LlmRequest::chat("m").system("Be brief.").user(format!("question {number}"))
}

fn favourite(bench: &Bench, request: ChatBuilder) -> usize {
    bench.pick_for(&Affinity, &request.build())
}

#[test]
fn later_turns_go_where_the_first_went() {
    let bench = Bench::new(5);
    for number in 0..50 {
        let first = favourite(&bench, conversation(number));
        let later = conversation(number).assistant("Because.").user("Why?").temperature(0.3);
        assert_eq!(favourite(&bench, later), first);
    }
}

#[test]
fn conversations_are_spread() {
    let bench = Bench::new(4);
    let mut picks = [0; 4];
    (0..10_000).for_each(|number| picks[favourite(&bench, conversation(number))] += 1);
    assert!(picks.iter().all(|picked| (2_300..2_700).contains(picked)), "{picks:?}");
}

#[test]
fn replicas_of_a_service_agree() {
    // In another process, or after another start, these are the same.
    let bench = Bench::new(4).unseeded();
    let picked: Vec<_> = (0..12).map(|number| favourite(&bench, conversation(number))).collect();
    assert_eq!(picked, AGREED);
}

const AGREED: [usize; 12] = [3, 2, 0, 3, 0, 3, 0, 1, 1, 3, 0, 0];

#[test]
fn a_target_that_goes_takes_only_its_own_conversations_with_it() {
    let (all, without_last) = (Bench::new(4), Bench::new(3));
    for number in 0..1_000 {
        let before = favourite(&all, conversation(number));
        let after = favourite(&without_last, conversation(number));
        assert!(before == 3 || before == after);
    }
}

/// Whether changing a request moves some of many conversations.
fn moves(change: impl Fn(ChatBuilder) -> LlmRequest) -> bool {
    let bench = Bench::new(8);
    (0..20).any(|number| {
        favourite(&bench, conversation(number)) != bench.pick_for(&Affinity, &change(conversation(number)))
    })
}

#[test]
fn tenant_instructions_tools_and_the_first_message_count() {
    let of_tenant = |chat: ChatBuilder| {
        let mut request = chat.build();
        request.context_mut().set_caller(Caller::tenant("acme"));
        request
    };
    assert!(moves(of_tenant));
    assert!(moves(|chat| chat.system("In French.").build()));
    let tool = |name: &str, schema: &str| Tool::function(name, "looks", Json::from_text(schema).unwrap());
    assert!(moves(|chat| chat.tool(tool("look", "{}")).build()));
    assert!(!moves(|chat| chat.user("and another thing").build()));
}

#[test]
fn only_the_first_of_long_texts_count() {
    let with_system = |end: &'static str, length: usize| {
        move |chat: ChatBuilder| {
            chat.with(|chat| chat.system = vec![Message::text(llm_core::Role::System, "x".repeat(length) + end)])
                .build()
        }
    };
    let bench = Bench::new(8);
    let picks = |change: &dyn Fn(ChatBuilder) -> LlmRequest| -> Vec<usize> {
        (0..20).map(|number| bench.pick_for(&Affinity, &change(conversation(number)))).collect()
    };
    assert_eq!(picks(&with_system("a", INSTRUCTIONS)), picks(&with_system("b", INSTRUCTIONS)));
    assert_ne!(picks(&with_system("a", INSTRUCTIONS - 1)), picks(&with_system("b", INSTRUCTIONS - 1)));
    let with_first = |end: &'static str, length: usize| {
        move |_: ChatBuilder| LlmRequest::chat("m").user("y".repeat(length) + end).build()
    };
    let all: Vec<_> = (0..8).map(|_| with_first("a", FIRST_MESSAGE)).collect();
    assert!(all.iter().all(|a| picks(a) == picks(&with_first("b", FIRST_MESSAGE))));
    let ends = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|end| picks(&with_first(end, FIRST_MESSAGE - 1))[0]);
    assert!(ends.iter().any(|at| *at != ends[0]), "{ends:?}");
}

#[test]
fn a_favourite_with_too_much_to_do_is_left_for_the_next() {
    let bench = Bench::new(4);
    let first = favourite(&bench, conversation(1));
    let busy =
        |calls: usize| -> Vec<_> { (0..calls).map(|_| bench.candidates[first].begin(false, bench.now)).collect() };
    let calls = busy(NO_BURDEN);
    assert_eq!(favourite(&bench, conversation(1)), first, "a few calls are no burden");
    let more = busy(1);
    let next = favourite(&bench, conversation(1));
    assert_ne!(next, first);
    // 5 of 17 calls are 1.18 times the mean, which is not too much.
    let others: Vec<_> = (0..4).filter(|at| *at != first).flat_map(|at| bench.under_way_at(at, 4)).collect();
    assert_eq!(favourite(&bench, conversation(1)), first);
    drop((calls, more, others));
    assert_eq!(favourite(&bench, conversation(1)), first);
}

#[test]
fn a_favourite_that_fails_is_left_unless_all_do() {
    let bench = Bench::new(2);
    let first = favourite(&bench, conversation(1));
    bench.ends(first, [true]);
    assert_eq!(favourite(&bench, conversation(1)), first, "one failure is half of two calls, and not more");
    bench.ends(first, [true]);
    assert_eq!(favourite(&bench, conversation(1)), 1 - first);
    bench.ends(1 - first, [true; 2]);
    assert_eq!(favourite(&bench, conversation(1)), first);
}

#[test]
fn weights_are_shares_of_the_conversations() {
    let bench = Bench::new(3).weights([3.0, 1.0, 0.0]);
    let mut picks = [0; 3];
    (0..10_000).for_each(|number| picks[favourite(&bench, conversation(number))] += 1);
    assert!(picks[2] == 0 && (7_300..7_700).contains(&picks[0]), "{picks:?}");
}

#[test]
fn no_number_is_drawn() {
    let random = Random::seeded(3);
    let bench = Bench::new(4).random(random.clone());
    let picked: Vec<_> = (0..10).map(|number| favourite(&bench, conversation(number))).collect();
    assert!(picked.iter().any(|at| *at != picked[0]));
    assert_eq!(random.unit().to_bits(), Random::seeded(3).unit().to_bits());
}

#[test]
fn embeddings_of_the_same_text_stay_together() {
    let bench = Bench::new(8);
    let of = |text: &str| bench.pick_for(&Affinity, &LlmRequest::embed("m", [text, "and another"]));
    let picks: Vec<_> = (0..20).map(|number| of(&format!("text {number}"))).collect();
    assert_eq!(picks, (0..20).map(|number| of(&format!("text {number}"))).collect::<Vec<_>>());
    assert!(picks.iter().any(|at| *at != picks[0]));
}
