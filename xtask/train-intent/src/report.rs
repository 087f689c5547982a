//! What was found, as the Markdown that the documentation states.

use std::{collections::BTreeMap, fmt::Write as _};

use llm_classify::intent::LABELS;

use crate::{
    choice::Chosen,
    evaluate::{Answer, CrossValidation, FOLDS, Score, ratio},
    prompts::{Kind, Prompt},
};

/// Confidences at which it is told how many answers are left, and how many of them are right.
const CONFIDENCES: [f32; 10] = [0.0, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9];

/// All kinds by their names.
const KINDS: [(&str, Kind); 7] = [
    ("real-user", Kind::RealUser),
    ("own", Kind::Own),
    ("expert-written", Kind::ExpertWritten),
    ("community", Kind::Community),
    ("benchmark", Kind::Benchmark),
    ("synthetic", Kind::Synthetic),
    ("templated", Kind::Templated),
];

/// The whole report.
pub fn report(
    prompts: &[Prompt],
    validation: &CrossValidation,
    sources: &BTreeMap<String, Vec<Answer>>,
    chosen: &Chosen,
) -> String {
    let mut report = sizes(prompts);
    let typed = prompts.iter().zip(&validation.answers).filter(|(prompt, _)| prompt.kind == Kind::RealUser);
    let typed: Vec<Answer> = typed.map(|(_, answer)| *answer).collect();
    let parts = [("All prompts", &validation.answers), ("Prompts that people typed", &typed)];
    for (name, answers) in parts {
        let _ = write!(report, "\n### {name}, {FOLDS} folds\n\n{}", labels(&Score::of(answers)));
        let _ = write!(report, "\n{}\n{}", confusion(&Score::of(answers)), confidences(answers));
    }
    let _ = write!(report, "\n### Kinds, {FOLDS} folds\n\n{}", kinds(prompts, &validation.answers));
    let _ = write!(report, "\n### Sources left out\n\n{}", left_out(sources));
    let _ = write!(report, "\n### Settings\n\n{}", settings(validation, chosen));
    report
}

fn sizes(prompts: &[Prompt]) -> String {
    let mut table = heading(&format!("{} prompts", prompts.len()), LABELS.iter().copied().chain(["all"]));
    for (name, kind) in KINDS {
        let count = |label: Option<usize>| {
            let is_one = |prompt: &&Prompt| prompt.kind == kind && label.is_none_or(|label| prompt.label == label);
            prompts.iter().filter(is_one).count().to_string()
        };
        row(&mut table, name, (0..LABELS.len()).map(Some).chain([None]).map(count));
    }
    table
}

fn labels(score: &Score) -> String {
    let mut table = heading("label", ["prompts", "precision", "recall", "F1"]);
    for (label, name) in LABELS.iter().enumerate().filter(|(label, _)| score.prompts(*label) > 0) {
        let figures = [score.precision(label), score.recall(label), score.f1(label)].map(share);
        row(&mut table, name, [score.prompts(label).to_string()].into_iter().chain(figures));
    }
    let _ = writeln!(table, "\nAccuracy {}, macro-F1 {}.", share(score.accuracy()), share(score.macro_f1()));
    table
}

fn confusion(score: &Score) -> String {
    let mut table = heading("is \\ said", LABELS);
    for (label, name) in LABELS.iter().enumerate().filter(|(label, _)| score.prompts(*label) > 0) {
        row(&mut table, name, score.confusion[label].map(|count| count.to_string()));
    }
    table
}

fn confidences(answers: &[Answer]) -> String {
    let mut table = heading("confidence of at least", ["answered", "of these right"]);
    for least in CONFIDENCES {
        let answered = answers.iter().filter(|answer| answer.confidence >= least);
        let right = answered.clone().filter(|answer| answer.is_right()).count();
        let answered = answered.count();
        let figures = [ratio(answered as u32, answers.len() as u32), ratio(right as u32, answered as u32)].map(share);
        row(&mut table, &format!("{least:.2}"), figures);
    }
    table
}

fn kinds(prompts: &[Prompt], answers: &[Answer]) -> String {
    let mut table = heading("kind", ["prompts", "accuracy"]);
    for (name, kind) in KINDS {
        let of_kind = prompts.iter().zip(answers).filter(|(prompt, _)| prompt.kind == kind);
        let answers: Vec<&Answer> = of_kind.map(|(_, answer)| answer).collect();
        row(&mut table, name, [answers.len().to_string(), share(Score::of(answers).accuracy())]);
    }
    table
}

fn left_out(sources: &BTreeMap<String, Vec<Answer>>) -> String {
    let mut table = heading("source", ["prompts", "accuracy"]);
    for (source, answers) in sources {
        row(&mut table, source, [answers.len().to_string(), share(Score::of(answers).accuracy())]);
    }
    table
}

fn settings(validation: &CrossValidation, chosen: &Chosen) -> String {
    let mut table = heading("chosen for", ["weight of real-user", "scale of figures", "sharpness"]);
    let folds = (1..).zip(&validation.chosen).map(|(fold, chosen)| (format!("all but fold {fold}"), chosen));
    for (name, chosen) in folds.chain([("everything".to_owned(), chosen)]) {
        let figures = [chosen.settings.real_user, chosen.settings.figures, chosen.sharpness];
        row(&mut table, &name, figures.map(|figure| figure.to_string()));
    }
    table
}

fn heading(first: &str, columns: impl IntoIterator<Item = &'static str>) -> String {
    let columns: Vec<&str> = columns.into_iter().collect();
    format!("| {first} | {} |\n|---|{}\n", columns.join(" | "), "--:|".repeat(columns.len()))
}

fn row(table: &mut String, name: &str, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    let _ = writeln!(table, "| {name} | {} |", cells.join(" | "));
}

fn share(value: f64) -> String {
    format!("{value:.3}")
}
