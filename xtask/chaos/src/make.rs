//! Makes a world from a seed.

mod settings;

use fastrand::Rng;

use crate::world::{
    Act, Answer, Asks, Caller, Directive, Does, Early, End, Kind, Layer, Leaves, Provider, Report, World,
};

/// What providers fail with, and how often beside each other.
const FAILURES: [&str; 16] = [
    "server",
    "server",
    "overloaded",
    "overloaded",
    "rate_limited",
    "rate_limited",
    "connect",
    "interrupted",
    "undecodable",
    "invalid_request",
    "context_length",
    "content_policy",
    "provider_credentials",
    "quota_exhausted",
    "model_not_found",
    "timeout_connect",
];

/// The world of this seed.
pub fn make(seed: u64) -> World {
    let mut dice = Dice(Rng::with_seed(seed));
    let hangs = dice.one_in(6);
    let providers = dice.between(2, 3);
    let layers = layers(&mut dice, providers);
    // How often an answer fails, before its head and after it: once in so many.
    let trouble = dice.of(&[(12, 12), (3, 3), (3, 3), (1, 3)]);
    World {
        seed: dice.below(1 << 20),
        twins: dice.one_in(3),
        providers: (0..providers).map(|_| provider(&mut dice, hangs, trouble)).collect(),
        callers: (0..dice.between(1, 12)).map(|_| caller(&mut dice, &layers, providers)).collect(),
        acts: (0..dice.below(5)).map(|_| act(&mut dice, providers)).collect(),
        layers,
    }
}

/// Random numbers, as they are asked for here.
struct Dice(Rng);

impl Dice {
    fn one_in(&mut self, times: u32) -> bool {
        self.0.u32(..times) == 0
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.0.u32(..bound)
    }

    fn between(&mut self, least: u32, most: u32) -> u32 {
        self.0.u32(least..=most)
    }

    fn byte(&mut self, bound: u8) -> u8 {
        self.0.u8(..bound)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(..choices.len())]
    }

    fn maybe<T>(&mut self, times: u32, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(times).then(|| make(self))
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        self.0.shuffle(list);
    }
}

fn layers(dice: &mut Dice, providers: u32) -> Vec<Layer> {
    const ALL: [Kind; 10] = [
        Kind::Classify,
        Kind::Fallback,
        Kind::Limit,
        Kind::Cache,
        Kind::Router,
        Kind::Hedge,
        Kind::Retry,
        Kind::Budget,
        Kind::Breaker,
        Kind::Timeout,
    ];
    let mut kinds: Vec<Kind> = match dice.below(4) {
        // The recommended order, with some left out.
        0 => ALL.into_iter().filter(|_| !dice.one_in(5)).collect(),
        // A few, in any order.
        1 => (0..dice.between(1, 3)).map(|_| dice.of(&ALL)).collect(),
        _ => ALL.into_iter().filter(|_| !dice.one_in(3)).collect(),
    };
    if dice.one_in(6) {
        kinds.push(dice.of(&ALL));
    }
    if !dice.one_in(4) {
        dice.shuffle(&mut kinds);
    }
    kinds.into_iter().map(|kind| Layer { kind, settings: settings::of(kind, dice, providers) }).collect()
}

fn provider(dice: &mut Dice, hangs: bool, trouble: (u32, u32)) -> Provider {
    Provider {
        local: !dice.one_in(3),
        at_once: if dice.one_in(3) { dice.byte(4) } else { 0 },
        busy: dice.maybe(4, |dice| (dice.below(2_000), dice.of(&[50, 1_000, 30_000]))),
        dies_ms: dice.maybe(12, |dice| dice.below(2_000)),
        script: (0..dice.between(1, 6)).map(|_| answer(dice, hangs, trouble)).collect(),
    }
}

