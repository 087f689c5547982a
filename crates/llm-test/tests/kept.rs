//! Layers that do more than pass calls on, and keep the laws: what each law demands can be done.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use llm_core::{Again, BoxLlmService, Error, ErrorKind, LlmRequest, LlmResponse, Notice, Notices, Phase, Severity};
use llm_test::{Answer, Law, PassThroughLayer, Ruling, Subject, laws};
use tower::{Service, ServiceExt, service_fn, util::BoxCloneSyncService};

/// An always-ready layer that is nothing but a function.
fn around<F, R>(name: &str, call: F) -> Subject
where
    F: Fn(BoxLlmService, LlmRequest) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<LlmResponse, Error>> + Send + 'static,
{
    let wrap = move |inner: BoxLlmService| {
        let call = call.clone();
        BoxCloneSyncService::new(service_fn(move |request| call(inner.clone(), request)))
    };
    Subject::stack(name, wrap).always_ready()
}

fn retrying() -> Subject {
    let subject = around("retrying", |mut inner, request| async move {
        loop {
            let answered = inner.ready().await?.call(request.clone()).await;
            let busy = answered.as_ref().err().filter(|error| error.kind() == ErrorKind::Overloaded);
            if busy.is_none() || !request.context().may_call_again(Again::Retry, busy) {
                return answered;
            }
            drop(answered);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let busy = || Answer::fail(Error::new(ErrorKind::Overloaded, "busy"));
    let takes = [busy(), busy(), Answer::text("Yes.").after(Duration::from_secs(5))];
    subject.calls_again(busy()).takes(Duration::from_secs(7), takes)
}

fn limiting_time() -> Subject {
    let limit = Duration::from_secs(10);
    let subject = around("limiting time", move |inner, request| async move {
        let too_late = |_| Error::new(ErrorKind::Timeout(Phase::Head), "no response in time");
        tokio::time::timeout(limit, inner.oneshot(request)).await.map_err(too_late)?
    });
    subject.takes(limit, [Answer::hang()])
}

fn remembering_some() -> Subject {
    let models = Arc::new(Mutex::new(VecDeque::new()));
    let read = Arc::clone(&models);
    let subject = around("remembering some", move |inner, request| {
        let mut models = models.lock().expect("nobody panics while holding it");
        models.push_back(request.model().to_owned());
        if models.len() > 8 {
            models.pop_front();
        }
        inner.oneshot(request)
    });
    let request = |number| LlmRequest::chat(format!("model-{number}")).user("Why?").build();
    subject.keyed(8, request, move || read.lock().expect("nobody panics while holding it").len())
}

fn giving_notice() -> Subject {
    let notices = Notices::new();
    let heard = notices.clone();
    let subject = around("giving notice", move |inner, request| {
        notices.send(Notice {
            source: "kept",
            key: "all".to_owned(),
            kind: "called",
            severity: Severity::Info,
            numbers: Vec::new(),
        });
        inner.oneshot(request)
    });
    subject.notices(move || heard.listen())
}

fn refusing() -> Subject {
    fn build(share: f64) -> Result<f64, &'static str> {
        if share > 1.0 { Err("a share is at most one") } else { Ok(share) }
    }
    Subject::new("refusing", PassThroughLayer).refuses("a share above one", || build(1.5)).secret("sk-canary")
}

#[test]
fn each_law_holds_for_a_layer_that_it_applies_to() {
    type Build = fn() -> Subject;
    let subjects: [(Build, &str); 6] = [
        (retrying, "readies_before_each_attempt"),
        (retrying, "follows_paused_time"),
        (limiting_time, "follows_paused_time"),
        (remembering_some, "keyed_state_is_bounded"),
        (giving_notice, "slow_listener_slows_nobody"),
        (refusing, "bad_config_is_refused_at_construction"),
    ];
    for (subject, law) in subjects {
        assert_eq!(Law::named(law).hold(subject), Ruling::Kept, "{law} on {}", subject().name());
    }
}

#[test]
fn they_keep_all_the_other_laws_too() {
    for subject in [retrying, limiting_time, remembering_some, giving_notice, refusing] {
        for law in &laws::ALL {
            let _ = law.hold(subject);
        }
    }
}

#[test]
fn a_law_without_anything_to_test_says_so() {
    let nothing_declared = || Subject::new("pass-through", PassThroughLayer);
    let silent = laws::ALL.iter().filter(|law| law.hold(nothing_declared) != Ruling::Kept).map(Law::name);
    let expected = [
        "readies_before_each_attempt",
        "rejects_while_inner_is_never_ready",
        "rejection_is_not_a_readiness_error",
        "state_is_shared_by_clones_and_layers",
        "keyed_state_is_bounded",
        "slow_listener_slows_nobody",
        "bad_config_is_refused_at_construction",
    ];
    assert_eq!(silent.collect::<Vec<_>>(), expected);
}
