//! What has come of a call so far.

use std::{collections::VecDeque, sync::Arc};

use llm_core::{Error, Frame, Head, Output, Wire};

use crate::weight;

/// What has come of a call so far, for those who join late and for the store.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) head: Option<Head>,
    /// The answer, where it came as a whole.
    pub(crate) whole: Option<Arc<Whole>>,
    pub(crate) frames: VecDeque<Frame>,
    /// How many frames are not kept any more, because there were too many to keep.
    pub(crate) forgotten: u64,
    pub(crate) end: Option<Result<(), Error>>,
    /// How many readers there have ever been, and how many of them joined.
    pub(crate) readers: u64,
    pub(crate) joined: u64,
    bytes: usize,
}

/// A whole answer, and the bytes that it was decoded from.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) output: Output,
    pub(crate) wire: Option<Wire>,
}

/// What a reader finds at its place.
#[derive(Debug)]
pub(crate) enum Found {
    Frame(Frame),
    End(Result<(), Error>),
    /// What stood there is not kept any more.
    Gone,
}

impl Log {
    /// Adds a frame. The oldest are forgotten while there are more bytes than `limit`; true when that begins.
    pub(super) fn push(&mut self, frame: Frame, limit: usize) -> bool {
        self.bytes += weight::frame(&frame);
        self.frames.push_back(frame);
        let begins = self.forgotten == 0 && self.bytes > limit;
        // The newest one stays, which somebody is about to read.
        while self.bytes > limit && self.frames.len() > 1 {
            if let Some(oldest) = self.frames.pop_front() {
                self.bytes -= weight::frame(&oldest);
                self.forgotten += 1;
            }
        }
        begins
    }

    /// What stands at a place, if anything does yet.
    pub(super) fn at(&self, place: u64) -> Option<Found> {
        let Some(kept) = place.checked_sub(self.forgotten) else { return Some(Found::Gone) };
        match self.frames.get(kept as usize) {
            Some(frame) => Some(Found::Frame(frame.clone())),
            None => self.end.clone().map(Found::End),
        }
    }

    /// The frames from the first, if they are all there.
    pub(crate) fn all_frames(&self) -> Option<&VecDeque<Frame>> {
        (self.forgotten == 0).then_some(&self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_frames_are_forgotten_and_whoever_looks_for_them_is_told() {
        let mut log = Log::default();
        let frame = || Frame::text("0123456789");
        let limit = 3 * weight::frame(&frame());
        let pushed: Vec<_> = (0..5).map(|_| log.push(frame(), limit)).collect();
        assert_eq!(pushed, [false, false, false, true, false]);
        assert_eq!((log.frames.len(), log.forgotten), (3, 2));
        assert!(matches!(log.at(1), Some(Found::Gone)) && matches!(log.at(2), Some(Found::Frame(_))));
        assert!(log.at(5).is_none() && log.all_frames().is_none());
        log.end = Some(Ok(()));
        assert!(matches!(log.at(5), Some(Found::End(Ok(())))));
    }

    #[test]
    fn a_frame_that_is_too_large_by_itself_is_still_read() {
        let mut log = Log::default();
        assert!(log.push(Frame::text("x".repeat(1_000)), 100));
        assert!(matches!(log.at(0), Some(Found::Frame(_))));
    }
}
