//! What the built-in model reads of a request, and what it makes of odd ones.

use llm_classify::{
    Classifier, IntentModel,
    intent::{LABELS, LANES, ROWS},
};
use llm_core::{Image, LlmRequest, Message, Part, PartContent, Role, Source};
use proptest::prelude::*;

fn ask(text: &str) -> LlmRequest {
    LlmRequest::chat("any").user(text).build()
}

fn shares(request: &LlmRequest) -> Option<[f32; LABELS.len()]> {
    IntentModel::builtin().shares(request)
}

fn intent(request: &LlmRequest) -> Option<&'static str> {
    IntentModel::builtin().classify(request).map(|guess| guess.intent)
}

#[test]
fn weights_that_are_damaged_cut_or_of_another_shape_are_refused() {
    let whole = include_bytes!("../data/intent.bin");
    let refused = |bytes: Vec<u8>| IntentModel::from_bytes(bytes).unwrap_err().to_string();
    assert!(IntentModel::from_bytes(whole.to_vec()).is_ok());
    assert!(whole.len() > 2 * ROWS * LANES);
    assert_eq!(refused(Vec::new()), "weights: this is no file of intent weights");
    assert_eq!(refused(whole[1..].to_vec()), "weights: this is no file of intent weights");
    assert_eq!(refused(whole[..whole.len() - 4].to_vec()), "weights: the weights are of another version or shape");
    let changed = |place: usize| {
        let mut bytes = whole.to_vec();
        bytes[place] ^= 1;
        bytes
    };
    for place in [8, 12, 16, 20] {
        assert_eq!(refused(changed(place)), "weights: the weights are of another version or shape");
    }
    for place in [24, 32, 1_000, whole.len() - 1] {
        assert_eq!(refused(changed(place)), "weights: the weights are damaged");
    }
}

#[test]
fn words_in_a_block_of_code_are_not_what_is_wanted() {
    let code =
        "```rust\nfn summarize(text: &str) -> String { let translated = translate(text); poem(translated) }\n```";
    let asked = |wish: &str| intent(&ask(&format!("{wish}\n\n{code}")));
    assert_eq!(asked("Why does this not compile?"), Some("code"));
    assert_eq!(asked("Write a short funny poem about it:"), Some("creative"));
    let same_looks = code.replace("translate", "transport").replace("poem", "pour");
    assert_eq!(shares(&ask(&format!("Fix this:\n{code}"))), shares(&ask(&format!("Fix this:\n{same_looks}"))));
}

/// What fixed prompts get from the weights that are built in, to the bit: other features, or other weights, and these are
/// others. Then train again, and state here what is found.
const FIXED: [(&str, [f32; LABELS.len()]); 4] = [
    (
        "How do I parse JSON in Rust?",
        [0.84265715, 0.0059440625, 0.011018362, 8.6612454e-5, 0.00022622812, 0.003517917, 0.13654974],
    ),
    (
        "Was ist 12 % von 250?",
        [0.0006975439, 0.9750328, 0.00207214, 0.00032916598, 0.0008702463, 0.00029485585, 0.020703318],
    ),
    (
        "напиши стихотворение о зиме и переведи его на английский",
        [0.0014537118, 0.0010361149, 0.00016011331, 0.8072177, 0.0005682311, 0.1891668, 0.00039735786],
    ),
    (
        "1. A\n2. B\n`x` == \"y\" 漢字?",
        [0.005074471, 0.94823724, 0.031693067, 0.0031608057, 0.00013013081, 0.00026967924, 0.011434657],
    ),
];

#[test]
fn fixed_prompts_have_fixed_shares() {
    for (prompt, expected) in FIXED {
        assert_eq!(shares(&ask(prompt)), Some(expected), "{prompt}");
    }
}

