//! What is done with a call, as far as that is known before it is made.

use std::{sync::Arc, time::Duration};

use llm_core::{CacheDirective, CacheStatus, Error, ErrorKind, LlmRequest};

use crate::{
    Entry, Key, Refused, admission,
    counts::Happened,
    rule,
    shared::{Known, Shared},
};

/// What is done with a call.
#[derive(Debug)]
pub(crate) enum Plan {
    /// It has nothing to do with the cache.
    PassBy,
    /// It is not made.
    Refuse(Error),
    /// It is answered by what is kept.
    Answer(Arc<Entry>, CacheStatus),
    /// It is answered by what is kept, which has expired and is renewed meanwhile.
    Renew(Arc<Entry>, CacheStatus, Flying),
    /// It is made, or joins the same one. If it fails, an expired answer is better than none.
    Fly(Flying, Option<Expired>),
}

/// An answer that has expired, and how old it is.
pub(crate) type Expired = (Arc<Entry>, Duration);

/// A call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flying {
    pub(crate) key: Key,
    /// Whether it is made whatever others do: its caller wants an answer of its own.
    pub(crate) is_alone: bool,
    /// For how long its answer is kept.
    pub(crate) ttl: Duration,
    /// Whether there is an expired answer for the case that it fails.
    pub(crate) has_last_resort: bool,
}

impl Shared {
    /// Whether a call has to do with the cache, and if so, for how long its answer is kept.
    pub(crate) fn admit(&self, request: &LlmRequest) -> Result<Duration, Refused> {
        let (use_for, ttl) = rule::of(&self.settings.rules, request);
        admission::of_call(request, use_for, self.store.is_local())?;
        let directive = request.context().cache();
        if directive.no_store && directive.no_cache {
            return Err(Refused::NoStore);
        }
        Ok(directive.ttl.or(ttl).unwrap_or(self.settings.ttl))
    }

    /// What is done with a call that is not answered by what is kept.
    pub(crate) fn pass_by(&self, request: &LlmRequest, reason: Refused) -> Plan {
        if request.context().cache().only_if_cached {
            return Plan::Refuse(not_kept());
        }
        self.counts.refuse(reason);
        Plan::PassBy
    }

    /// What is done with a chat.
    pub(crate) fn plan(&self, request: &LlmRequest) -> Plan {
        let ttl = match self.admit(request) {
            Ok(ttl) => ttl,
            Err(reason) => return self.pass_by(request, reason),
        };
        let directive = request.context().cache();
        let key = self.key(request);
        let known = if directive.no_cache { Known::Nothing } else { self.find_for(&key, request) };
        let flying = Flying::new(key, directive, ttl);
        match known {
            Known::Fresh(entry, age) => {
                self.note_unmade(Happened::Hit, &entry);
                Plan::Answer(entry, CacheStatus::Hit { age })
            }
            Known::Stale(entry, age) => {
                self.note_unmade(Happened::Stale, &entry);
                let status = CacheStatus::Stale { age };
                match directive.only_if_cached || directive.no_store {
                    true => Plan::Answer(entry, status),
                    false => Plan::Renew(entry, status, flying),
                }
            }
            Known::LastResort(entry, age) if directive.only_if_cached => {
                self.note_unmade(Happened::Stale, &entry);
                Plan::Answer(entry, CacheStatus::Stale { age })
            }
            Known::LastResort(..) | Known::Nothing if directive.only_if_cached || directive.no_store => {
                self.pass_by(request, Refused::NoStore)
            }
            Known::LastResort(entry, age) => Plan::Fly(Flying { has_last_resort: true, ..flying }, Some((entry, age))),
            Known::Nothing => Plan::Fly(flying, None),
        }
    }
}

impl Flying {
    pub(crate) fn new(key: Key, directive: &CacheDirective, ttl: Duration) -> Self {
        Self { key, is_alone: directive.no_cache, ttl, has_last_resort: false }
    }
}

/// The refusal of a call that is to be answered by what is kept, or not at all.
pub(crate) fn not_kept() -> Error {
    Error::new(ErrorKind::NoRoute, "no answer is kept, and the call is to be answered by a kept one only")
        .with_should_retry(false)
}
