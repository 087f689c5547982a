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
    /// One of two numbers.
    pub fn pick(self, quick: usize, full: usize) -> usize {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// The value in the middle. Zero when there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_odd_value_does_not_move_the_median() {
        assert!((median(vec![3.0, 900.0, 1.0, 2.0, 2.5]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }
}
