//! What is known of a stream under way, who watches it, and how it ended.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{Error, Frame, Observer, Outcome, Progress, Stage, outcome::Billed};

#[derive(Default)]
pub(super) struct State {
    pub(super) observers: SmallVec<[Box<dyn Observer>; 2]>,
    pub(super) progress: Progress,
    pub(super) end: Option<End>,
    // Held back by `until_content`. The first `early` observers have seen these frames, the others have not.
    pub(super) held: VecDeque<Frame>,
    pub(super) early: usize,
    pub(super) committed: bool,
    // Still set while dropping: the stream or an observer panicked.
    pub(super) polling: bool,
}

/// How the stream ended.
#[derive(Clone)]
pub(super) enum End {
    Complete,
    Failed(Error),
    Abandoned,
}

impl End {
    pub(super) fn outcome<'a>(&'a self, progress: &'a Progress) -> Outcome<'a> {
        match self {
            Self::Complete => Outcome::Complete(progress),
            Self::Failed(error) => Outcome::Failed(progress, error),
            Self::Abandoned => Outcome::Abandoned(progress),
        }
    }
}

impl State {
    pub(super) fn see(&mut self, frame: &Frame) {
        let is_first_content = self.progress.see_frame(frame);
        for observer in &mut self.observers {
            observer.on_frame(frame, &self.progress);
            if is_first_content {
                observer.on_content(&self.progress);
            }
        }
        if frame.is_last() {
            self.complete();
        }
    }

    pub(super) fn hold(&mut self, frame: Frame) {
        self.held.push_back(frame);
        self.early = self.observers.len();
    }

    /// Hands on a held frame: those who came since it was held see it now.
    pub(super) fn release(&mut self, frame: &Frame) {
        let brings_content = frame.is_content() && !self.held.iter().any(Frame::is_content);
        let late = self.early.min(self.observers.len());
        for observer in &mut self.observers[late..] {
            observer.on_frame(frame, &self.progress);
            if brings_content {
                observer.on_content(&self.progress);
            }
        }
        if self.held.is_empty()
            && let Some(end) = self.end.clone()
        {
            self.tell(&end);
        }
    }

    pub(super) fn fail(&mut self, mut error: Error) -> Error {
        if self.progress.first_content().is_some() && error.stage() == Stage::BeforeContent {
            error = error.with_stage(Stage::AfterContent);
        }
        self.progress.fail_at(Instant::now(), &error);
        if error.usage().is_none() {
            error = error.with_usage(self.progress.usage());
        }
        self.finish(End::Failed(error.clone()));
        error
    }

    pub(super) fn complete(&mut self) {
        self.progress.end_at(Instant::now(), Billed::Whole);
        self.finish(End::Complete);
    }

    /// Ends what is not over when that is dropped, also by a panic of whatever is done until then.
    pub(super) fn tell_when_dropped(&mut self) -> impl Drop {
        struct Unfinished<'a>(&'a mut State);
        impl Drop for Unfinished<'_> {
            fn drop(&mut self) {
                self.0.drop_unfinished();
            }
        }
        Unfinished(self)
    }

    fn drop_unfinished(&mut self) {
        let end = if self.polling {
            End::Failed(Error::internal("the stream or an observer of it panicked"))
        } else {
            End::Abandoned
        };
        match self.end {
            // Those who came after the end was held back have not been told.
            Some(_) => self.tell(&end),
            None => {
                self.progress.end_at(Instant::now(), Billed::SoFar);
                self.finish(end);
            }
        }
    }

    fn finish(&mut self, end: End) {
        self.end = Some(end.clone());
        self.tell(&end);
    }

    /// Tells the observers who have not been told yet. Each is told, also if one before it panics.
    fn tell(&mut self, end: &End) {
        let outcome = end.outcome(&self.progress);
        let mut panic = None;
        for mut observer in self.observers.drain(..) {
            let told = catch_unwind(AssertUnwindSafe(move || observer.on_end(&outcome)));
            panic = panic.or(told.err());
        }
        self.early = 0;
        if let Some(panic) = panic.filter(|_| !std::thread::panicking()) {
            resume_unwind(panic);
        }
    }
}
