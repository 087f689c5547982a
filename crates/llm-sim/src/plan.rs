//! What will happen in a call, worked out before it happens: the answer, its pace, and what goes wrong with it.

use std::time::Duration;

use llm_core::{Event, Frame, Output, Payload, Start, Usage};

use crate::{Fault, FaultScript, ModelConfig, Point, answer::Answer, refusal::Refusal, trouble::Trouble};

/// What is asked of a model.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) payload: &'a Payload,
    /// A limit on output that stands beside the caller's own.
    pub(crate) output_ceiling: Option<u64>,
}

/// The course of one call.
pub(crate) struct Plan {
    /// The time until the head, or what comes instead of it.
    pub(crate) wait: Duration,
    pub(crate) act: Act,
    /// Whether every byte of the body is written by itself.
    pub(crate) one_byte_writes: bool,
}

/// What happens then.
pub(crate) enum Act {
    /// Nothing, for ever.
    Hang,
    /// The connection is closed.
    Cut,
    /// The connection is reset.
    Reset,
    Refuse(Refusal),
    Stream {
        start: Start,
        /// What will have been used if nothing goes wrong.
        usage: Usage,
        steps: Vec<Step>,
    },
    Whole {
        output: Box<Output>,
        steps: Vec<Step>,
    },
}

/// One thing that happens after the head, or a wait before it.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Wait(Duration),
    /// Pings without end.
    Pings(Duration),
    Hang,
    Do(Happening),
}

/// What a caller sees happen.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A frame of a stream.
    Frame(Frame),
    /// The bytes of a whole answer, up to this many of all its tokens.
    UpTo {
        tokens: u64,
        of: u64,
    },
    Garbage,
    Error(Trouble),
    Ping,
    Cut,
    Reset,
}

impl Plan {
    pub(crate) fn refuse(refusal: Refusal) -> Self {
        Self { wait: Duration::ZERO, act: Act::Refuse(refusal), one_byte_writes: false }
    }

    /// Whether the model answers, however that ends.
    pub(crate) fn is_answer(&self) -> bool {
        match self.act {
            Act::Stream { .. } | Act::Whole { .. } => true,
            Act::Hang | Act::Cut | Act::Reset | Act::Refuse(_) => false,
        }
    }

    /// What the answer comes to, if it is told to its end.
    pub(crate) fn usage(&self) -> Option<Usage> {
        match &self.act {
            Act::Stream { usage, .. } => Some(*usage),
            Act::Whole { output, .. } => output.usage().copied(),
            Act::Hang | Act::Cut | Act::Reset | Act::Refuse(_) => None,
        }
    }

    /// The course of a call that goes as `script` says, if it is an answer at all.
    pub(crate) fn new(model: &ModelConfig, answer: Told<'_>, script: &FaultScript) -> Self {
        let faults = script.faults();
        let delay = faults.iter().filter_map(|fault| if let Fault::Delay(wait) = fault { Some(*wait) } else { None });
        let delay = delay.fold(Duration::ZERO, Duration::saturating_add);
        let one_byte_writes = faults.contains(&Fault::OneByteWrites);
        let is_stream = matches!(answer, Told::Stream(_));
        if let Some(act) = faults.iter().find_map(|fault| instead(fault, is_stream)) {
            return Self { wait: delay, act, one_byte_writes };
        }
        let mut faults: Vec<_> = faults.iter().filter_map(midway).collect();
        // Stable: faults at the same point happen in the order of the script.
        faults.sort_by_key(|(after, _)| *after);
        let pings_only = faults.iter().any(|(_, happening)| matches!(happening, Midway::GoOn(Step::Pings(_))));
        let begin = delay.saturating_add(model.first_token);
        let (wait, act) = match answer {
            Told::Stream(answer) => {
                let (start, usage) = (answer.start().clone(), answer.usage());
                (begin, Act::Stream { start, usage, steps: stream(answer, model, faults) })
            }
            Told::Whole { output, tokens, rounds } => {
                let rounds = u32::try_from(rounds.saturating_sub(1)).unwrap_or(u32::MAX);
                let rest = if pings_only { Duration::ZERO } else { model.token_time().saturating_mul(rounds) };
                let act = Act::Whole { output: Box::new(output), steps: whole(tokens, faults) };
                (begin.saturating_add(rest), act)
            }
        };
        Self { wait, act, one_byte_writes }
    }
}

/// An answer, as it will be told.
pub(crate) enum Told<'a> {
    Stream(&'a Answer),
    Whole { output: Output, tokens: u64, rounds: u64 },
}

