//! Single cases by their names, and many of them at a time.

use std::{
    any::Any,
    fmt,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use llm_test::{Law, Ruling, laws::ALL};

use crate::{
    drive,
    endings::Scenario,
    laws::{self, Look},
    order::Order,
    random,
};

/// One case. Its name finds it again.
#[derive(Clone, Debug)]
pub enum Job {
    /// A law in an order.
    Law(&'static Law, Look, Order),
    /// An ending in an order.
    Ending(Scenario, Order),
    /// The case of this number, of a seed.
    Random(u64, u64),
}

/// What a case has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// All is as it should be.
    Kept,
    /// There was nothing to see, for this reason.
    NotApplicable(String),
    /// Something is not as it should be, which this says.
    Failed(String),
}

impl Job {
    /// Every law in every order.
    pub fn laws() -> Vec<Self> {
        let looks = || ALL.iter().flat_map(|law| Look::all_of(law).iter().map(move |look| (law, *look)));
        Order::all().into_iter().flat_map(|order| looks().map(move |(law, look)| Self::Law(law, look, order))).collect()
    }

    /// Every ending in every order.
    pub fn endings() -> Vec<Self> {
        let scenarios = Scenario::all();
        let of = |order| scenarios.iter().map(move |scenario| Self::Ending(scenario.clone(), order));
        Order::all().into_iter().flat_map(of).collect()
    }

    /// The first so many cases of a seed.
    pub fn random(seed: u64, cases: u64) -> Vec<Self> {
        (0..cases).map(|number| Self::Random(seed, number)).collect()
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str, seed: u64) -> Result<Self, String> {
        if let Some(number) = name.strip_prefix("case ").and_then(|number| number.parse().ok()) {
            return Ok(Self::Random(seed, number));
        }
        let mut all = Self::laws().into_iter().chain(Self::endings());
        all.find(|job| job.to_string() == name).ok_or_else(|| format!("there is no case of the name `{name}`"))
    }

    /// What one types to run it alone.
    pub fn reproduction(&self) -> String {
        let seed = match self {
            Self::Law(..) | Self::Ending(..) => String::new(),
            Self::Random(seed, _) => format!(" --seed {seed}"),
        };
        format!("cargo xtask conformance --only '{self}'{seed}")
    }

    /// Runs it.
    pub fn run(&self) -> Finding {
        let ran = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Law(law, look, order) => match laws::hold(law, *order, *look) {
                Ruling::Kept => Finding::Kept,
                Ruling::NotApplicable(reason) => Finding::NotApplicable(reason.into_owned()),
            },
            Self::Ending(scenario, order) => {
                drive::run(&scenario.in_order(*order));
                Finding::Kept
            }
            Self::Random(seed, number) => {
                drive::run(&random::case(*seed, *number));
                Finding::Kept
            }
        }));
        ran.unwrap_or_else(|panic| Finding::Failed(sentence(&*panic)))
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Law(law, look, order) => match look.name() {
                None => write!(f, "{} in {order}", law.name()),
                Some(look) => write!(f, "{} ({look}) in {order}", law.name()),
            },
            Self::Ending(scenario, order) => write!(f, "{scenario} in {order}"),
            Self::Random(_, number) => write!(f, "case {number}"),
        }
    }
}

fn sentence(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a word").to_owned()
}

/// Runs them all, on all cores, and returns what each has come to.
pub fn run_all(jobs: &[Job]) -> Vec<Finding> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mine = std::iter::from_fn(|| {
            let at = next.fetch_add(1, Relaxed);
            jobs.get(at).map(|job| (at, job.run()))
        });
        mine.collect::<Vec<_>>()
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a case's panic is caught")).collect()
    });
    found.sort_unstable_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, finding)| finding).collect()
}
