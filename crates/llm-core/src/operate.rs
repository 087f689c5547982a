//! What layers offer those who operate them: notices, measures and the health of targets.

use std::{borrow::Cow, fmt, time::Duration};

use tokio::sync::broadcast;

use crate::Target;

/// Something an operator wants to hear: a circuit opened, a budget ran low.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The layer it comes from, such as `breaker`.
    pub source: &'static str,
    /// What it concerns: a target, an account.
    pub key: String,
    /// What happened, such as `opened`. The names are the source's and stable.
    pub kind: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Figures that go with it, by name.
    pub numbers: Vec<(&'static str, f64)>,
}

/// How bad a [`Notice`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look soon.
    Warning,
    /// Somebody should look now.
    Critical,
}

/// Sends notices to whoever listens. Clones send to the same listeners.
///
/// Sending never blocks and never fails: a listener that falls too far behind misses the oldest notices, and nobody
/// else is slowed by it.
#[derive(Clone)]
pub struct Notices(broadcast::Sender<Notice>);

impl Notices {
    /// Keeps up to 256 notices for a slow listener: a burst of every circuit of a large gateway.
    pub fn new() -> Self {
        Self(broadcast::Sender::new(256))
    }

    /// Sends a notice.
    pub fn send(&self, notice: Notice) {
        // An error means that nobody listens, which is fine.
        let _ = self.0.send(notice);
    }

    /// Listens from now on.
    pub fn listen(&self) -> NoticeListener {
        NoticeListener(self.0.subscribe())
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notices({} listeners)", self.0.receiver_count())
    }
}

/// Hears notices, see [`Notices::listen`].
pub struct NoticeListener(broadcast::Receiver<Notice>);

impl NoticeListener {
    /// The next notice, or `None` when no sender is left. Notices that came too fast are skipped.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            match self.0.recv().await {
                Ok(notice) => return Some(notice),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl fmt::Debug for NoticeListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoticeListener")
    }
}

/// A figure as it stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure<'a> {
    /// Its name, such as `llm.breaker.state`.
    pub name: &'static str,
    /// What it is of: pairs of label and value.
    pub labels: &'a [(&'static str, Cow<'a, str>)],
    /// The figure.
    pub value: f64,
}

/// Something whose figures can be read at any time.
pub trait Measures: Send + Sync {
    /// Shows each figure to `visit`. Must not block for long: it may be called from an exporter's thread.
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>));
}

/// Whether a target is fit to be called. Breakers know; routers and hedges ask.
pub trait Health: Send + Sync {
    /// How the target is.
    fn of(&self, target: &Target) -> HealthState;
}

/// How a target is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HealthState {
    /// Fit to be called.
    #[default]
    Healthy,
    /// It asked for a pause.
    Cooling {
        /// How long the pause still is.
        remaining: Duration,
    },
    /// It failed too often, and calls are rejected.
    Open {
        /// How long until it is tried again. [`Duration::MAX`] until somebody closes it, which nobody knows when.
        remaining: Duration,
    },
    /// It failed too often, and is being tried again.
    Probing,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(key: usize) -> Notice {
        Notice { source: "test", key: key.to_string(), kind: "said", severity: Severity::Info, numbers: Vec::new() }
    }

    #[tokio::test]
    async fn a_listener_that_falls_behind_misses_the_oldest_and_slows_nobody() {
        let notices = Notices::new();
        let mut slow = notices.listen();
        for key in 0..1_000 {
            notices.send(notice(key));
        }
        let first = slow.next().await.unwrap();
        assert_eq!(first.key, "744");
        drop(notices);
        let mut heard = 1;
        while slow.next().await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, 256);
    }
}
