//! What a simulated provider received, and how it ended.

mod bounded;
mod received;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::HeaderMap;
use llm_core::{Usage, clock};
use tokio::sync::Notify;

use self::bounded::{Bounded, Logged, worth_keeping};
pub use self::received::{Ended, Received};
use crate::SimConfig;

/// As much as is kept of names that callers choose. No path that is served and no model's name is that long.
const MAX_NAME: usize = 256;

/// The calls of one service or one server, the newest at the end.
#[derive(Debug)]
pub(crate) struct Log {
    calls: Mutex<Bounded>,
    max_bytes: usize,
    received: AtomicU64,
    changed: Notify,
}

/// How far a call has come. It does not hold what the call brought, which is gone when the log has dropped it.
#[derive(Debug, Default)]
struct Progress {
    tokens: AtomicU64,
    /// What the whole answer comes to.
    usage: OnceLock<Usage>,
    ended: OnceLock<(Ended, SystemTime)>,
}

impl Logged {
    fn now(&self) -> Received {
        let ended = self.progress.ended.get().copied();
        let tokens_sent = self.progress.tokens.load(Relaxed);
        let so_far = |usage: &Usage| Usage {
            output: usage.output.min(tokens_sent),
            reasoning: usage.reasoning.min(tokens_sent),
            ..*usage
        };
        Received {
            tokens_sent,
            usage: self.progress.usage.get().map(so_far),
            ended: ended.map(|(ended, _)| ended),
            ended_at: ended.map(|(_, at)| at),
            ..self.received.clone()
        }
    }
}

impl Log {
    pub(crate) fn new(config: &SimConfig) -> Arc<Self> {
        let (max_calls, max_bytes) = (config.log_capacity, config.log_bytes);
        Arc::new(Self {
            calls: Mutex::new(Bounded::new(max_calls, max_bytes)),
            max_bytes,
            received: AtomicU64::new(0),
            changed: Notify::new(),
        })
    }

    pub(crate) fn begin(self: &Arc<Self>, arrival: Arrival<'_>) -> Entry {
        let (headers, body) = worth_keeping(&arrival.headers, &arrival.body, self.max_bytes);
        let received = Received {
            at: clock::wall(),
            path: beginning(arrival.path),
            model: arrival.model.map(beginning),
            headers: Arc::new(headers),
            key: arrival.key,
            body,
            body_bytes: arrival.body.len(),
            tokens_sent: 0,
            usage: None,
            ended: None,
            ended_at: None,
        };
        let progress = Arc::<Progress>::default();
        {
            // The list is whole after every statement, so a panic elsewhere does not spoil it.
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.push(Logged { received, progress: Arc::clone(&progress) });
        }
        self.received.fetch_add(1, Relaxed);
        self.changed.notify_waiters();
        Entry { log: Arc::clone(self), progress }
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.calls().map(Logged::now).collect()
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
pub(crate) struct Arrival<'a> {
    pub(crate) path: &'a str,
    pub(crate) model: Option<&'a str>,
    pub(crate) headers: HeaderMap,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) body: Bytes,
}

/// The entry of a call under way. Dropped before it is told how the call ended, it says that the caller left.
#[derive(Debug)]
pub(crate) struct Entry {
    log: Arc<Log>,
    progress: Arc<Progress>,
}

impl Entry {
    /// Says what the answer comes to, if it is told to its end.
    pub(crate) fn answers(&self, usage: Option<Usage>) {
        if let Some(usage) = usage {
            // A call is planned once.
            let _ = self.progress.usage.set(usage);
        }
    }

    /// Says how many tokens have been sent so far.
    pub(crate) fn sent(&self, tokens: u64) {
        self.progress.tokens.store(tokens, Relaxed);
        self.log.changed.notify_waiters();
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.progress.tokens.load(Relaxed)
    }

    /// Says how the call ended. Only the first word counts.
    pub(crate) fn end(&self, ended: Ended) {
        if self.progress.ended.set((ended, clock::wall())).is_ok() {
            self.log.changed.notify_waiters();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(Ended::CallerLeft { after_tokens: self.tokens() });
    }
}

fn beginning(name: &str) -> Arc<str> {
    Arc::from(&name[..name.floor_char_boundary(MAX_NAME)])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn log_of(log_capacity: usize) -> Arc<Log> {
        Log::new(&SimConfig { log_capacity, ..SimConfig::default() })
    }

    #[test]
    fn the_log_forgets_the_oldest_and_counts_all() {
        let log = log_of(2);
        for path in ["/a", "/b", "/c"] {
            log.begin(Arrival { path, ..Arrival::default() }).end(Ended::Complete);
        }
        let paths: Vec<_> = log.all().into_iter().map(|received| received.path.to_string()).collect();
        assert_eq!((paths, log.count()), (vec!["/b".to_owned(), "/c".to_owned()], 3));
    }

    #[test]
    fn an_entry_that_is_dropped_says_that_the_caller_left() {
        let log = log_of(2);
        let entry = log.begin(Arrival::default());
        entry.sent(3);
        assert_eq!(log.all()[0].ended, None);
        drop(entry);
        assert_eq!(log.all()[0].ended, Some(Ended::CallerLeft { after_tokens: 3 }));
    }

    #[test]
    fn keys_and_bodies_are_not_shown() {
        let log = log_of(2);
        let mut headers = HeaderMap::new();
        for name in ["authorization", "authorization", "x-api-key", "x-note"] {
            headers.append(name, HeaderValue::from_static("canary"));
        }
        let _entry = log.begin(Arrival { headers, body: Bytes::from("canary"), ..Arrival::default() });
        let received = &log.all()[0];
        let keys: Vec<_> = received.headers.get_all("authorization").iter().collect();
        assert_eq!(keys, ["redacted", "redacted"]);
        assert_eq!(received.headers["x-note"], "canary");
        assert!(!format!("{received:?}").contains("canary"));
    }

    #[test]
    fn long_names_are_cut() {
        let log = log_of(2);
        let name = format!("{}é", "m".repeat(MAX_NAME - 1));
        let _entry = log.begin(Arrival { path: &name, model: Some(&name), ..Arrival::default() });
        let received = &log.all()[0];
        assert_eq!((&*received.path, received.model.as_deref()), (&name[..255], Some(&name[..255])));
    }

    #[test]
    fn a_body_is_dropped_while_its_call_is_under_way() {
        let log = Log::new(&SimConfig { log_bytes: 10, ..SimConfig::default() });
        let begin = |body| log.begin(Arrival { path: "/a", body: Bytes::from_static(body), ..Arrival::default() });
        let first = begin(b"12345678");
        let _second = begin(b"abcdefgh");
        first.sent(3);
        let calls = log.all();
        assert_eq!((&calls[0].body[..], calls[0].body_bytes, &calls[1].body[..]), (&b""[..], 8, &b"abcdefgh"[..]));
        assert_eq!((&*calls[0].path, calls[0].tokens_sent), ("/a", 3));
    }
}
