//! Logistic regression with a share for each label, by stochastic gradient descent.
//!
//! Bit for bit the same on every machine: one thread, one order for a seed, and only additions, multiplications,
//! divisions and square roots of 32-bit floats, each of which is rounded as IEEE 754 says and none of which is a
//! reduction that a compiler may reorder. The exponential function is the classifier's own.

use llm_classify::intent::{self, DENSE, FAMILIES, Family, LABELS, LANES, ROWS, Trained};

use crate::{
    example::{Example, weights},
    settings::Settings,
};

/// Passes over the examples. The model is the mean of what it was after each of the later half.
const PASSES: usize = 12;
/// How far the first step goes (AdaGrad: each weight's steps get shorter as its gradients add up).
const STEP: f32 = 0.1;
/// Keeps the first steps of a weight finite.
const FLOOR: f32 = 1e-3;
/// What draws the weights of words towards zero, at each example that has them.
const DECAY: f32 = 1e-4;
/// The same for the weights of figures.
const FIGURE_DECAY: f32 = 1e-3;
/// Decides the order of the examples.
const SEED: u64 = 7;

type Lanes = [f32; LANES];

/// The weights while they are trained, or something of the same shape.
#[derive(Clone, Debug)]
pub struct Model {
    words: Vec<Lanes>,
    pieces: Vec<Lanes>,
    figures: Vec<Lanes>,
    bias: Lanes,
}

impl Model {
    fn zero() -> Self {
        Self {
            words: vec![[0.0; LANES]; ROWS],
            pieces: vec![[0.0; LANES]; ROWS],
            figures: vec![[0.0; LANES]; DENSE],
            bias: [0.0; LANES],
        }
    }

    /// Learns from `examples`.
    pub fn train(examples: &[&Example], settings: &Settings) -> Self {
        let (mut model, mut squares, mut sum) = (Self::zero(), Self::zero(), Self::zero());
        let weights = weights(examples, settings);
        let mut order: Vec<usize> = (0..examples.len()).collect();
        let mut random = fastrand::Rng::with_seed(SEED);
        for pass in 0..PASSES {
            shuffle(&mut order, &mut random);
            for &place in &order {
                model.learn(&mut squares, examples[place], weights[place], settings);
            }
            if pass >= PASSES / 2 {
                sum.change(&model, |sum, weight| sum + weight);
            }
        }
        let passes = (PASSES - PASSES / 2) as f32;
        sum.change(&Self::zero(), |sum, _| sum / passes);
        // What the figures were multiplied by becomes a part of their weights.
        sum.figures.iter_mut().flatten().for_each(|weight| *weight *= settings.figures);
        sum
    }