#[test]
fn only_a_user_who_says_something_has_an_intent() {
    let image = Image { source: Source::Url("https://example.com/cat.png".into()), detail: None };
    let picture = Message::new(Role::User, vec![Part::from(PartContent::Image(image))]);
    assert_eq!(shares(&LlmRequest::chat("any").build()), None);
    assert_eq!(shares(&LlmRequest::chat("any").system("Write poems.").assistant("Ah!").build()), None);
    assert_eq!(shares(&LlmRequest::chat("any").message(picture.clone()).build()), None);
    assert_eq!(shares(&ask(" \n\t\u{a0}")), None);
    assert_eq!(shares(&LlmRequest::embed("any", ["Write a poem about the sea"])), None);
    // A picture says nothing, so the words before it are the newest.
    let request = LlmRequest::chat("any").user("Translate this into French: good night").message(picture).build();
    assert_eq!(intent(&request), Some("rewrite"));
}

#[test]
fn the_newest_turn_decides_and_what_came_before_helps() {
    let code = "Write a Python function that reads a CSV file.";
    let thanks = "Thank you so much! Have a lovely evening.";
    let changed = LlmRequest::chat("any").user(code).assistant("def read(): ...").user(thanks).build();
    assert_eq!(intent(&changed), Some("general"));
    let bare = shares(&ask("now a bit faster please")).unwrap();
    let after = LlmRequest::chat("any").user(code).assistant("def read(): ...").user("now a bit faster please").build();
    assert!(shares(&after).unwrap()[0] > bare[0] + 0.05);
    let system =
        LlmRequest::chat("any").system("You write and review Python code.").user("now a bit faster please").build();
    assert!(shares(&system).unwrap()[0] > bare[0]);
}

#[test]
fn parts_of_a_turn_are_read_one_after_the_other() {
    let parts = |texts: &[&str]| {
        let parts = texts.iter().map(|text| Part::text(*text)).collect();
        LlmRequest::chat("any").message(Message::new(Role::User, parts)).build()
    };
    let whole = shares(&ask("Translate this into French:\ngood night"));
    assert_eq!(shares(&parts(&["Translate this into French:", "good night"])), whole);
    let long = "The tram depot was built in 1911. ".repeat(100);
    let asked_last = parts(&[&long, "Translate this into French."]);
    assert_eq!(shares(&asked_last), shares(&ask(&format!("{long}\nTranslate this into French."))));
}

#[test]
fn the_middle_of_a_long_text_is_not_read() {
    let text = |middle: &str| format!("Summarise this:\n{}{middle}{}", "a b ".repeat(250), " c d".repeat(80));
    let expected = shares(&ask(&text("")));
    assert_ne!(shares(&ask(&text("")[..1_000])), expected);
    assert_eq!(shares(&ask(&text(&"fn main() {} ".repeat(100_000)))), expected);
    // A megabyte of short texts, and of messages.
    let parts = vec![Part::text("word"); 200_000];
    assert!(shares(&LlmRequest::chat("any").message(Message::new(Role::User, parts)).build()).is_some());
    let tools = vec![Message::text(Role::Assistant, "tool call"); 100_000];
    let request = LlmRequest::chat("any").user("Write a poem").with(|chat| chat.messages.extend(tools)).build();
    assert_eq!(shares(&request), None, "what was said so long ago is not looked for");
}

#[test]
fn a_character_that_is_cut_through_is_left_out() {
    for length in 0..8 {
        let text = format!("{}{}", "x".repeat(length), "é漢🙂".repeat(1_000));
        let sum: f32 = shares(&ask(&text)).unwrap().iter().sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
}

#[test]
fn debug_tells_no_weights() {
    assert!(format!("{:?}", IntentModel::builtin()).len() < 200);
}

proptest! {
    #[test]
    fn any_text_has_shares_that_sum_to_one(text in any::<String>(), more in "\\PC{0,3000}", system in "[\\s\\S]{0,600}") {
        let request = LlmRequest::chat("any").system(system).user(more).user(text).build();
        if let Some(shares) = shares(&request) {
            prop_assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{:?}", shares);
            prop_assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{:?}", shares);
        }
    }

    #[test]
    fn any_bytes_are_weights_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(IntentModel::from_bytes(bytes).is_err());
    }
}
