//! How long to measure, and what is said of many rounds.

use serde::{Deserialize, Serialize};

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For a moment: shows that everything runs and that counts are right; times mean nothing.
    Quick,
    /// Until figures are good to a few percent.
    Full,
}

impl Effort {
    /// Its name, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// The one of this name; for anything else the full one.
    pub fn named(name: &str) -> Self {
        if name == Self::Quick.name() { Self::Quick } else { Self::Full }
    }

    /// One of two numbers.
    pub fn pick(self, quick: usize, full: usize) -> usize {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// What is said of the values of several rounds. All is zero when there are none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// How many there are.
    pub number: usize,
    /// What a quarter of them is below.
    pub low: f64,
    /// The value in the middle.
    pub median: f64,
    /// What a quarter of them is above.
    pub high: f64,
}

impl Rounds {
    /// Of these.
    pub fn of(values: Vec<f64>) -> Self {
        let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(values.clone(), share));
        Self { number: values.len(), low, median, high }
    }
}

/// The value in the middle. Zero when there are none.
pub fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value that `share` of the values are below. Zero when there are none.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share) as usize;
    values.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_value_does_not_move_the_median() {
        assert!((median(vec![3.0, 900.0, 1.0, 2.0, 2.5]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }

    #[test]
    fn half_of_the_rounds_are_between_the_quarters() {
        let rounds = Rounds::of((0..100).map(f64::from).collect());
        assert_eq!(rounds, Rounds { number: 100, low: 25.0, median: 50.0, high: 75.0 });
    }

    #[test]
    fn a_tenth_is_below_the_quantile_of_a_tenth() {
        let values = (0..100).rev().map(f64::from).collect();
        assert!((quantile(values, 0.1) - 10.0).abs() < f64::EPSILON);
    }
}
