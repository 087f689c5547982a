//! Rules 3, 8, 9 and 11, as far as they can be told from outside: shared state, bounds, listeners, configuration.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, StreamExt};
use llm_core::{Error, ErrorKind};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use super::{
    Ruling,
    stage::{Stage, TEXT, boxed, call, read, within},
};
use crate::{Answer, Probe, Subject};

/// Clones of a service, and all services of one layer value, see the same state.
pub async fn state_is_shared_by_clones_and_layers(subject: &dyn Fn() -> Subject) -> Ruling {
    let Some(counts) = subject().counts else { return Ruling::not_applicable("it has no state that outlives a call") };
    let probe = Probe::answering(counts.answer);
    let mut stage = Stage::new(subject, probe.clone());
    let read = stage.subject.counts.clone().expect("every subject that is built declares the same").read;
    let mut clone = stage.service.clone();
    let mut second = stage.subject.wrap(boxed(probe));
    let mut under_way = Vec::new();
    let mut before = read();
    for round in 0..2 {
        let users = [("a service", &mut stage.service), ("a clone", &mut clone), ("a second service", &mut second)];
        for (number, (who, service)) in (round * 3..).zip(users) {
            under_way.push(call(service, stage.subject.request(number, true)).await);
            let after = read();
            assert!(after > before, "a call through {who} did not change the state that they all should share");
            before = after;
        }
    }
    Ruling::Kept
}

/// However many keys come, no more than the stated number is kept.
pub async fn keyed_state_is_bounded(subject: &dyn Fn() -> Subject) -> Ruling {
    let mut stage = Stage::new(subject, Probe::answering(Answer::text(TEXT)));
    let Some(keyed) = stage.subject.keyed.clone() else { return Ruling::not_applicable("it keeps no state by key") };
    let keys = 2 * keyed.bound as u64 + 100;
    let mut largest = 0;
    for number in 0..keys {
        // Whether a new key is let in, shares an entry or is refused at the bound is for the layer to decide.
        drop(call(&mut stage.service, (keyed.request)(number)).await);
        largest = largest.max((keyed.size)());
        assert!(largest <= keyed.bound, "{} keys made more than the stated {} entries", number + 1, keyed.bound);
    }
    assert_ne!(largest, 0, "no key was ever kept, so there was nothing to see");
    Ruling::Kept
}

/// Listeners who never listen change nothing for the calls.
pub async fn slow_listener_slows_nobody(subject: &dyn Fn() -> Subject) -> Ruling {
    if subject().listen.is_none() {
        return Ruling::not_applicable(subject().quiet.unwrap_or("it has no listeners"));
    }
    let quiet = busy_hour(subject, 0).await;
    let with_stuck_listeners = busy_hour(subject, 4).await;
    assert_eq!(quiet, with_stuck_listeners, "listeners who never listen changed how long calls took or how they ended");
    Ruling::Kept
}

/// Many calls, every second one failing, with that many listeners who only wake up when all is over.
async fn busy_hour(subject: &dyn Fn() -> Subject, listeners: usize) -> (Duration, Vec<bool>) {
    const CALLS: u64 = 600;
    let failure = Answer::fail(Error::new(ErrorKind::Server, "the scripted failure"));
    let answers = (0..CALLS).map(|number| if number % 2 == 0 { Answer::text(TEXT) } else { failure.clone() });
    let mut stage = Stage::new(subject, Probe::new().script(answers));
    let listen = stage.subject.listen.clone().expect("every subject that is built declares the same");
    let mut stuck = (0..listeners).map(|_| listen()).collect::<Vec<_>>();
    let begun = Instant::now();
    let mut answered = Vec::new();
    for number in 0..CALLS {
        let request = stage.subject.request(number, false);
        let call = async { read(stage.service.ready().await?.call(request).await?.body).await };
        answered.push(within(call, "a call waited for a listener who never listens").await.is_ok());
    }
    let took = begun.elapsed();
    for listener in &mut stuck {
        let heard = listener.next().now_or_never().flatten();
        assert!(
            heard.is_some(),
            "in {CALLS} calls, half of which failed, no notice was given, so there was nothing to see"
        );
    }
    (took, answered)
}

/// A bad configuration is refused where the layer is built, with a sentence, and never later.
pub async fn bad_config_is_refused_at_construction(subject: &dyn Fn() -> Subject) -> Ruling {
    let refuses = subject().refuses;
    if refuses.is_empty() {
        return Ruling::not_applicable("it has no configuration that could be bad");
    }
    for refused in refuses {
        let what = &refused.what;
        let Ok(built) = std::panic::catch_unwind(AssertUnwindSafe(|| (refused.build)())) else {
            panic!("a bad configuration ({what}) made the construction panic instead of being refused");
        };
        let Err(sentence) = built else {
            panic!("a bad configuration ({what}) was accepted at construction");
        };
        let words = sentence.split_whitespace().count();
        assert!(words >= 3, "a bad configuration ({what}) was refused without a sentence that says why: `{sentence}`");
    }
    Ruling::Kept
}

/// Layer, service, handles and errors are `Clone + Send + Sync + Debug`, and their `Debug` says something.
///
/// The traits themselves are bounds of [`Subject::new`] and [`Subject::shows`]: without them nothing compiles.
pub async fn types_are_clone_send_sync_debug(subject: &dyn Fn() -> Subject) -> Ruling {
    let subject = subject();
    if subject.shows.is_empty() {
        return Ruling::not_applicable("it is a stack without a type of its own");
    }
    for (what, show) in &subject.shows {
        let Ok(shown) = std::panic::catch_unwind(AssertUnwindSafe(|| show())) else {
            panic!("`Debug` of {what} panicked");
        };
        assert!(shown.chars().any(char::is_alphabetic), "`Debug` of {what} said nothing");
    }
    Ruling::Kept
}
