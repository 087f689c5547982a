//! Scores to shares.

/// The exponential function, from additions and multiplications alone, so that it gives the same bits on every machine.
/// Good to seven digits; 0 below −80, and never above 80.
pub(crate) fn exp(x: f32) -> f32 {
    if x < -80.0 {
        return 0.0;
    }
    let x = x.min(80.0);
    let power = (x * std::f32::consts::LOG2_E).round();
    // The logarithm of 2 in two pieces, the first of which has few bits, so that the product is exact.
    let rest = x - power * 0.693_359_4 + power * 2.121_944_4e-4;
    let series = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let value = series.into_iter().fold(0.0, |sum, term| sum * rest + term);
    value * f32::from_bits(((power as i32 + 127) as u32) << 23)
}

/// Shares that sum to 1, and grow with the scores.
pub fn softmax<const N: usize>(scores: [f32; N]) -> [f32; N] {
    let most = scores.into_iter().fold(f32::MIN, f32::max);
    let powers = scores.map(|score| exp(score - most));
    let sum = powers.into_iter().fold(0.0, |sum, power| sum + power);
    powers.map(|power| power / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_six_digits() {
        for step in -790..790 {
            let x = step as f32 / 10.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 1e-6, "exp({x}) is {found}");
        }
        assert_eq!((exp(0.0), exp(-1e9), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
    }

    #[test]
    fn shares_sum_to_one() {
        assert_eq!(softmax([1e6, -1e6]), [1.0, 0.0]);
        assert_eq!(softmax([3.0; 4]), [0.25; 4]);
    }
}
