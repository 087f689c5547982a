//! A model's prompt cache: the marked beginnings of prompts that it has seen.
//!
//! A mark at the end of a block asks to keep the prompt up to there. A later prompt that begins alike, block by block,
//! reads the longest such beginning; what follows it up to its own last mark is written.

mod blocks;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use llm_core::{CacheTtl, Chat, Usage};
use tokio::time::Instant;

use self::blocks::Blocks;
pub(crate) use self::blocks::marks;

/// The shortest beginning that is kept, in tokens. The providers' models take 512 to 4,096.
const LEAST_TOKENS: u64 = 1_024;

/// How many blocks before a mark a kept beginning may end and still be found, as Anthropic documents it. So a
/// conversation whose mark moves on with every turn finds what the last turn has written.
const LOOK_BACK: usize = 20;

/// The most beginnings that a model keeps; then the one that was not used for longest goes.
const MOST_KEPT: usize = 4_096;

/// The prompt cache of one model.
#[derive(Debug, Default)]
pub(crate) struct PromptCache(Mutex<Kept>);

/// Beginnings by their hash.
#[derive(Debug, Default)]
struct Kept {
    beginnings: HashMap<u64, Beginning>,
    /// Counts uses, to know the latest.
    uses: u64,
}

#[derive(Debug)]
struct Beginning {
    ttl: CacheTtl,
    expires: Instant,
    last_use: u64,
}

/// What one prompt has to do with the cache.
#[derive(Debug, Default)]
pub(crate) struct Caching {
    read: u64,
    write: u64,
    write_1h: u64,
    /// The beginning that is read.
    found: Option<u64>,
    /// The beginnings that are marked.
    marked: Vec<(u64, CacheTtl)>,
}

impl Caching {
    /// Adds what was read and written to a usage.
    pub(crate) fn told_in(&self, usage: Usage) -> Usage {
        // Estimates of a part and of the whole need not agree to the token; a report does.
        let cache_read = self.read.min(usage.input);
        let cache_write = self.write.min(usage.input - cache_read);
        Usage { cache_read, cache_write, cache_write_1h: self.write_1h.min(cache_write), ..usage }
    }
}

impl PromptCache {
    /// What a prompt would read and write. Nothing is kept before it is answered, see [`keep`](Self::keep).
    pub(crate) fn look(&self, model: &str, chat: &Chat, now: Instant) -> Caching {
        let Some(blocks) = Blocks::of(model, chat) else { return Caching::default() };
        let marks: Vec<_> = blocks.marks().filter(|mark| mark.tokens >= LEAST_TOKENS).collect();
        let found = {
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let near = |at: usize| (at.saturating_sub(LOOK_BACK)..=at).rev().find(|at| kept.has(blocks.hash(*at), now));
            marks.iter().filter_map(|mark| near(mark.at)).max()
        };
        let read = found.map_or(0, |at| blocks.tokens(at));
        let mut caching = Caching { read, found: found.map(|at| blocks.hash(at)), ..Caching::default() };
        let mut until = read;
        for mark in marks {
            let written = mark.tokens.saturating_sub(until);
            until = until.max(mark.tokens);
            caching.write += written;
            caching.write_1h += if mark.ttl == CacheTtl::OneHour { written } else { 0 };
            caching.marked.push((blocks.hash(mark.at), mark.ttl));
        }
        caching
    }

    /// Keeps what an answered prompt has written, and what it has read for as long again.
    pub(crate) fn keep(&self, caching: Caching, now: Instant) {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = caching.found {
            kept.use_again(hash, now);
        }
        for (hash, ttl) in caching.marked {
            kept.insert(hash, ttl, now);
        }
    }
}

impl Kept {
    fn has(&self, hash: u64, now: Instant) -> bool {
        self.beginnings.get(&hash).is_some_and(|beginning| now < beginning.expires)
    }

    fn use_again(&mut self, hash: u64, now: Instant) {
        self.uses += 1;
        if let Some(beginning) = self.beginnings.get_mut(&hash) {
            beginning.last_use = self.uses;
            beginning.expires = now + lifetime(beginning.ttl);
        }
    }

    fn insert(&mut self, hash: u64, ttl: CacheTtl, now: Instant) {
        if !self.beginnings.contains_key(&hash)
            && self.beginnings.len() == MOST_KEPT
            && let Some(oldest) = self.beginnings.iter().min_by_key(|(_, beginning)| beginning.last_use)
        {
            let oldest = *oldest.0;
            self.beginnings.remove(&oldest);
        }
        self.uses += 1;
        self.beginnings.insert(hash, Beginning { ttl, expires: now + lifetime(ttl), last_use: self.uses });
    }
}

fn lifetime(ttl: CacheTtl) -> Duration {
    match ttl {
        CacheTtl::FiveMinutes => Duration::from_secs(5 * 60),
        CacheTtl::OneHour => Duration::from_secs(60 * 60),
    }
}

#[cfg(test)]
mod tests;
