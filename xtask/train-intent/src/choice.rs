//! Training as a whole: the settings are chosen by examples that were held out, then everything is learned from.

use llm_classify::intent::{self, LABELS, Trained};

use crate::{
    example::Example,
    folds,
    model::Model,
    prompts::Kind,
    settings::{SETTINGS, Settings},
};

/// Parts of the examples that are held out, one after the other, to choose the settings.
const FOLDS: usize = 4;
/// What all scores may be multiplied by, so that a confidence says how often it is right.
const SHARPNESS: [f32; 8] = [1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0];
/// Decides which examples are held out together.
const SEED: u64 = 11;

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The settings.
    pub settings: Settings,
    /// What all scores are multiplied by.
    pub sharpness: f32,
}

impl Chosen {
    /// The choice with the smallest error on examples that were not learned from. None but `examples` is looked at.
    ///
    /// The error is Brier's, the squared distance of the shares from the truth, over what people typed.
    pub fn by(examples: &[&Example]) -> Self {
        let folds = folds::of(examples, FOLDS, SEED);
        let mut best = Self { settings: SETTINGS[0], sharpness: SHARPNESS[0] };
        let mut least = f32::INFINITY;
        for settings in SETTINGS {
            let scores = held_out_scores(examples, &folds, &settings);
            for sharpness in SHARPNESS {
                let errors = scores.iter().map(|(scores, label)| brier(scores.map(|score| score * sharpness), *label));
                let error = errors.fold(0.0, |sum, error| sum + error);
                if error < least {
                    least = error;
                    best = Self { settings, sharpness };
                }
            }
        }
        best
    }

    /// Learns from all `examples`.
    pub fn train(&self, examples: &[&Example]) -> Trained {
        Model::train(examples, &self.settings).quantized(self.sharpness)
    }
}

/// The scores of what people typed, each by a model that did not learn from it, with its label.
fn held_out_scores(examples: &[&Example], folds: &[usize], settings: &Settings) -> Vec<([f32; LABELS.len()], usize)> {
    let mut scores = Vec::new();
    for fold in 0..FOLDS {
        let (held_out, learned) = folds::split(examples, folds, fold);
        let model = Model::train(&learned, settings);
        let typed = held_out.into_iter().filter(|example| matches!(example.kind, Kind::RealUser | Kind::Own));
        scores.extend(typed.map(|example| (model.scores(example), example.label)));
    }
    scores
}

fn brier(scores: [f32; LABELS.len()], label: usize) -> f32 {
    let truth = |place: usize| if place == label { 1.0 } else { 0.0 };
    let shares = intent::softmax(scores).into_iter().enumerate();
    shares.map(|(place, share)| share - truth(place)).fold(0.0, |sum, distance| sum + distance * distance)
}
