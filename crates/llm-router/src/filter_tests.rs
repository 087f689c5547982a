//! Each reason keeps out whom it should, and the error says which it was.

use std::sync::Arc;

use llm_core::{
    Json, Sensitivity, Target, Tool,
    catalog::{Catalog, Model},
};
use proptest::prelude::*;

use super::*;

fn model(facts: &str) -> Arc<Model> {
    let catalog = Catalog::from_toml(&format!("[[models]]\nname = 'm'\n{facts}")).unwrap();
    Arc::clone(catalog.get_shared(None, "m").unwrap())
}

fn candidate(facts: &str) -> Candidate {
    Candidate::new(Target::new("p", "m")).facts(model(facts))
}

fn ask() -> LlmRequest {
    LlmRequest::chat("m").user("Why is the sky blue?").build()
}

/// Which of the candidates are admitted, and what the error would be.
fn admitted<const N: usize>(
    request: &LlmRequest,
    tags: &[Box<str>],
    candidates: [&Candidate; N],
) -> ([bool; N], ErrorKind, String) {
    let (mut filter, mut facts) = (Filter::new(request, tags), Facts::of(request));
    let admitted = candidates.map(|candidate| filter.admits(candidate, &mut facts));
    let refusal = filter.refusal("route");
    (admitted, refusal.kind(), refusal.message().to_owned())
}

#[test]
fn what_is_not_known_keeps_nobody_out() {
    let unknown = Candidate::new(Target::new("p", "m"));
    let request =
        LlmRequest::chat("m").user("x".repeat(100_000)).tool(Tool::function("f", "", Json::from_text("{}").unwrap()));
    assert_eq!(admitted(&request.build(), &[], [&unknown, &candidate("")]).0, [true, true]);
}

#[test]
fn a_capability_that_is_known_to_be_missing_keeps_out() {
    let (with, without) = (candidate("capabilities.tools = true"), candidate("capabilities.tools = false"));
    let tool = Tool::function("f", "", Json::from_text("{}").unwrap());
    let request = LlmRequest::chat("m").user("hi").tool(tool).build();
    assert_eq!(admitted(&request, &[], [&with, &without]).0, [true, false]);
    assert_eq!(admitted(&ask(), &[], [&without]).0, [true], "nobody needs it");
    let (_, kind, message) = admitted(&request, &[], [&without, &without]);
    assert_eq!(kind, ErrorKind::InvalidRequest);
    assert_eq!(message, "`route` has 2 targets: none of them is capable of calling tools");
    let (_, _, message) = admitted(&request, &[], [&without]);
    assert_eq!(message, "`route` has one target: it is not capable of calling tools");
}

#[test]
fn embeddings_and_chats_go_to_models_of_their_kind() {
    let (chat, embedding) = (candidate("mode = 'chat'"), candidate("mode = 'embedding'"));
    assert_eq!(admitted(&LlmRequest::embed("m", ["text"]), &[], [&chat, &embedding]).0, [false, true]);
    assert_eq!(admitted(&ask(), &[], [&chat, &embedding]).0, [true, false]);
}

#[test]
fn a_prompt_that_is_longer_than_a_known_window_keeps_out() {
    let (small, large) = (candidate("context_window = 100"), candidate("context_window = 100_000"));
    let request = LlmRequest::chat("m").user("word ".repeat(1_000)).build();
    assert_eq!(admitted(&request, &[], [&small, &large]).0, [false, true]);
    assert_eq!(admitted(&ask(), &[], [&small]).0, [true]);
    let (_, kind, message) = admitted(&request, &[], [&small]);
    assert_eq!(kind, ErrorKind::ContextLength);
    assert!(message.ends_with("the prompt is too long for it"), "{message}");
}

#[test]
fn sensitive_requests_stay_in_the_house() {
    let (here, there) = (candidate("").local(), candidate(""));
    let mut request = ask();
    request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
    assert_eq!(admitted(&request, &[], [&here, &there]).0, [true, false]);
    let (_, kind, message) = admitted(&request, &[], [&there]);
    assert_eq!(kind, ErrorKind::NoRoute);
    assert!(message.ends_with("the request is sensitive, and it is not marked local"), "{message}");
}

#[test]
fn required_tags_are_the_models_or_the_providers() {
    let of_model = candidate("tags = ['eu', 'fast']");
    let of_provider = candidate("tags = ['fast']").tags([Box::from("eu")]);
    let half = candidate("tags = ['fast']");
    let tags = ["eu", "fast"].map(Box::from);
    assert_eq!(admitted(&ask(), &tags, [&of_model, &of_provider, &half]).0, [true, true, false]);
    assert_eq!(admitted(&ask(), &tags, [&half]).1, ErrorKind::NoRoute);
}

#[test]
fn callers_use_what_they_may_by_its_name_or_by_the_name_they_asked_for() {
    let (own, other) = (candidate(""), Candidate::new(Target::new("q", "n")));
    let allowed = |names: &[&str]| {
        let mut request = ask();
        request.context_mut().set_allowed_models(AllowedModels::new(names.iter().copied()));
        let (admitted, kind, _) = admitted(&request, &[], [&own, &other]);
        (admitted, kind)
    };
    assert_eq!(allowed(&["m"]).0, [true, true], "whatever answers to what was asked for");
    assert_eq!(allowed(&["q/*"]).0, [false, true]);
    assert_eq!(allowed(&["o"]), ([false, false], ErrorKind::Forbidden));
}

#[test]
fn for_several_reasons_there_is_no_route() {
    let mut request = LlmRequest::chat("m").user("word ".repeat(1_000)).build();
    request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
    let (there, small) = (candidate(""), candidate("context_window = 100").local());
    let (_, kind, message) = admitted(&request, &[], [&there, &small]);
    assert_eq!(kind, ErrorKind::NoRoute);
    assert_eq!(message, "`route` has 2 targets: none of them can serve this request");
}

#[test]
fn of_a_chosen_target_only_matters_whether_the_call_may_go_there() {
    let request = LlmRequest::chat("m").user("word ".repeat(1_000)).build();
    assert!(Filter::new(&request, &[]).admits_chosen(&candidate("context_window = 100")));
    let mut sensitive = request.clone();
    sensitive.context_mut().raise_sensitivity(Sensitivity::Sensitive);
    assert!(!Filter::new(&sensitive, &[]).admits_chosen(&candidate("")));
}

proptest! {
    #[test]
    fn no_estimate_is_above_what_needs_no_look_into_the_texts(
        text in "([a-z ]|[0-9] |\\PC|[0-9][.,;]|\n){0,60}",
        model in prop::sample::select(&["gpt-4o", "gpt-4", "claude-opus-4-1", "gemini-2.5-pro", "llama3"][..]),
    ) {
        let request = LlmRequest::chat(model).system("1").user(text).build();
        prop_assert!(most_tokens(&request) >= Facts::of(&request).input_tokens());
    }
}
