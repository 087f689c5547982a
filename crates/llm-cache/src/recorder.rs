//! What is done with an answer once it is complete.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering::SeqCst},
    time::Duration,
};

use llm_core::{Error, Head, LlmRequest, Output, Stage, Striped, Usage};

use crate::{
    Entry, Key, Refused, Selection, admission,
    counts::Happened,
    entry::{About, Kept},
    failures,
    flight::{Ending, Log},
    recording::Recording,
    shared::{Known, Shared},
};

/// Stores what came of one call.
#[derive(Debug)]
pub(crate) struct Recorder {
    shared: Striped<Shared>,
    request: LlmRequest,
    asked: Asked,
    ttl: Duration,
    invalidations: u64,
    /// What the call used, once that is known.
    pub(crate) used: Used,
}

/// What a call used.
#[derive(Debug)]
pub(crate) enum Used {
    Nothing,
    Known(Usage),
    AtEnd(Arc<OnceLock<Usage>>),
}

impl Used {
    fn get(&self) -> Option<&Usage> {
        match self {
            Self::Nothing => None,
            Self::Known(usage) => Some(usage),
            Self::AtEnd(usage) => usage.get(),
        }
    }
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// One question.
    Chat(Key),
    /// A vector for each of these, which are so long.
    Vectors(Vec<(Key, usize)>),
}

impl Recorder {
    /// Keeps the answer to `request` for `ttl`.
    pub(crate) fn new(shared: Striped<Shared>, request: LlmRequest, asked: Asked, ttl: Duration) -> Self {
        let invalidations = shared.invalidations.load(SeqCst);
        Self { shared, request, asked, ttl, invalidations, used: Used::Nothing }
    }

    fn store(&self, head: Head, kept: Kept) {
        let usage = self.used.get().copied().unwrap_or_default();
        match (&self.asked, kept) {
            (Asked::Chat(key), kept) => self.put(*key, head, kept, &usage, self.ttl),
            (Asked::Vectors(inputs), Kept::Whole(whole)) => {
                let Output::Embed(embed) = &whole.output else { return };
                for (((key, _), tokens), vector) in inputs.iter().zip(shares(inputs, usage.input)).zip(&embed.vectors) {
                    let kept = Kept::Vector(vector.clone(), tokens);
                    let usage = Usage { input: tokens, ..Usage::default() };
                    self.put(*key, head.clone(), kept, &usage, self.ttl);
                }
            }
            (Asked::Vectors(_), _) => {}
        }
    }

    fn put(&self, key: Key, head: Head, kept: Kept, usage: &Usage, ttl: Duration) {
        let shared = &self.shared;
        let cost = if usage.is_zero() { None } else { shared.cost(&head, self.request.model(), usage) };
        let entry = Entry::new(head, kept, About::new(&self.request), cost, ttl);
        if entry.bytes() > shared.settings.entry_limit.get() {
            return shared.counts.refuse(Refused::TooLarge);
        }
        if shared.invalidations.load(SeqCst) != self.invalidations {
            return shared.counts.refuse(Refused::Invalidated);
        }
        shared.store.put(key, Arc::new(entry));
        // Once more: it may have come in behind whoever looked for what is to be forgotten.
        if shared.invalidations.load(SeqCst) != self.invalidations {
            shared.store.invalidate(&Selection::Key(key));
            return shared.counts.refuse(Refused::Invalidated);
        }
        shared.counts.note(Happened::Stored);
    }

    fn keep_failure(&self, error: &Error) {
        let kept = self.shared.settings.failures_for.zip(failures::to_keep(error));
        match (kept, &self.asked) {
            (Some((ttl, failure)), Asked::Chat(key)) if error.stage() == Stage::BeforeContent => {
                // An answer, also one that has expired, is worth more than why there is no newer one.
                if !matches!(self.shared.find(key), Known::Nothing) {
                    return self.shared.counts.refuse(Refused::Failed);
                }
                self.put(*key, Head::default(), Kept::Failure(failure), &Usage::default(), ttl);
            }
            _ => self.shared.counts.refuse(Refused::Failed),
        }
    }

    /// What is to be kept of a complete answer.
    pub(crate) fn keep(&self, log: &Log) -> Result<Kept, Refused> {
        admission::of_head(log.head.as_ref().ok_or(Refused::Unfinished)?)?;
        if let Some(whole) = &log.whole {
            admission::of_output(&whole.output)?;
            if let (Asked::Vectors(inputs), Output::Embed(embed)) = (&self.asked, &whole.output)
                && embed.vectors.len() != inputs.len()
            {
                return Err(Refused::Unfinished);
            }
            return Ok(Kept::Whole(Arc::clone(whole)));
        }
        let frames = log.all_frames().ok_or(Refused::TooLarge)?;
        admission::of_frames(frames)?;
        Recording::new(frames).map(|recording| Kept::Stream(Arc::new(recording))).ok_or(Refused::TooLarge)
    }

    /// Keeps what is to be kept, and counts what is not.
    pub(crate) fn settle(&self, head: Option<Head>, ending: Ending, joined: u64) {
        if let (Some(head), Some(usage)) = (&head, self.used.get())
            && joined > 0
            && let Some(cost) = self.shared.cost(head, self.request.model(), usage)
        {
            (0..joined).for_each(|_| self.shared.counts.save(cost));
        }
        match (ending, head) {
            (Ending::Kept(kept), Some(head)) => self.store(head, kept),
            (Ending::Kept(_), None) => self.shared.counts.refuse(Refused::Unfinished),
            (Ending::Refused(reason), _) => self.shared.counts.refuse(reason),
            (Ending::Failed(error), _) => self.keep_failure(&error),
        }
    }
}

/// The tokens of a batch, by the lengths of its inputs. Together they are all of them.
fn shares(inputs: &[(Key, usize)], tokens: u64) -> Vec<u64> {
    let total: u128 = inputs.iter().map(|(_, length)| *length as u128).sum();
    let (mut length, mut given) = (0_u128, 0);
    let share = |own: &(Key, usize)| {
        length += own.1 as u128;
        let until = u64::try_from(u128::from(tokens) * length / total.max(1)).unwrap_or(tokens);
        let share = until - given;
        given = until;
        share
    };
    inputs.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_batch_are_all_of_its_tokens() {
        let inputs =
            |lengths: &[usize]| lengths.iter().map(|length| (Key::from_bytes([0; 32]), *length)).collect::<Vec<_>>();
        assert_eq!(shares(&inputs(&[10, 10, 20]), 100), [25, 25, 50]);
        assert_eq!(shares(&inputs(&[1, 1, 1]), 10).iter().sum::<u64>(), 10);
        assert_eq!(shares(&inputs(&[0, 0]), 10), [0, 0]);
    }
}
