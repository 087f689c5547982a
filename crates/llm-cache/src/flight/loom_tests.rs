//! What readers do to flights at the same time, in every order that a model checker finds.

use std::{
    collections::VecDeque,
    sync::Arc as Plain,
    task::{Wake, Waker},
};

use loom::{
    sync::{Condvar, Mutex},
    thread,
};

use super::*;

enum Checked {}

impl Locks for Checked {
    type Of<T: Send + 'static> = Mutex<T>;
}

impl<T: Send> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().expect("nothing panics while it is held"))
    }
}

/// What comes from the provider, and who waits for it.
struct Supply {
    state: Mutex<(VecDeque<Step>, Option<Waker>)>,
}

impl Supply {
    fn of(steps: impl IntoIterator<Item = Step>) -> Plain<Self> {
        Plain::new(Self { state: Mutex::new((steps.into_iter().collect(), None)) })
    }

    fn send(&self, step: Step) {
        let waker = self.state.with(|(steps, waker)| {
            steps.push_back(step);
            waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Whether the answer has been stored, and how many calls were abandoned.
#[derive(Default)]
struct Stored {
    state: Mutex<(bool, usize)>,
}

struct FromSupply {
    supply: Plain<Supply>,
    stored: Plain<Stored>,
}

impl Call for FromSupply {
    fn poll_step(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Step> {
        self.supply.state.with(|(steps, waker)| match steps.pop_front() {
            Some(step) => Poll::Ready(step),
            None => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    fn keep(self: Pin<&mut Self>, _: &Log) -> Result<Kept, Refused> {
        Err(Refused::Kind)
    }

    fn settle(self: Pin<&mut Self>, _: Option<Head>, ending: Ending, _: u64) {
        self.stored.state.with(|(stored, abandoned)| match ending {
            Ending::Refused(Refused::Abandoned) => *abandoned += 1,
            Ending::Refused(_) | Ending::Kept(_) | Ending::Failed(_) => *stored = true,
        });
    }
}

/// Puts a thread to sleep until it is woken. One that never is makes the checker report a deadlock.
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn new() -> Plain<Self> {
        Plain::new(Self { has_rung: Mutex::new(false), rings: Condvar::new() })
    }

    fn wait(&self) {
        let mut has_rung = self.has_rung.lock().expect("nothing panics while it is held");
        while !*has_rung {
            has_rung = self.rings.wait(has_rung).expect("nothing panics while it is held");
        }
        *has_rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Plain<Self>) {
        self.has_rung.with(|has_rung| *has_rung = true);
        self.rings.notify_one();
    }
}

/// Waits for the next frame; none at the end.
fn next(reader: &mut Reader<Checked>) -> Option<Frame> {
    let bell = Bell::new();
    let waker = Waker::from(Plain::clone(&bell));
    loop {
        match reader.poll_frame(&mut Context::from_waker(&waker)) {
            Poll::Ready(frame) => return frame.map(|frame| frame.expect("the script has no failures")),
            Poll::Pending => bell.wait(),
        }
    }
}

/// Reads to the end, and says how many frames there were.
fn read(mut reader: Reader<Checked>) -> usize {
    std::iter::from_fn(|| next(&mut reader)).count()
}

const KEY: Key = Key::from_bytes([7; 32]);
const LIMIT: usize = 1 << 20;

/// Everything that those who ask the same share.
struct House {
    flights: Arc<Flights<Checked>>,
    supply: Plain<Supply>,
    stored: Plain<Stored>,
    calls: Mutex<usize>,
}

impl House {
    fn new(steps: impl IntoIterator<Item = Step>) -> Plain<Self> {
        let (supply, stored) = (Supply::of(steps), Plain::default());
        Plain::new(Self { flights: Arc::new(Flights::new()), supply, stored, calls: Mutex::new(0) })
    }

    /// Joins the call or makes it; none where the answer was stored in between.
    fn board(&self) -> Option<Reader<Checked>> {
        let find = || self.stored.state.with(|(stored, _)| stored.then_some(()));
        if find().is_some() {
            return None;
        }
        match self.flights.board(KEY, find, || self.start()) {
            Boarded::Found(()) => None,
            Boarded::Joined(flight) => Some(Reader::new(flight, true, None)),
            Boarded::Started(flight) => Some(Reader::new(flight, false, None)),
        }
    }

    fn start(&self) -> Flight<Checked> {
        self.calls.with(|calls| *calls += 1);
        let call = FromSupply { supply: self.supply.clone(), stored: self.stored.clone() };
        Flight::new(KEY, Some(self.flights.clone()), LIMIT, Box::pin(call))
    }

    fn calls(&self) -> usize {
        self.calls.with(|calls| *calls)
    }
}

fn last() -> Step {
    Step::Frame(Frame::text("a").last())
}

/// Checks all orders in which no thread is interrupted more than this many times between its own steps.
fn model(interruptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(check);
}

#[test]
fn of_those_who_ask_at_once_one_calls_and_each_is_answered() {
    model(3, || {
        let house = House::new([last()]);
        let other = house.clone();
        let answered = thread::spawn(move || other.board().map(read));
        let own = house.board().map(read);
        let others = answered.join().expect("it does not panic");
        assert!([own, others].into_iter().flatten().all(|frames| frames == 1));
        assert_eq!(house.calls(), 1);
        assert_eq!(house.flights.len(), 0);
    });
}

#[test]
fn nobody_sleeps_on_while_something_has_come() {
    model(3, || {
        let house = House::new([]);
        let readers = [house.board(), house.board()].map(|reader| reader.expect("nothing is stored yet"));
        let threads = readers.map(|reader| thread::spawn(move || read(reader)));
        house.supply.send(last());
        for thread in threads {
            assert_eq!(thread.join().expect("it does not panic"), 1);
        }
        assert_eq!(house.calls(), 1);
    });
}

#[test]
fn a_frame_is_read_by_all_before_the_next_one_comes() {
    model(3, || {
        let house = House::new([]);
        let readers = [house.board(), house.board()].map(|reader| reader.expect("nothing is stored yet"));
        house.supply.send(Step::Frame(Frame::text("a")));
        let threads = readers.map(|mut reader| thread::spawn(move || next(&mut reader).is_some()));
        assert!(threads.into_iter().all(|thread| thread.join().expect("it does not panic")));
    });
}

#[test]
fn who_sleeps_is_woken_by_what_another_reader_finds() {
    model(1, || {
        let house = House::new([]);
        let [mut sleeps, mut finds] =
            [house.board(), house.board()].map(|reader| reader.expect("nothing is stored yet"));
        let bell = Bell::new();
        assert!(sleeps.poll_frame(&mut Context::from_waker(&Waker::from(bell.clone()))).is_pending());
        // A timer that is looked at when its time has come wakes nobody any more.
        house.supply.state.with(|(steps, _)| steps.push_back(Step::Frame(Frame::text("a"))));
        assert!(finds.poll_frame(&mut Context::from_waker(Waker::noop())).is_ready());
        bell.wait();
        assert!(sleeps.poll_frame(&mut Context::from_waker(Waker::noop())).is_ready());
    });
}

#[test]
fn a_reader_who_leaves_takes_no_wake_of_the_others_along() {
    model(3, || {
        let house = House::new([]);
        let [leaves, stays] = [house.board(), house.board()].map(|reader| reader.expect("nothing is stored yet"));
        let leaving = thread::spawn(move || {
            let mut leaves = leaves;
            let waker = Waker::from(Bell::new());
            let _ = leaves.poll_frame(&mut Context::from_waker(&waker));
        });
        let staying = thread::spawn(move || read(stays));
        house.supply.send(last());
        assert_eq!(staying.join().expect("it does not panic"), 1);
        leaving.join().expect("it does not panic");
    });
}

#[test]
fn who_comes_as_the_last_one_leaves_joins_in_time_or_calls_for_itself() {
    model(3, || {
        let house = House::new([]);
        let leaves = house.board();
        let leaving = thread::spawn(move || drop(leaves));
        let comes = house.board().expect("nothing is stored yet");
        leaving.join().expect("it does not panic");
        assert_eq!(house.flights.len(), 1, "who leaves takes nothing out but its own");
        house.supply.send(last());
        assert_eq!(read(comes), 1);
        let abandoned = house.stored.state.with(|(_, abandoned)| *abandoned);
        assert_eq!(house.calls(), 1 + abandoned);
        assert_eq!(house.flights.len(), 0);
    });
}

#[test]
fn a_flight_that_has_lost_its_place_to_another_takes_out_nothing() {
    model(1, || {
        let house = House::new([]);
        let reader = house.board();
        drop(house.start());
        assert!(reader.is_some() && house.flights.len() == 1);
    });
}
