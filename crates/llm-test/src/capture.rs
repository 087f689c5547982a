//! Everything that is logged on a thread, as text.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

/// Captures all spans and events of this thread, at every level, until it is dropped.
///
/// ```
/// let captured = llm_test::CapturedLogs::start();
/// tracing::debug!(attempt = 2, "retrying");
/// assert!(captured.text().contains("attempt=2"));
/// ```
#[derive(Debug)]
#[must_use = "logs are captured until it is dropped"]
pub struct CapturedLogs {
    lines: Lines,
    _guard: DefaultGuard,
}

impl CapturedLogs {
    /// Begins to capture.
    pub fn start() -> Self {
        let lines = Lines::default();
        let _guard = tracing::subscriber::set_default(Collector { lines: lines.clone(), spans: AtomicU64::new(1) });
        Self { lines, _guard }
    }

    /// One line for each event, span and late field of a span, in the form `LEVEL target name field=value`.
    pub fn text(&self) -> String {
        self.lines.text().clone()
    }
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<String>>);

impl Lines {
    fn text(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, heading: fmt::Arguments<'_>, record: impl FnOnce(&mut Line)) {
        // The values are shown before the text is locked: showing one may log as well.
        let mut line = Line(heading.to_string());
        record(&mut line);
        let mut text = self.text();
        text.push_str(&line.0);
        text.push('\n');
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, " {field}={value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {field}={value}");
    }
}

struct Collector {
    lines: Lines,
    spans: AtomicU64,
}

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let metadata = span.metadata();
        self.lines.add(format_args!("{} {} {}", metadata.level(), metadata.target(), metadata.name()), |line| {
            span.record(line);
        });
        span::Id::from_u64(self.spans.fetch_add(1, Relaxed))
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        self.lines.add(format_args!("recorded"), |line| values.record(line));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        self.lines.add(format_args!("{} {} {}", metadata.level(), metadata.target(), metadata.name()), |line| {
            event.record(line);
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
