//! What training sees of a prompt: the features that the classifier will see, and how much it counts.

use llm_classify::intent::{self, DENSE, FAMILIES, Family, LABELS, Sink};
use llm_core::LlmRequest;

use crate::{
    prompts::{Kind, Prompt},
    settings::Settings,
};

/// A prompt as its features.
#[derive(Clone, Debug)]
pub struct Example {
    /// The rows of each family.
    pub rows: [Vec<u16>; FAMILIES],
    /// The figures.
    pub figures: [f32; DENSE],
    /// The place of its label.
    pub label: usize,
    /// How it came to be.
    pub kind: Kind,
}

/// Collects rows.
#[derive(Default)]
struct Rows([Vec<u16>; FAMILIES]);

impl Sink for Rows {
    fn has<const N: usize>(&mut self, family: Family, rows: [usize; N]) {
        let rows = rows.map(|row| u16::try_from(row).expect("a table has fewer rows"));
        self.0[family as usize].extend(rows);
    }
}

impl Example {
    /// The features of a prompt.
    pub fn of(prompt: &Prompt) -> Self {
        let mut rows = Rows::default();
        let figures = intent::read(&request(&prompt.text), &mut rows).expect("no prompt is empty");
        Self { rows: rows.0, figures, label: prompt.label, kind: prompt.kind }
    }
}

/// A request that asks `text`.
pub fn request(text: &str) -> LlmRequest {
    LlmRequest::chat("any").user(text).build()
}

/// How much each example counts: by how it came to be, and more for those of a rare label.
pub fn weights(examples: &[&Example], settings: &Settings) -> Vec<f32> {
    let by_kind = |example: &Example| match example.kind {
        Kind::RealUser => settings.real_user,
        Kind::Own => 2.0,
        Kind::ExpertWritten | Kind::Community => 1.5,
        Kind::Benchmark | Kind::Synthetic | Kind::Templated => 0.7,
    };
    let mut totals = [0.0; LABELS.len()];
    for example in examples {
        totals[example.label] += by_kind(example);
    }
    let mean = totals.iter().sum::<f32>() / LABELS.len() as f32;
    let by_label = totals.map(|total: f32| (mean / total.max(1.0)).sqrt());
    examples.iter().map(|example| by_kind(example) * by_label[example.label]).collect()
}
