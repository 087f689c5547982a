//! What a case must come to, worked out from the order by one plain function a layer.
//!
//! The model knows nothing of futures, wakers, locks, permits or observers: a call goes down as a function call, comes back
//! when it is over, and each layer does on the way what its documentation says. Two bits of the real thing are borrowed: the
//! table of error kinds, which is the core's, and the settings of the case.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use llm_core::{Again, AttemptEnd, Breaker, Elsewhere, ErrorKind};

use crate::{
    order::{Kind, Order},
    script::{Act, Ask, WORDS_BEFORE_CUT, words},
    stack::{Counted, Settings},
};

/// The longest wait of a retry while the router has targets that were not called.
const LONGEST_BESIDE_TARGETS: Duration = Duration::from_secs(1);

/// The number of a target, where one was chosen.
pub type Place = Option<usize>;

/// What the layers remember from call to call.
#[derive(Debug)]
pub struct Model {
    order: Order,
    settings: Settings,
    /// What is kept, by target and question.
    pub kept: HashMap<(Place, u64), Kept>,
    /// What the circuits were told.
    pub circuits: BTreeMap<Place, Counted>,
    /// How often it was retried.
    pub retries: u64,
    /// How often the router went to another target.
    pub failovers: u64,
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    text: String,
    /// Whether it came in pieces.
    streamed: bool,
}

/// What becomes of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What the caller gets.
    pub came: Came,
    /// When the caller has it all, or leaves.
    pub took: Duration,
    /// What reaches the provider.
    pub attempts: Vec<Attempt>,
}

/// A call that reaches the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// To which target.
    pub place: Place,
    /// Why.
    pub reason: Again,
    /// After what wait.
    pub waited: Duration,
    /// How it ends.
    pub end: AttemptEnd,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// No answer: the caller left before.
    Left,
    /// No answer: a failure before content.
    Failed(ErrorKind),
    /// An answer, which ends like this.
    Answered {
        /// How it ends.
        end: AttemptEnd,
        /// All of its text that comes.
        text: String,
        /// Whether it is that of a stand-in.
        is_substitute: bool,
        /// Whether the cache gave it.
        is_kept: bool,
    },
}

impl Model {
    /// Layers that have seen nothing.
    pub fn new(order: Order, settings: Settings) -> Self {
        let (kept, circuits) = (HashMap::new(), BTreeMap::new());
        Self { order, settings, kept, circuits, retries: 0, failovers: 0 }
    }

    /// What becomes of a call.
    pub fn ask(&mut self, ask: &Ask) -> Expected {
        let (now, attempts) = (Duration::ZERO, Vec::new());
        let mut call = Call { ask, now, left: ask.allowance, untried: 0, attempts };
        let first = Way { place: None, reason: Again::First, waited: Duration::ZERO };
        let order = self.order;
        let came = self.go(&mut call, order.kinds(), first);
        Expected { came, took: call.now, attempts: call.attempts }
    }

    fn go(&mut self, call: &mut Call<'_>, layers: &[Kind], way: Way) -> Came {
        let Some((outermost, below)) = layers.split_first() else { return provider(call, way) };
        match outermost {
            Kind::Cache => self.cache(call, below, way),
            Kind::Router => self.router(call, below, way),
            Kind::Retry => self.retry(call, below, way),
            // It pays, which is checked against the trail.
            Kind::Budget => self.go(call, below, way),
            Kind::Breaker => self.breaker(call, below, way),
        }
    }

    /// Answers what was answered before. Keeps what is complete, and no stand-in's.
    fn cache(&mut self, call: &mut Call<'_>, below: &[Kind], way: Way) -> Came {
        let key = (way.place, call.ask.question);
        if let Some(Kept { text, streamed }) = self.kept.get(&key).cloned() {
            let (end, text) = match call.ask.reads.filter(|_| call.ask.streamed) {
                None => (AttemptEnd::Complete, text),
                Some(0) => (AttemptEnd::Abandoned, String::new()),
                Some(reads) => (AttemptEnd::Abandoned, if streamed { words(&text, reads) } else { text }),
            };
            return Came::Answered { end, text, is_substitute: false, is_kept: true };
        }
        let came = self.go(call, below, way);
        if let Came::Answered { end: AttemptEnd::Complete, text, is_substitute: false, .. } = &came {
            self.kept.insert(key, Kept { text: text.clone(), streamed: call.ask.streamed });
        }
        came
    }

    /// Calls one target after the other, while that may help and is allowed.
    fn router(&mut self, call: &mut Call<'_>, below: &[Kind], mut way: Way) -> Came {
        let targets = self.settings.targets;
        for number in 0.. {
            way.place = Some(number);
            call.untried = u32::try_from(targets - number - 1).expect("there are few").min(call.left);
            let mut came = self.go(call, below, way);
            if let Came::Answered { is_substitute, .. } = &mut came {
                *is_substitute |= self.settings.tiers && number > 0;
            }
            let Came::Failed(kind) = came else { return came };
            if !may_go_elsewhere(kind) || number + 1 == targets || call.left == 0 {
                call.untried = 0;
                return came;
            }
            call.left -= 1;
            self.failovers += 1;
            (way.reason, way.waited) = (Again::Failover, Duration::ZERO);
        }
        unreachable!("the last target ends it")
    }

