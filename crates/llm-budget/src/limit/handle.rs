//! Watching the limits at run time.

use std::{borrow::Cow, fmt, sync::Arc};

use llm_core::{Caller, LlmRequest, Measure, Measures, NoticeListener, Striped, TargetRef};

use super::{
    LimitCounts, LimitStatus,
    entry::{Amount, Used},
    key::{key, names},
    shared::Shared,
    table::Table,
};
use crate::{AccountKey, whose::Whose};

/// Watches the limits of a layer. Cheap to clone.
#[derive(Clone)]
pub struct LimitHandle {
    shared: Striped<Shared>,
}

impl LimitHandle {
    pub(crate) fn new(shared: Striped<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How a caller stands under every limit, be it concerned or not, in their order, for calls to `model`, whose provider
    /// is empty where no target is chosen before. One of whom nothing is remembered has used nothing, or shares the amounts
    /// of those for whom there is no room.
    pub fn status(&self, caller: &Caller, model: TargetRef<'_>) -> Vec<LimitStatus> {
        self.look(&self.shared.whose(caller, model), |_| true)
    }

    /// How whoever sent `request` stands under the limits that it is held to, in their order.
    pub fn of(&self, request: &LlmRequest) -> Vec<LimitStatus> {
        let whose = self.shared.whose(request.context().caller(), request.target_or_model());
        self.look(&whose, |table| table.scope.concerns(&whose))
    }

    fn look(&self, whose: &Whose<'_>, is_wanted: impl Fn(&Table) -> bool) -> Vec<LimitStatus> {
        let now = self.shared.now();
        let status = |table: &Table| {
            let account = table.scope.account(whose);
            let entry = table.look(&key(table.scope.per, &account));
            let used = entry.map_or_else(Used::default, |entry| entry.lock().clone());
            LimitStatus::new(table, account.to_key(), &used, now)
        };
        self.shared.tables.iter().filter(|table| is_wanted(table)).map(status).collect()
    }

    /// All callers that something is remembered of, limit by limit, in no particular order. There may be as many as
    /// [`most_callers`](super::LimitLayer::most_callers) of each limit.
    pub fn list(&self) -> Vec<LimitStatus> {
        let now = self.shared.now();
        let mut list = Vec::new();
        for table in &self.shared.tables {
            table.for_each(|key, entry| {
                let used = entry.lock().clone();
                list.push(LimitStatus::new(table, names(&table.scope, key), &used, now));
            });
        }
        list
    }

    /// How those stand together, limit by limit, for whom there was no room. They have no names.
    pub fn overflow_status(&self) -> Vec<LimitStatus> {
        let now = self.shared.now();
        let status = |table: &Table| {
            let used = table.overflow().lock().clone();
            LimitStatus::new(table, AccountKey::new(Arc::clone(&table.scope.name)), &used, now)
        };
        self.shared.tables.iter().map(status).collect()
    }

    /// What has happened so far, limit by limit, in their order.
    pub fn counts(&self) -> Vec<LimitCounts> {
        let counts = |table: &Table| LimitCounts {
            limit: table.scope.name.to_string(),
            callers: table.len(),
            in_flight: table.in_flight(),
            admitted: table.sum(|counts| &counts.begun),
            refused_by_requests: table.refused(Amount::Requests),
            refused_by_tokens: table.refused(Amount::Tokens),
            refused_by_at_once: table.refused(Amount::AtOnce),
            crowded: table.sum(|counts| &counts.crowded),
        };
        self.shared.tables.iter().map(counts).collect()
    }

    /// Listens to what happens from now on. The notices come from `limit`. `limited`, named by limit and caller, says
    /// that a call was refused, once a minute at most for each caller. `crowded`, named by limit, says that there is no
    /// room for another caller, once a minute at most.
    pub fn notices(&self) -> NoticeListener {
        self.shared.notices.listen()
    }
}

/// The [counts](LimitCounts) of each limit, labelled with its name: `llm.limit.callers`, `llm.limit.in_flight`,
/// `llm.limit.admitted`, `llm.limit.crowded`, and `llm.limit.refused` with a label `by` (`requests`, `tokens`,
/// `at_once`). No label has the name of a caller.
impl Measures for LimitHandle {
    fn measure(&self, visit: &mut dyn FnMut(&Measure<'_>)) {
        for counts in self.counts() {
            let figures = [
                ("llm.limit.callers", None, counts.callers as u64),
                ("llm.limit.in_flight", None, counts.in_flight),
                ("llm.limit.admitted", None, counts.admitted),
                ("llm.limit.crowded", None, counts.crowded),
                ("llm.limit.refused", Some("requests"), counts.refused_by_requests),
                ("llm.limit.refused", Some("tokens"), counts.refused_by_tokens),
                ("llm.limit.refused", Some("at_once"), counts.refused_by_at_once),
            ];
            for (name, by, value) in figures {
                let limit = ("limit", Cow::Borrowed(&*counts.limit));
                let with_by = [limit, ("by", Cow::Borrowed(by.unwrap_or_default()))];
                let labels = if by.is_some() { &with_by[..] } else { &with_by[..1] };
                visit(&Measure { name, labels, value: value as f64 });
            }
        }
    }
}

impl fmt::Debug for LimitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitHandle").field("counts", &self.counts()).finish()
    }
}
