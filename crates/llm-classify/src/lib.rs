//! Says what a request is about, and whether it may leave the house.

mod classifier;
mod detector;
mod layer;
mod service;

pub use classifier::{Classifier, Guess};
pub use detector::{Detector, Finding};
pub use layer::ClassifyLayer;
pub use service::Classify;
