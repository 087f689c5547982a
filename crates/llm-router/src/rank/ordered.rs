//! The first that is left.

use super::{Asked, Choice, Rank};

/// Always the first: choices are tried in the order in which they stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordered;

impl Rank for Ordered {
    fn pick(&self, _: &Asked<'_>, _: &[Choice<'_>]) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::testing::Bench;

    #[test]
    fn it_is_the_first_whatever_the_weights() {
        let bench = Bench::new(3).weights([0.0, 5.0, 1.0]);
        assert_eq!(bench.picks(&Ordered, 10), [10, 0, 0]);
    }
}
