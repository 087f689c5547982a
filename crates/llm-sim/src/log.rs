//! What a simulated provider received, and how it ended.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use llm_core::clock;
use tokio::sync::Notify;

/// One call that a simulated provider received. Cloning copies a few pointers.
///
/// `Debug` shows neither the body nor the values of headers.
#[derive(Clone)]
pub struct Received {
    /// When its request was there.
    pub at: SystemTime,
    /// Where it went over http, such as `/v1/chat/completions`; empty for a call of the service.
    pub path: Arc<str>,
    /// The model it asked for, if it could be read.
    pub model: Option<Arc<str>>,
    /// The http headers. The values of those that hold keys are replaced.
    pub headers: Arc<HeaderMap>,
    /// The name of the key that was used, if it is one of the configured ones.
    pub key: Option<Arc<str>>,
    /// The body as it came.
    pub body: Bytes,
    /// How many tokens of the answer had been sent when this was looked up.
    pub tokens_sent: u64,
    /// How it ended; absent while it has not.
    pub ended: Option<Ended>,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
}

/// How a call ended, as the provider saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The answer was sent whole. Refusals that nobody scripted are answers too.
    Complete,
    /// The caller went away.
    CallerLeft {
        /// Tokens that had been sent by then.
        after_tokens: u64,
    },
    /// As a fault script has it: with an error, a cut, or an answer without its end.
    Faulted,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("at", &self.at)
            .field("path", &self.path)
            .field("model", &self.model)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("key", &self.key)
            .field("body_bytes", &self.body.len())
            .field("tokens_sent", &self.tokens_sent)
            .field("ended", &self.ended)
            .field("ended_at", &self.ended_at)
            .finish()
    }
}

/// The calls of one service or one server, the newest at the end.
#[derive(Debug)]
pub(crate) struct Log {
    records: Mutex<VecDeque<Arc<Record>>>,
    capacity: usize,
    received: AtomicU64,
    changed: Notify,
}

#[derive(Debug)]
struct Record {
    received: Received,
    tokens: AtomicU64,
    ended: OnceLock<(Ended, SystemTime)>,
}

impl Record {
    fn now(&self) -> Received {
        let ended = self.ended.get().copied();
        Received {
            tokens_sent: self.tokens.load(Relaxed),
            ended: ended.map(|(ended, _)| ended),
            ended_at: ended.map(|(_, at)| at),
            ..self.received.clone()
        }
    }
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { records: Mutex::default(), capacity, received: AtomicU64::new(0), changed: Notify::new() })
    }

    pub(crate) fn begin(self: &Arc<Self>, arrival: Arrival) -> Entry {
        let Arrival { path, model, headers, key, body } = arrival;
        let received = Received {
            at: clock::wall(),
            path: Arc::from(path),
            model: model.map(Arc::from),
            headers: Arc::new(redacted(headers)),
            key,
            body,
            tokens_sent: 0,
            ended: None,
            ended_at: None,
        };
        let record = Arc::new(Record { received, tokens: AtomicU64::new(0), ended: OnceLock::new() });
        {
            // The list is whole after every statement, so a panic elsewhere does not spoil it.
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            if records.len() == self.capacity {
                records.pop_front();
            }
            records.push_back(Arc::clone(&record));
        }
        self.received.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
        Entry { log: Arc::clone(self), record }
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().map(|record| record.now()).collect()
    }

    /// How many calls there were, forgotten ones included.
    pub(crate) fn count(&self) -> u64 {
        self.received.load(Relaxed)
    }

    pub(crate) async fn until(&self, holds: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        loop {
            // Listening begins before looking, so that no change falls between the two.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let log = self.all();
            if holds(&log) {
                return log;
            }
            changed.await;
        }
    }
}

/// What is known of a call when it arrives.
#[derive(Default)]
pub(crate) struct Arrival {
    pub(crate) path: String,
    pub(crate) model: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) body: Bytes,
}

/// The entry of a call under way. Dropped before it is told how the call ended, it says that the caller left.
#[derive(Debug)]
pub(crate) struct Entry {
    log: Arc<Log>,
    record: Arc<Record>,
}

impl Entry {
    /// Says how many tokens have been sent so far.
    pub(crate) fn sent(&self, tokens: u64) {
        self.record.tokens.store(tokens, Relaxed);
        self.log.changed.notify_waiters();
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.record.tokens.load(Relaxed)
    }

    /// Says how the call ended. Only the first word counts.
    pub(crate) fn end(&self, ended: Ended) {
        if self.record.ended.set((ended, clock::wall())).is_ok() {
            self.log.changed.notify_waiters();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(Ended::CallerLeft { after_tokens: self.tokens() });
    }
}

fn redacted(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE] {
        redact(&mut headers, name.as_str());
    }
    for name in ["x-api-key", "api-key", "x-goog-api-key"] {
        redact(&mut headers, name);
    }
    headers
}

fn redact(headers: &mut HeaderMap, name: &str) {
    if let Some(value) = headers.get_mut(name) {
        *value = HeaderValue::from_static("redacted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_forgets_the_oldest_and_counts_all() {
        let log = Log::new(2);
        for path in ["/a", "/b", "/c"] {
            log.begin(Arrival { path: path.into(), ..Arrival::default() }).end(Ended::Complete);
        }
        let paths: Vec<_> = log.all().into_iter().map(|received| received.path.to_string()).collect();
        assert_eq!((paths, log.count()), (vec!["/b".to_owned(), "/c".to_owned()], 3));
    }

    #[test]
    fn an_entry_that_is_dropped_says_that_the_caller_left() {
        let log = Log::new(2);
        let entry = log.begin(Arrival::default());
        entry.sent(3);
        assert_eq!(log.all()[0].ended, None);
        drop(entry);
        assert_eq!(log.all()[0].ended, Some(Ended::CallerLeft { after_tokens: 3 }));
    }

    #[test]
    fn keys_and_bodies_are_not_shown() {
        let log = Log::new(2);
        let mut headers = HeaderMap::new();
        for name in ["authorization", "x-api-key", "x-note"] {
            headers.append(name, HeaderValue::from_static("canary"));
        }
        let _entry = log.begin(Arrival { headers, body: Bytes::from("canary"), ..Arrival::default() });
        let received = &log.all()[0];
        assert_eq!(received.headers["authorization"], "redacted");
        assert_eq!(received.headers["x-note"], "canary");
        assert!(!format!("{received:?}").contains("canary"));
    }
}