    fn learn(&mut self, squares: &mut Self, example: &Example, weight: f32, settings: &Settings) {
        let shares = intent::softmax(self.scaled_scores(example, settings.figures));
        let mut gradient = [0.0; LANES];
        for (label, share) in shares.into_iter().enumerate() {
            let wanted = if label == example.label { 1.0 } else { 0.0 };
            gradient[label] = (share - wanted) * weight;
        }
        let gradient = &gradient;
        for (family, rows) in families(example) {
            let value = value(rows);
            let (weights, squares) = (self.table_mut(family), squares.table_mut(family));
            for &row in rows {
                let row = usize::from(row);
                step(&mut weights[row], &mut squares[row], gradient, value, DECAY);
            }
        }
        for (figure, value) in example.figures.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            let value = value * settings.figures;
            step(&mut self.figures[figure], &mut squares.figures[figure], gradient, value, FIGURE_DECAY);
        }
        step(&mut self.bias, &mut squares.bias, gradient, 1.0, 0.0);
    }

    /// The scores of a model that has been trained.
    pub fn scores(&self, example: &Example) -> [f32; LABELS.len()] {
        self.scaled_scores(example, 1.0)
    }

    fn scaled_scores(&self, example: &Example, scale: f32) -> [f32; LABELS.len()] {
        let mut scores = self.bias;
        for (family, rows) in families(example) {
            let mut sum = [0.0; LANES];
            for &row in rows {
                add(&mut sum, &self.table(family)[usize::from(row)], 1.0);
            }
            add(&mut scores, &sum, value(rows));
        }
        for (value, weights) in example.figures.iter().zip(&self.figures) {
            add(&mut scores, weights, value * scale);
        }
        std::array::from_fn(|label| scores[label])
    }

    /// The model with weights of eight bits, and with all scores multiplied by `sharpness`.
    pub fn quantized(&self, sharpness: f32) -> Trained {
        let scale = |table: &[Lanes]| {
            table.iter().flatten().fold(f32::MIN_POSITIVE, |most, weight| weight.abs().max(most)) / 127.0
        };
        let table = |table: &[Lanes], scale: f32| {
            // The largest weight is 127, so the cast cuts nothing off.
            table.iter().map(|lanes| lanes.map(|weight| (weight / scale).round() as i8)).collect()
        };
        let (words, pieces) = (scale(&self.words), scale(&self.pieces));
        let mut scales = [0.0; FAMILIES];
        for family in Family::ALL {
            scales[family as usize] = sharpness * if family == Family::Pieces { pieces } else { words };
        }
        Trained {
            words: table(&self.words, words),
            pieces: table(&self.pieces, pieces),
            scales,
            bias: self.bias.map(|weight| weight * sharpness),
            figures: self.figures.iter().map(|lanes| lanes.map(|weight| weight * sharpness)).collect(),
        }
    }

    fn table(&self, family: Family) -> &[Lanes] {
        match family {
            Family::Words | Family::First => &self.words,
            Family::Pieces => &self.pieces,
        }
    }

    fn table_mut(&mut self, family: Family) -> &mut [Lanes] {
        match family {
            Family::Words | Family::First => &mut self.words,
            Family::Pieces => &mut self.pieces,
        }
    }

    /// Puts `change` of each weight and that of `other` in its place.
    fn change(&mut self, other: &Self, change: impl Fn(f32, f32) -> f32) {
        let tables =
            [(&mut self.words, &other.words), (&mut self.pieces, &other.pieces), (&mut self.figures, &other.figures)];
        for (weights, others) in tables {
            for (weight, other) in weights.iter_mut().flatten().zip(others.iter().flatten()) {
                *weight = change(*weight, *other);
            }
        }
        for (weight, other) in self.bias.iter_mut().zip(other.bias) {
            *weight = change(*weight, other);
        }
    }
}

fn families(example: &Example) -> impl Iterator<Item = (Family, &Vec<u16>)> {
    Family::ALL.into_iter().map(|family| (family, &example.rows[family as usize]))
}

/// What each feature of a family counts, so that a text's features have length 1 together.
fn value(rows: &[u16]) -> f32 {
    1.0 / (rows.len().max(1) as f32).sqrt()
}

fn add(sum: &mut Lanes, lanes: &Lanes, factor: f32) {
    for (sum, lane) in sum.iter_mut().zip(lanes) {
        *sum += lane * factor;
    }
}

fn step(weights: &mut Lanes, squares: &mut Lanes, gradient: &Lanes, value: f32, decay: f32) {
    for lane in 0..LANES {
        let slope = gradient[lane] * value + decay * weights[lane];
        squares[lane] += slope * slope;
        weights[lane] -= STEP * slope / (squares[lane].sqrt() + FLOOR);
    }
}

/// The same order on machines of 32 and of 64 bits.
pub fn shuffle(order: &mut [usize], random: &mut fastrand::Rng) {
    for last in (1..order.len()).rev() {
        order.swap(last, random.u64(..=last as u64) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::{Kind, Prompt};

    fn example(text: &str, label: usize) -> Example {
        Example::of(&Prompt { text: text.into(), label, source: String::new(), kind: Kind::Own })
    }

    #[test]
    fn training_twice_gives_the_same_bytes_and_learns() {
        let examples = [example("sort this list", 0), example("two plus two", 1), example("tell me a tale", 3)];
        let examples: Vec<&Example> = examples.iter().collect();
        let settings = &crate::settings::SETTINGS[0];
        let train = || Model::train(&examples, settings).quantized(1.0).to_bytes();
        assert_eq!(train(), train());
        let model = llm_classify::IntentModel::from_bytes(train()).unwrap();
        let shares = model.shares(&crate::example::request("two plus two")).unwrap();
        assert!(shares[1] > 0.5, "{shares:?}");
    }
}
