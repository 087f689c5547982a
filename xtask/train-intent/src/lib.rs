//! Trains the model that tells what a request is about, and tells how good it is on what it did not learn from.

pub mod choice;
pub mod evaluate;
pub mod example;
pub mod folds;
pub mod model;
pub mod prompts;
pub mod report;
pub mod settings;

/// Why something could not be done, as a sentence.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
