//! Cases at random: orders, settings, endings, and where callers leave.

use std::time::Duration;

use fastrand::Rng;
use llm_core::{ErrorKind, Phase};

use crate::{
    order::Order,
    script::{Act, Ask, Case, Play},
    stack::{Settings, TARGETS},
};

/// The case of this number, always the same for a seed.
pub fn case(seed: u64, number: u64) -> Case {
    // Neighbours must have nothing in common, and the generator mixes a seed well.
    let mut random = Rng::with_seed(Rng::with_seed(seed).u64(..) ^ number);
    let orders = Order::all();
    let order = orders[random.usize(..orders.len())];
    let settings = settings(&mut random);
    let asks = (0..random.usize(1..=4)).map(|_| ask(&mut random)).collect();
    Case { order, settings, asks }
}

/// Everything that happens does so after tens of milliseconds, and callers leave between two of those: no case depends on
/// which of two things at one instant comes first.
const TEN: u64 = 10;

fn tens(random: &mut Rng, of: &[u64]) -> Duration {
    Duration::from_millis(TEN * of[random.usize(..of.len())])
}

fn settings(random: &mut Rng) -> Settings {
    Settings {
        targets: random.usize(1..=TARGETS.len()),
        tiers: random.bool(),
        base: tens(random, &[1, 5, 25, 70]),
        most_retries: [None, None, Some(0), Some(1), Some(2)][random.usize(..5)],
    }
}

fn ask(random: &mut Rng) -> Ask {
    let ready = random.u8(..8) > 0;
    let plays: Vec<Play> = (0..random.usize(..=4)).map(|_| play(random)).collect();
    let must_leave = !ready || plays.iter().any(|play| play.act == Act::Hang);
    let streamed = random.bool();
    Ask {
        question: random.u64(1..=2),
        streamed,
        allowance: random.u32(..=3),
        ready,
        leaves: (must_leave || random.u8(..4) == 0)
            .then(|| tens(random, &[0, 5, 10, 30, 70, 150, 1_000]) + Duration::from_millis(TEN / 2)),
        reads: (streamed && random.u8(..4) == 0).then(|| random.usize(..=1)),
        plays,
    }
}

fn play(random: &mut Rng) -> Play {
    const KINDS: [ErrorKind; 10] = [
        ErrorKind::Overloaded,
        ErrorKind::Overloaded,
        ErrorKind::Server,
        ErrorKind::Connect,
        ErrorKind::Interrupted,
        ErrorKind::Undecodable,
        ErrorKind::Timeout(Phase::Head),
        ErrorKind::InvalidRequest,
        ErrorKind::ContextLength,
        ErrorKind::ContentPolicy,
    ];
    let kind = KINDS[random.usize(..KINDS.len())];
    let act = match random.u8(..12) {
        0..=4 => Act::Fail(kind),
        5..=6 => Act::CutEarly,
        7 => Act::Cut(None),
        8 => Act::Cut(Some(kind)),
        9 => Act::Hang,
        _ => Act::Answer,
    };
    Play { after: tens(random, &[0, 0, 1, 20]), spacing: tens(random, &[0, 0, 1, 3]), act }
}
