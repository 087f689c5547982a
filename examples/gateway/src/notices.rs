//! What the layers tell operators: in the log, and the newest of it at `/notices`.

use std::{
    collections::VecDeque,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{extract::State, response::Response};
use llm_core::{Notice, NoticeListener, Severity, clock};
use llm_stack::Stack;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::admin::page;

/// How many notices are kept: a burst of all layers, on one screen or two.
const MOST_KEPT: usize = 200;

/// The newest notices. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent(Arc<Mutex<VecDeque<(Duration, Notice)>>>);

/// Whoever listens to a stack. Dropped, nobody does any more: another stack may tell through the same layers.
#[derive(Debug)]
pub(crate) struct Listening(#[expect(dead_code, reason = "its tasks end with it")] JoinSet<()>);

impl Recent {
    /// Listens to the layers of a stack.
    pub(crate) fn listen(&self, stack: &Stack) -> Listening {
        let mut tasks = JoinSet::new();
        for listener in stack.handles().notices() {
            tasks.spawn(self.clone().follow(listener));
        }
        Listening(tasks)
    }

    async fn follow(self, mut listener: NoticeListener) {
        while let Some(notice) = listener.next().await {
            log(&notice);
            self.keep(notice);
        }
    }

    fn keep(&self, notice: Notice) {
        let mut kept = self.lock();
        if kept.len() == MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back((clock::since_epoch(), notice));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Duration, Notice)>> {
        // The list is whole between any two steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log(notice: &Notice) {
    let Notice { source, key, kind, severity, numbers } = notice;
    let mut figures = String::new();
    for (name, value) in numbers {
        write!(figures, "{}{name}={value}", if figures.is_empty() { "" } else { " " })
            .expect("a string takes everything");
    }
    match severity {
        Severity::Info => info!(source, key, kind, figures, "notice"),
        Severity::Warning => warn!(source, key, kind, figures, "notice"),
        Severity::Critical => error!(source, key, kind, figures, "notice"),
    }
}

/// `GET /notices`: the newest last.
pub(crate) async fn show(State(recent): State<Recent>) -> Response {
    let describe = |(at, notice): &(Duration, Notice)| {
        let Notice { source, key, kind, severity, numbers } = notice;
        let severity = match severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        let numbers: Value = numbers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        json!({
            "at": at.as_secs(),
            "source": source,
            "key": key,
            "kind": kind,
            "severity": severity,
            "numbers": numbers,
        })
    };
    let notices: Vec<Value> = recent.lock().iter().map(describe).collect();
    page(&json!({ "notices": notices }))
}
