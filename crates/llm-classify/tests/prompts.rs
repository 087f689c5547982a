//! The built-in model on prompts that were written for this test, in several languages, and that it was not trained on.

use std::collections::BTreeMap;

use llm_classify::{Classifier, IntentModel};
use llm_core::{LlmRequest, Message, Role};
use serde::Deserialize;

/// A conversation and what its newest turn is about. The turns are the user's and the model's by turns.
#[derive(Debug, Deserialize)]
struct Prompt {
    label: String,
    lang: String,
    turns: Vec<String>,
}

impl Prompt {
    fn request(&self) -> LlmRequest {
        let roles = [Role::User, Role::Assistant].into_iter().cycle();
        let messages = self.turns.iter().zip(roles).map(|(turn, role)| Message::text(role, turn));
        messages.fold(LlmRequest::chat("any"), |chat, message| chat.message(message)).build()
    }

    /// Whether `model` answers, and whether it is right.
    fn ask(&self, model: &IntentModel) -> Option<bool> {
        model.classify(&self.request()).map(|guess| guess.intent == self.label)
    }
}

fn prompts() -> Vec<Prompt> {
    include_str!("prompts.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is a prompt"))
        .collect()
}

/// How many of the prompts are answered, and how many of the answers are right.
fn count<'a>(model: &IntentModel, prompts: impl IntoIterator<Item = &'a Prompt>) -> (usize, usize) {
    let answers: Vec<bool> = prompts.into_iter().filter_map(|prompt| prompt.ask(model)).collect();
    (answers.len(), answers.iter().filter(|is_right| **is_right).count())
}

#[test]
fn most_prompts_are_told_right_and_those_it_is_sure_of_even_more() {
    let prompts = prompts();
    let (all, right) = count(&IntentModel::builtin().confidence(0.0), &prompts);
    assert_eq!(all, prompts.len(), "at no confidence nothing is left out");
    let (answered, sure) = count(&IntentModel::builtin(), &prompts);
    let wrong = prompts.iter().filter(|prompt| prompt.ask(&IntentModel::builtin()) == Some(false));
    println!("{right} of {all} right; sure of {answered}, {sure} of them right");
    wrong.for_each(|prompt| println!("{} {:?}", prompt.label, IntentModel::builtin().classify(&prompt.request())));
    let share = |part: usize, whole: usize| part as f64 / whole as f64;
    assert!(share(right, all) >= 0.85, "{right} of {all}");
    assert!(share(answered, all) >= 0.8, "{answered} of {all} are answered");
    assert!(share(sure, answered) >= 0.9, "{sure} of {answered} that it was sure of");
}

#[test]
fn every_language_and_every_label_is_told() {
    let prompts = prompts();
    let mut groups: BTreeMap<&str, Vec<&Prompt>> = BTreeMap::new();
    for prompt in &prompts {
        groups.entry(&prompt.lang).or_default().push(prompt);
        groups.entry(&prompt.label).or_default().push(prompt);
    }
    for (name, prompts) in groups.into_iter().filter(|(_, prompts)| prompts.len() >= 6) {
        let (all, right) = count(&IntentModel::builtin().confidence(0.0), prompts);
        assert!(right * 2 > all, "{name}: {right} of {all}");
    }
}

#[test]
fn the_higher_the_confidence_the_fewer_answers() {
    let prompts = prompts();
    let answered = [0.0, 0.5, 0.7, 0.9, 1.1].map(|least| {
        let model = IntentModel::builtin().confidence(least);
        let guesses = prompts.iter().filter_map(|prompt| model.classify(&prompt.request()));
        guesses.inspect(|guess| assert!(guess.confidence >= least)).count()
    });
    assert!(answered.is_sorted_by(|more, fewer| more > fewer), "{answered:?}");
    assert_eq!(answered[4], 0);
}
