//! Where layers take their random numbers from.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// A source of random numbers, for jitter and choice. Clones draw from the same source.
///
/// The default draws from a generator of each thread's own. With a seed the same numbers come in the same order, which
/// is what tests want.
#[derive(Clone, Default)]
pub struct Random(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    Thread,
    Seeded(Arc<Mutex<fastrand::Rng>>),
}

impl Random {
    /// Always the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)))))
    }

    /// A number from 0 up to, and never, 1.
    pub fn unit(&self) -> f64 {
        match &self.0 {
            Source::Thread => fastrand::f64(),
            // The generator is a number, and whole at any time.
            Source::Seeded(generator) => generator.lock().unwrap_or_else(PoisonError::into_inner).f64(),
        }
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::Thread => "Random",
            Source::Seeded(_) => "Random(seeded)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_numbers_and_clones_share_them() {
        let draw = |random: &Random| [random.unit(), random.unit()];
        let random = Random::seeded(1);
        let first = draw(&random);
        assert_eq!(first, draw(&Random::seeded(1)));
        assert_ne!(first, draw(&random.clone()));
        assert_ne!(draw(&Random::default()), draw(&Random::default()));
    }
}