/// What a fault does instead of an answer.
fn instead(fault: &Fault, is_stream: bool) -> Option<Act> {
    match fault {
        Fault::Status(status) => Some(Act::Refuse(Refusal::of_fault(status))),
        Fault::ErrorBody(code) => Some(Act::Refuse(Refusal::inside_200(code))),
        Fault::ErrorEvent { code, after: _ } if !is_stream => Some(Act::Refuse(Refusal::inside_200(code))),
        Fault::Hang(Point::BeforeHead) => Some(Act::Hang),
        Fault::Cut(Point::BeforeHead) => Some(Act::Cut),
        Fault::Reset(Point::BeforeHead) => Some(Act::Reset),
        Fault::Hang(Point::AfterTokens(_))
        | Fault::Cut(Point::AfterTokens(_))
        | Fault::Reset(Point::AfterTokens(_))
        | Fault::ErrorEvent { .. }
        | Fault::Delay(_)
        | Fault::End { .. }
        | Fault::Garbage { .. }
        | Fault::Stall { .. }
        | Fault::OneByteWrites
        | Fault::Pings { .. } => None,
    }
}

/// What a fault does in the middle of an answer.
enum Midway {
    /// Something, and the answer goes on.
    GoOn(Step),
    /// Something, or nothing, and the answer is over.
    EndWith(Option<Step>),
}

fn midway(fault: &Fault) -> Option<(u64, Midway)> {
    Some(match fault {
        Fault::Hang(Point::AfterTokens(after)) => (*after, Midway::EndWith(Some(Step::Hang))),
        Fault::Cut(Point::AfterTokens(after)) => (*after, Midway::EndWith(Some(Step::Do(Happening::Cut)))),
        Fault::Reset(Point::AfterTokens(after)) => (*after, Midway::EndWith(Some(Step::Do(Happening::Reset)))),
        Fault::ErrorEvent { code, after } => {
            (*after, Midway::EndWith(Some(Step::Do(Happening::Error(Trouble::simulated(code))))))
        }
        Fault::End { after } => (*after, Midway::EndWith(None)),
        Fault::Garbage { after } => (*after, Midway::GoOn(Step::Do(Happening::Garbage))),
        Fault::Stall { wait, after } => (*after, Midway::GoOn(Step::Wait(*wait))),
        Fault::Pings { every } => (0, Midway::GoOn(Step::Pings(*every))),
        Fault::Hang(Point::BeforeHead)
        | Fault::Cut(Point::BeforeHead)
        | Fault::Reset(Point::BeforeHead)
        | Fault::Status(_)
        | Fault::ErrorBody(_)
        | Fault::Delay(_)
        | Fault::OneByteWrites => return None,
    })
}

fn stream(answer: &Answer, model: &ModelConfig, faults: Vec<(u64, Midway)>) -> Vec<Step> {
    let mut steps = vec![Step::frame(Frame::event(Event::Start(answer.start().clone())))];
    let mut faults = faults.into_iter().peekable();
    let mut told = 0;
    for (round, frames) in answer.content().enumerate() {
        if round > 0 {
            steps.push(Step::Wait(model.token_time()));
        }
        for frame in frames {
            while let Some((_, happening)) = faults.next_if(|(after, _)| *after <= told) {
                match happening {
                    Midway::GoOn(step) => steps.push(step),
                    Midway::EndWith(step) => {
                        steps.extend(step);
                        return steps;
                    }
                }
            }
            steps.push(Step::frame(frame));
            told += 1;
        }
    }
    for (_, happening) in faults {
        match happening {
            Midway::GoOn(step) => steps.push(step),
            Midway::EndWith(step) => {
                steps.extend(step);
                return steps;
            }
        }
    }
    steps.extend(answer.ending().map(Step::frame));
    steps
}

fn whole(tokens: u64, faults: Vec<(u64, Midway)>) -> Vec<Step> {
    let of = tokens.max(1);
    let mut steps = Vec::new();
    for (after, happening) in faults {
        // One token is never told, so that an answer that ends early is not complete by accident.
        steps.push(Step::Do(Happening::UpTo { tokens: after.min(of - 1), of }));
        match happening {
            Midway::GoOn(step) => steps.push(step),
            Midway::EndWith(step) => {
                steps.extend(step);
                return steps;
            }
        }
    }
    steps.push(Step::Do(Happening::UpTo { tokens: of, of }));
    steps
}

impl Step {
    fn frame(frame: Frame) -> Self {
        Self::Do(Happening::Frame(frame))
    }
}