fn answer(dice: &mut Dice, hangs: bool, trouble: (u32, u32)) -> Answer {
    let early = dice.maybe(trouble.0, |dice| match dice.below(8) {
        0 if hangs => Early::Hang,
        1 => Early::PanicInCall,
        2 => Early::PanicInFuture,
        _ => Early::Fail {
            kind: dice.of(&FAILURES).to_owned(),
            retry_after_ms: dice.maybe(3, |dice| dice.of(&[0, 1, 300, 5_000, 50_000, 100_000])),
        },
    });
    let end = if dice.one_in(trouble.1) {
        match dice.below(7) {
            0 => End::Unterminated,
            1 if hangs => End::Hang,
            2 => End::Panic,
            3 | 4 => End::Fail(dice.of(&FAILURES).to_owned()),
            _ => End::Cut,
        }
    } else {
        End::Complete
    };
    Answer {
        head_ms: dice.of(&[0, 0, 1, 40, 300, 3_000, 40_000]),
        early,
        empty_frames: if dice.one_in(3) { dice.byte(4) } else { 0 },
        frames: if dice.one_in(8) { 0 } else { 1 + dice.byte(12) },
        frame_ms: dice.of(&[0, 0, 1, 20, 200, 2_500, 25_000]),
        end,
        report: dice.of(&[
            Report::AtEnd,
            Report::AtEnd,
            Report::AtEnd,
            Report::Never,
            Report::Late,
            Report::Twice,
            Report::Zeros,
            Report::Early,
        ]),
        tokens: dice.of(&[1, 10, 40, 40, 200, 5_000]),
        whole: dice.one_in(10),
    }
}

fn caller(dice: &mut Dice, layers: &[Layer], providers: u32) -> Caller {
    let is_routed = layers.iter().any(|layer| layer.kind == Kind::Router);
    Caller {
        at_ms: dice.of(&[0, 0, 0, 1, 30, 30, 500, 500, 3_000, 3_100, 8_000, 70_000]),
        tenant: dice.of(&[0, 0, 1, 2]),
        question: dice.of(&[0, 0, 0, 1, 2]),
        model: dice.byte(2),
        asks: dice.of(&[Asks::Stream, Asks::Stream, Asks::Stream, Asks::Whole, Asks::Whole, Asks::Embed, Asks::Count]),
        deterministic: !dice.one_in(3),
        most_output: dice.maybe(2, |dice| dice.of(&[1, 20, 100, 1_000])),
        allowance: dice.of(&[0, 1, 2, 2, 3, 4]),
        deadline_ms: dice.maybe(4, |dice| dice.of(&[0, 10, 400, 2_000, 60_000])),
        read_timeout_ms: dice.maybe(8, |dice| dice.of(&[10, 1_000, 30_000])),
        sensitive: dice.one_in(5),
        provider: if is_routed { None } else { dice.maybe(2, |dice| dice.below(providers) as u8) },
        cache: [Directive::NoCache, Directive::NoStore, Directive::OnlyIfCached, Directive::Force]
            .into_iter()
            .filter(|_| dice.one_in(10))
            .collect(),
        pause: dice.maybe(4, |dice| (dice.byte(5), dice.of(&[1, 500, 10_000, 100_000]))),
        restless: dice.maybe(3, |dice| (1 + dice.byte(6), dice.of(&[1, 1, 7, 150, 3_000]))),
        clones: dice.one_in(6),
        leaves: match dice.below(12) {
            0 => Leaves::Ready,
            1 => Leaves::Unpolled,
            2 => Leaves::Polls(1 + dice.byte(20)),
            3 => Leaves::Ms(dice.of(&[0, 1, 35, 300, 2_000, 20_000])),
            4 => Leaves::Frames(dice.byte(8)),
            _ => Leaves::AtEnd,
        },
    }
}

fn act(dice: &mut Dice, providers: u32) -> Act {
    let provider = dice.below(providers) as u8;
    Act {
        at_ms: dice.of(&[0, 5, 100, 700, 2_000, 10_000, 60_000]),
        does: match dice.below(14) {
            0 | 1 => Does::Jump(dice.of(&[10, 1_000, 30_000, 600_000, 7_200_000])),
            2 => Does::ForceOpen(provider),
            3 => Does::ForceClosed(provider),
            4 => Does::ResetCircuits,
            5 => Does::Freeze,
            6 => Does::Unfreeze,
            7 => Does::TopUp,
            8 => Does::ResetAccounts,
            9 => Does::Invalidate,
            10 => Does::InvalidateTenant(dice.byte(3)),
            11 => Does::Replan,
            12 => Does::Ready(dice.of(&[1, 1_000, 20_000])),
            _ => Does::Look,
        },
    }
}
