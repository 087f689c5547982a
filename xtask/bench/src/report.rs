//! All that a run measured: printed as it comes, and left as text, as JSON and as plots.

use std::{
    collections::HashMap,
    fmt::{self, Display},
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Failure, effort::Effort, figure::Figure, machine::Machine, plots, table::Table};

/// What a run has measured so far.
#[derive(Debug, Default)]
pub struct Report {
    text: String,
    figures: Vec<Figure>,
}

/// What is left of a run for other programs, and what one run keeps for the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The day in UTC, as in `2026-11-30`.
    pub day: String,
    /// For how long it was measured; what was measured for a moment says little.
    pub effort: String,
    /// Where.
    pub machine: Machine,
    /// What.
    pub figures: Vec<Figure>,
}

/// The options that say where a report goes, and with what it is compared.
pub const REPORT: &str = "--report";
/// See [`REPORT`].
pub const STORED: &str = "--stored";

/// Where a report goes. In the folder where it was started, unless it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The folder of the report.
    pub folder: PathBuf,
    /// The document of the run that was stored last, if there is one.
    pub stored: PathBuf,
    /// Whether this run takes its place.
    pub stores: bool,
}

impl Report {
    /// Prints something, and keeps it for the report.
    pub fn print(&mut self, shown: impl Display) {
        println!("{shown}");
        self.text += &format!("{shown}\n");
    }

    /// Takes a figure in. Returns what it is to be and whether it is, for the table that it stands in.
    pub fn note(&mut self, figure: Figure) -> String {
        let verdict = figure.verdict().unwrap_or_default();
        self.figures.push(figure);
        verdict
    }

    /// What was measured.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// Prints what was to be reached and what has risen, and leaves the whole report at its places.
    pub fn finish(mut self, effort: Effort, places: &Places) -> Result<(), Failure> {
        let stored = Document::read(&places.stored)?;
        if let Some(stored) = &stored {
            self.compare_with(stored);
        }
        let document =
            Document { day: today()?, effort: effort.name().into(), machine: Machine::this(), figures: self.figures };
        let beside = stored.as_ref().map_or_else(|| "none is stored".to_owned(), Document::to_string);
        let summary = format!("{}\n{}", targets(&document.figures, &beside), risen(&document.figures, &beside));
        println!("{summary}");
        fs::create_dir_all(&places.folder)?;
        let plots = plots::draw(&document.figures, &places.folder)?;
        let text = document.text(&summary, &plots, &self.text, &beside);
        fs::write(places.folder.join("report.md"), text)?;
        document.write(&places.folder.join("report.json"))?;
        println!("The whole report: {}", places.folder.join("report.md").display());
        if places.stores {
            document.to_store().write(&places.stored)?;
            println!("Stored: {}", places.stored.display());
        }
        Ok(())
    }

    fn compare_with(&mut self, stored: &Document) {
        let values: HashMap<&str, f64> = stored.figures.iter().map(|figure| (&*figure.id, figure.value)).collect();
        for figure in &mut self.figures {
            figure.stored = values.get(&*figure.id).copied();
        }
    }
}

/// What is to stay below something.
fn targets(figures: &[Figure], beside: &str) -> Table {
    let heading = format!("Targets (stored: {beside}; times say nothing about another day)");
    let mut table = Table::new(heading, ["what", "measured", "target", "", "stored", "change"]);
    for figure in figures {
        let (Some(at_most), Some(is_met)) = (figure.at_most, figure.is_met()) else { continue };
        let [stored, change] = since_stored(figure);
        table.row(vec![
            figure.what.clone(),
            figure.unit.show(figure.value),
            format!("at most {}", figure.unit.show(at_most)),
            if is_met { "met" } else { "missed" }.into(),
            stored,
            change,
        ]);
    }
    table
}

/// Counts and ratios that rose by more than chance.
fn risen(figures: &[Figure], beside: &str) -> String {
    let risen: Vec<&Figure> = figures.iter().filter(|figure| figure.has_risen()).collect();
    if risen.is_empty() {
        return "No count has risen by more than 1 %, and no ratio by more than 10 %.\n".into();
    }
    let mut table =
        Table::new(format!("Risen since the stored run ({beside})"), ["what", "measured", "stored", "change"]);
    for figure in risen {
        let [stored, change] = since_stored(figure);
        table.row(vec![figure.what.clone(), figure.unit.show(figure.value), stored, change]);
    }
    table.to_string()
}

fn since_stored(figure: &Figure) -> [String; 2] {
    let stored = figure.stored.map(|stored| figure.unit.show(stored)).unwrap_or_default();
    [stored, figure.change().map(|change| format!("{change:+.1} %")).unwrap_or_default()]
}

impl Document {
    /// The document at `path`. `None` where there is none.
    ///
    /// # Errors
    /// It is not such a document.
    pub fn read(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let document = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some(document))
    }

    /// A line for each figure, so that two documents can be compared line by line.
    fn write(&self, path: &Path) -> Result<(), Failure> {
        fs::write(path, serde_json::to_string(self)?.replace("{\"id\"", "\n{\"id\"") + "\n")?;
        Ok(())
    }

    /// Without what it was compared with itself, and without its spread.
    fn to_store(&self) -> Self {
        let figures = self.figures.iter().map(|figure| Figure { stored: None, rounds: None, ..figure.clone() });
        Self { figures: figures.collect(), ..self.clone() }
    }

    fn text(&self, summary: &str, plots: &[String], tables: &str, beside: &str) -> String {
        let plots: String = plots.iter().map(|plot| format!("![{plot}]({plot})\n\n")).collect();
        let mut all =
            Table::new(format!("All figures (stored: {beside})"), ["what", "measured", "stored", "change", "over"]);
        for figure in &self.figures {
            let [stored, change] = since_stored(figure);
            let over = figure.compared_with.clone().unwrap_or_default();
            all.row(vec![figure.what.clone(), figure.unit.show(figure.value), stored, change, over]);
        }
        format!("# Figures\n\n{self}.\n\n```text\n{summary}```\n\n{plots}```text\n{tables}{all}```\n")
    }
}

/// What it is of.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.day, self.effort, self.machine)
    }
}

/// The day in UTC.
fn today() -> Result<String, Failure> {
    let seconds = i64::try_from(llm_core::clock::since_epoch().as_secs())?;
    Ok(jiff::Timestamp::from_second(seconds)?.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::figure::Unit;

    #[test]
    fn a_run_that_is_stored_is_what_the_next_one_is_compared_with() {
        let folder = TempDir::new().unwrap();
        let run = |allocations: f64, stores: bool| {
            let mut report = Report::default();
            report.note(Figure::new(&["layers", "retry"], Unit::Allocations, allocations).at_most(1.0));
            let places = Places { folder: folder.path().into(), stored: folder.path().join("stored.json"), stores };
            report.finish(Effort::Full, &places).unwrap();
            let text = fs::read_to_string(folder.path().join("report.md")).unwrap();
            let stored = Document::read(&places.stored).unwrap().map(|stored| stored.figures[0].value);
            (text.contains("Risen since the stored run"), stored)
        };
        assert_eq!(run(2.0, false), (false, None));
        assert_eq!(run(2.0, true), (false, Some(2.0)));
        assert_eq!(run(3.0, false), (true, Some(2.0)));
        assert_eq!(run(3.0, true), (true, Some(3.0)));
        assert_eq!(run(3.0, false), (false, Some(3.0)));
        assert!(fs::read_to_string(folder.path().join("report.json")).unwrap().contains("\n{\"id\":\"layers/retry"));
    }
}