    /// Calls again, while that may help and is allowed.
    fn retry(&mut self, call: &mut Call<'_>, below: &[Kind], mut way: Way) -> Came {
        for number in 0.. {
            let came = self.go(call, below, way);
            let Came::Failed(kind) = came else { return came };
            let wait = self.settings.base * 2_u32.pow(number);
            let is_spent = self.settings.most_retries.is_some_and(|most| number >= most);
            let is_left_to_router = call.untried > 0 && wait > LONGEST_BESIDE_TARGETS;
            if !kind.class().retry.is_allowed() || is_spent || call.left <= call.untried || is_left_to_router {
                return came;
            }
            call.left -= 1;
            self.retries += 1;
            if !call.waits(wait) {
                return Came::Left;
            }
            (way.reason, way.waited) = (Again::Retry, wait);
        }
        unreachable!("the allowance ends it")
    }

    /// Counts a call once: a success at its end, or a failure that is the provider's. A kept answer says nothing of it.
    fn breaker(&mut self, call: &mut Call<'_>, below: &[Kind], way: Way) -> Came {
        let came = self.go(call, below, way);
        let end = match &came {
            Came::Left => AttemptEnd::Abandoned,
            Came::Failed(kind) => AttemptEnd::Failed(*kind),
            Came::Answered { is_kept: true, .. } => return came,
            Came::Answered { end, .. } => *end,
        };
        let counted = self.circuits.entry(way.place).or_default();
        match end {
            AttemptEnd::Complete => counted.successes += 1,
            AttemptEnd::Failed(kind) if kind.class().breaker == Breaker::Failure => counted.failures += 1,
            AttemptEnd::Failed(_) | AttemptEnd::Abandoned => {}
        }
        came
    }
}

/// Where a call goes, and why.
#[derive(Clone, Copy, Debug)]
struct Way {
    place: Place,
    reason: Again,
    waited: Duration,
}

/// A call under way.
#[derive(Debug)]
struct Call<'a> {
    ask: &'a Ask,
    now: Duration,
    /// How many further calls are left.
    left: u32,
    /// How many targets the router has not called.
    untried: u32,
    attempts: Vec<Attempt>,
}

impl Call<'_> {
    /// Whether the caller stays for this long.
    fn waits(&mut self, wait: Duration) -> bool {
        match self.ask.leaves.filter(|leaves| *leaves < self.now + wait) {
            None => self.now += wait,
            Some(leaves) => {
                self.now = leaves;
                return false;
            }
        }
        true
    }

    fn leaves(&mut self) {
        self.now = self.ask.leaves.expect("nobody waits for what never comes");
    }
}

fn may_go_elsewhere(kind: ErrorKind) -> bool {
    match kind.class().elsewhere {
        Elsewhere::Yes => true,
        // No target is known to be larger, and content policy is not said to send calls elsewhere.
        Elsewhere::No | Elsewhere::IfConfigured | Elsewhere::LargerContext => false,
        Elsewhere::OtherKeyFirst | Elsewhere::Cheaper => unreachable!("no case has such failures"),
    }
}

fn provider(call: &mut Call<'_>, way: Way) -> Came {
    if !call.ask.ready {
        call.leaves();
        return Came::Left;
    }
    let number = call.attempts.len();
    let came = played(call, number);
    let end = match &came {
        Came::Left => AttemptEnd::Abandoned,
        Came::Failed(kind) => AttemptEnd::Failed(*kind),
        Came::Answered { end, .. } => *end,
    };
    call.attempts.push(Attempt { place: way.place, reason: way.reason, waited: way.waited, end });
    came
}

fn played(call: &mut Call<'_>, number: usize) -> Came {
    let ask = call.ask;
    let (play, text) = (ask.play(number), ask.text(number));
    let answered = |end, text| Came::Answered { end, text, is_substitute: false, is_kept: false };
    let pieces = text.split_inclusive(' ').count();
    // A frame that begins the stream, the words, and usage, finish and end where it gets that far.
    let (pieces, frames, end) = match play.act {
        Act::Hang => {
            call.leaves();
            return Came::Left;
        }
        Act::Fail(kind) => return if call.waits(play.after) { Came::Failed(kind) } else { Came::Left },
        Act::CutEarly => {
            let begun = if ask.streamed { play.spacing } else { Duration::ZERO };
            let stays = call.waits(play.after + begun);
            return if stays { Came::Failed(ErrorKind::Interrupted) } else { Came::Left };
        }
        Act::Cut(kind) => {
            let kind = kind.unwrap_or(ErrorKind::Interrupted);
            if !ask.streamed {
                return if call.waits(play.after) { Came::Failed(kind) } else { Came::Left };
            }
            (WORDS_BEFORE_CUT, 1 + WORDS_BEFORE_CUT, AttemptEnd::Failed(kind))
        }
        Act::Answer => (pieces, pieces + 4, AttemptEnd::Complete),
    };
    if !ask.streamed {
        return if call.waits(play.after) { answered(end, text) } else { Came::Left };
    }
    let content = 2;
    if !call.waits(play.after + play.spacing * content) {
        return Came::Left;
    }
    let (end, read, pieces) = match ask.reads {
        None => (end, frames, pieces),
        Some(reads) => (AttemptEnd::Abandoned, (1 + reads).max(2), reads),
    };
    // Who has the head does not leave before what it came to read.
    call.now += play.spacing * (u32::try_from(read).expect("there are few") - content);
    answered(end, words(&text, pieces))
}
