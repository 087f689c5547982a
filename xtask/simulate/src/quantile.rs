//! Quantiles of numbers of calls, some of which never came, and of times.

/// The number that `percent` of the results are at most. `None` when that is one of those that never came.
pub(crate) fn quantile(results: &mut [Option<u32>], percent: usize) -> Option<u32> {
    results.sort_unstable_by_key(|result| result.unwrap_or(u32::MAX));
    results[place(results.len(), percent)]
}

/// The time that `percent` of them are at most.
pub(crate) fn quantile_of_times(times: &mut [f64], percent: usize) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[place(times.len(), percent)]
}

fn place(of: usize, percent: usize) -> usize {
    (of * percent).div_ceil(100).max(1) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_later_than_everything_else() {
        let mut results = [None, Some(3), Some(1), None, Some(2)];
        assert_eq!(quantile(&mut results, 50), Some(3));
        assert_eq!(quantile(&mut results, 60), Some(3));
        assert_eq!(quantile(&mut results, 61), None);
    }

    #[test]
    fn a_single_result_is_every_quantile() {
        assert_eq!(quantile(&mut [Some(7)], 5), Some(7));
        assert_eq!(quantile(&mut [Some(7)], 95), Some(7));
        assert_eq!(quantile_of_times(&mut [3.0, 1.0, 2.0], 50).to_bits(), 2.0_f64.to_bits());
    }
}
