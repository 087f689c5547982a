//! What the accounts of a ledger in memory have in common.

use llm_core::{NoticeListener, Notices};

use crate::{AccountKey, Change, cell::Told, clock::Clock, notice, window::Now};

/// The time and who hears of what. Each account has it at hand, so that a call need not hold on to the ledger: that would
/// count its calls on one cache line of all threads.
#[derive(Debug, Default)]
pub(crate) struct Books {
    clock: Clock,
    notices: Notices,
}

impl Books {
    pub(crate) fn now(&self) -> Now {
        self.clock.now()
    }

    pub(crate) fn listen(&self) -> NoticeListener {
        self.notices.listen()
    }

    pub(crate) fn tell(&self, told: impl IntoIterator<Item = Told>) {
        told.into_iter().for_each(|Told { key, news }| self.notices.send(notice::of(&key, news)));
    }

    pub(crate) fn tell_crowd(&self, rule: &str, accounts: usize) {
        self.notices.send(notice::of_crowd(rule, accounts));
    }

    pub(crate) fn tell_change(&self, key: &AccountKey, change: Change) {
        self.notices.send(notice::of_change(key, change));
    }
}
