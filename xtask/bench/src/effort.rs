//! How long to measure.

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
    fn a_tenth_is_below_the_quantile_of_a_tenth() {
        let values = (0..100).rev().map(f64::from).collect();
        assert!((quantile(values, 0.1) - 10.0).abs() < f64::EPSILON);
    }
}
