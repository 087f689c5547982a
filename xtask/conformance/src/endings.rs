//! The five ways in which a call ends, whole and streamed, each in a few variations.

use std::fmt;

use llm_core::ErrorKind;

use crate::{
    order::Order,
    script::{Act, Ask, Case},
    stack::Settings,
};

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It is answered.
    Success,
    /// It fails before content.
    EarlyFailure,
    /// Its stream breaks off after content.
    Cut,
    /// The caller leaves.
    Abandoned,
    /// The provider never gets ready.
    NeverReady,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Success, Self::EarlyFailure, Self::Cut, Self::Abandoned, Self::NeverReady];

    /// As it stands in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::EarlyFailure => "early failure",
            Self::Cut => "cut",
            Self::Abandoned => "abandoned",
            Self::NeverReady => "never ready",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A case of an ending, by its name.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// How the first call ends.
    pub ending: Ending,
    /// In which variation.
    pub name: &'static str,
    /// Whether it is streamed.
    pub streamed: bool,
    settings: Settings,
    asks: Vec<Ask>,
}

impl Scenario {
    /// All of them.
    pub fn all() -> Vec<Self> {
        [false, true]
            .into_iter()
            .flat_map(|streamed| Ending::ALL.map(|ending| scenarios(ending, streamed)))
            .flatten()
            .collect()
    }

    /// In this order of the layers.
    pub fn in_order(&self, order: Order) -> Case {
        Case { order, settings: self.settings, asks: self.asks.clone() }
    }
}

impl fmt::Display for Scenario {
    /// `cut, by a failure, streamed`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.streamed { "streamed" } else { "whole" };
        write!(f, "{}, {}, {form}", self.ending, self.name)
    }
}

/// After each ending the same question is asked again in both forms, of a provider that answers: what must be kept is, what
/// must not be is not, and the layers are as good as new.
fn scenarios(ending: Ending, streamed: bool) -> Vec<Scenario> {
    let ask = || Ask::new(1, streamed);
    let again = [Ask::new(1, streamed), Ask::new(1, !streamed)];
    let scenario = |name, first: Ask| {
        let asks = [&[first], again.as_slice()].concat();
        Scenario { ending, name, streamed, settings: Settings::default(), asks }
    };
    let busy = Act::Fail(ErrorKind::Overloaded);
    let in_a_stream = |scenarios: Vec<Scenario>| if streamed { scenarios } else { Vec::new() };
    match ending {
        Ending::Success => {
            let kept = [ask(), ask().never_ready(), Ask::new(1, !streamed).never_ready(), Ask::new(2, streamed)];
            let stand_in = scenario("by a stand-in", ask().plays([Act::Fail(ErrorKind::Connect)]));
            vec![
                scenario("at once", ask()),
                Scenario { asks: kept.to_vec(), ..scenario("kept for when nobody is ready", ask()) },
                Scenario {
                    settings: Settings { tiers: true, most_retries: Some(0), ..Settings::default() },
                    ..stand_in
                },
            ]
        }
        Ending::EarlyFailure => vec![
            scenario("mended by another attempt", ask().plays([busy])),
            scenario("mended by the last attempt", ask().plays([busy, Act::CutEarly])),
            scenario("without another attempt", Ask { allowance: 0, ..ask().plays([busy]) }),
            scenario("for which the caller is to blame", ask().plays([Act::Fail(ErrorKind::InvalidRequest)])),
            scenario("that stays", ask().plays([Act::Fail(ErrorKind::Server); 8])),
            scenario("of streams that break off before content", ask().plays([Act::CutEarly; 8])),
        ],
        Ending::Cut => vec![
            scenario("by the connection", ask().plays([Act::Cut(None)])),
            scenario("by a failure", ask().plays([Act::Cut(Some(ErrorKind::Server))])),
            scenario("in the second attempt", ask().plays([busy, Act::Cut(None)])),
        ],
        Ending::Abandoned => {
            let mut scenarios = vec![
                scenario("before the head", ask().plays([Act::Hang]).leaves(505)),
                scenario("in the second attempt", ask().plays([busy, Act::Hang]).leaves(505)),
                scenario("between attempts", ask().plays([busy; 8]).leaves(105)),
            ];
            scenarios.extend(in_a_stream(vec![
                scenario("at the head", ask().reads(0)),
                scenario("after the first content", ask().reads(1)),
                scenario("after the first content of the second attempt", ask().plays([busy]).reads(1)),
            ]));
            scenarios
        }
        Ending::NeverReady => vec![scenario("at all", ask().never_ready().leaves(505))],
    }
}
