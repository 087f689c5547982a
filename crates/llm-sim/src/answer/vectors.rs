//! Embeddings: alike for texts that share words and parts of words.

use llm_core::{EmbedInput, Vector};

use crate::seed::Seed;

/// A vector of length one. Every word, and every three letters in a row, adds to or takes from one place of it.
pub(super) fn vector(input: &EmbedInput, dimensions: usize, seed: &Seed) -> Vector {
    let mut sums = vec![0.0_f32; dimensions];
    let mut add = |feature: u64, weight: f32| {
        let sign = if feature >> 63 == 0 { weight } else { -weight };
        sums[(feature % dimensions as u64) as usize] += sign;
    };
    match input {
        EmbedInput::Text(text) => {
            let text = text.to_lowercase();
            for word in text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()) {
                add(seed.with(word).number(), 2.0);
                let letters: Vec<char> = word.chars().collect();
                for three in letters.windows(3) {
                    add(seed.with("part").with(&three.iter().collect::<String>()).number(), 1.0);
                }
            }
        }
        EmbedInput::Tokens(tokens) => {
            for token in tokens {
                add(seed.with("token").with_number(u64::from(*token)).number(), 1.0);
            }
        }
    }
    let length = sums.iter().map(|sum| sum * sum).sum::<f32>().sqrt();
    if length == 0.0 {
        // A text without words, or one whose parts cancel out, still has a direction.
        sums[0] = 1.0;
    } else {
        sums.iter_mut().for_each(|sum| *sum /= length);
    }
    Vector(sums)
}
