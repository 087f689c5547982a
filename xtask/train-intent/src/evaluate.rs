//! How good the trained model is on prompts that it never saw.

use std::collections::BTreeMap;

use llm_classify::{IntentModel, intent::LABELS};

use crate::{
    Failure,
    choice::Chosen,
    example::{self, Example},
    folds,
    prompts::Prompt,
};

/// Parts that are held out in turn.
pub const FOLDS: usize = 5;
/// Decides which prompts are held out together.
const SEED: u64 = 5;

/// What a model said of a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The place of the true label.
    pub label: usize,
    /// The place of the likeliest one.
    pub said: usize,
    /// Its share.
    pub confidence: f32,
}

impl Answer {
    /// Whether it was right.
    pub fn is_right(&self) -> bool {
        self.label == self.said
    }
}

/// What was found by holding out.
#[derive(Debug)]
pub struct CrossValidation {
    /// An answer for each prompt, from a model that did not learn from it and whose settings were chosen without it.
    pub answers: Vec<Answer>,
    /// What was chosen for each part.
    pub chosen: Vec<Chosen>,
}

/// Holds out each part in turn.
pub fn cross_validate(prompts: &[Prompt], examples: &[Example]) -> Result<CrossValidation, Failure> {
    let all: Vec<&Example> = examples.iter().collect();
    let parts = folds::of(&all, FOLDS, SEED);
    let mut answers = vec![None; prompts.len()];
    let mut chosen = Vec::new();
    for part in 0..FOLDS {
        let (_, learned) = folds::split(&all, &parts, part);
        let choice = Chosen::by(&learned);
        let model = IntentModel::from_bytes(choice.train(&learned).to_bytes())?;
        for ((prompt, answer), _) in prompts.iter().zip(&mut answers).zip(&parts).filter(|(_, of)| **of == part) {
            *answer = Some(ask(&model, prompt));
        }
        chosen.push(choice);
    }
    Ok(CrossValidation { answers: answers.into_iter().flatten().collect(), chosen })
}

/// Holds out each source in turn, and returns the answers for it. The settings are `choice`.
pub fn leave_sources_out(
    prompts: &[Prompt],
    examples: &[Example],
    choice: &Chosen,
) -> Result<BTreeMap<String, Vec<Answer>>, Failure> {
    let mut sources = BTreeMap::new();
    for source in prompts.iter().map(|prompt| &prompt.source) {
        if sources.contains_key(source) {
            continue;
        }
        let learned = prompts.iter().zip(examples).filter(|(prompt, _)| prompt.source != *source);
        let learned: Vec<&Example> = learned.map(|(_, example)| example).collect();
        let model = IntentModel::from_bytes(choice.train(&learned).to_bytes())?;
        let held_out = prompts.iter().filter(|prompt| prompt.source == *source);
        sources.insert(source.clone(), held_out.map(|prompt| ask(&model, prompt)).collect());
    }
    Ok(sources)
}

fn ask(model: &IntentModel, prompt: &Prompt) -> Answer {
    let shares = model.shares(&example::request(&prompt.text)).expect("no prompt is empty");
    let (said, confidence) =
        shares.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).expect("there are labels");
    Answer { label: prompt.label, said, confidence }
}

/// How many answers are right, and of each label how many.
#[derive(Debug)]
pub struct Score {
    /// By true label, what was said how often.
    pub confusion: [[u32; LABELS.len()]; LABELS.len()],
}

impl Score {
    /// Counts.
    pub fn of<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Self {
        let mut confusion = [[0; LABELS.len()]; LABELS.len()];
        for answer in answers {
            confusion[answer.label][answer.said] += 1;
        }
        Self { confusion }
    }

    /// How many prompts have this label.
    pub fn prompts(&self, label: usize) -> u32 {
        self.confusion[label].iter().sum()
    }

    /// The share of all answers that are right.
    pub fn accuracy(&self) -> f64 {
        let right: u32 = (0..LABELS.len()).map(|label| self.confusion[label][label]).sum();
        ratio(right, (0..LABELS.len()).map(|label| self.prompts(label)).sum())
    }

    /// Of the prompts of which this label was said, the share that has it.
    pub fn precision(&self, label: usize) -> f64 {
        ratio(self.confusion[label][label], self.confusion.iter().map(|said| said[label]).sum())
    }

    /// Of the prompts that have this label, the share of which it was said.
    pub fn recall(&self, label: usize) -> f64 {
        ratio(self.confusion[label][label], self.prompts(label))
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self, label: usize) -> f64 {
        let (precision, recall) = (self.precision(label), self.recall(label));
        if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
    }

    /// The mean of F1 over the labels that there are prompts of.
    pub fn macro_f1(&self) -> f64 {
        let labels: Vec<usize> = (0..LABELS.len()).filter(|&label| self.prompts(label) > 0).collect();
        labels.iter().map(|&label| self.f1(label)).sum::<f64>() / labels.len().max(1) as f64
    }
}

/// `part` of `whole`, 0 of nothing.
pub fn ratio(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_answers() {
        let answer = |label, said| Answer { label, said, confidence: 0.5 };
        let score = Score::of(&[answer(0, 0), answer(0, 0), answer(0, 1), answer(1, 1), answer(1, 2)]);
        assert_eq!((score.accuracy(), score.precision(0), score.recall(1)), (0.6, 1.0, 0.5));
        assert!((score.f1(0) - 0.8).abs() < 1e-9);
        assert!((score.f1(1) - 0.5).abs() < 1e-9);
        assert!((score.macro_f1() - 0.65).abs() < 1e-9, "labels without prompts do not count");
        assert_eq!(score.f1(6), 0.0);
    }
}
