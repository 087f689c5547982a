//! For which failures of which calls a case is there.

use llm_core::{ErrorKind, LlmRequest};

/// When a case answers: the call failed with one of these kinds, and is part of one of these workflows and about one of
/// these intents where they are stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    kinds: Kinds,
    workflow: Option<Box<[Box<str>]>>,
    intent: Option<Box<[Box<str>]>>,
}

impl Default for When {
    fn default() -> Self {
        Self::new()
    }
}

impl When {
    /// Any call that failed through no fault of its caller's: see [`kinds`](Self::kinds).
    pub fn new() -> Self {
        Self {
            kinds: Kinds::of(ErrorKind::ALL.into_iter().filter(|kind| is_nobodys_fault(*kind))),
            workflow: None,
            intent: None,
        }
    }

    /// The call failed with one of these kinds. Defaults to those that tell of our providers and of ourselves, and not
    /// of the caller: `overloaded`, `server`, `connect`, `interrupted`, all timeouts, `undecodable`, `circuit_open`,
    /// `no_route`, `quota_exhausted`, `provider_credentials`, `rate_limited` and `budget_exceeded`.
    ///
    /// Not among them are what the caller can mend (a request that is wrong, too large or too long, a model that does
    /// not exist, a key that does not permit it, a limit of the caller's own), what a content policy says, the caller's
    /// own deadline, and faults of ours that should be seen (`internal`).
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        self.kinds = Kinds::of(kinds);
        self
    }

    /// The call is part of one of these workflows. Any call will do by default.
    pub fn workflow(mut self, workflows: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.workflow = Some(workflows.into_iter().map(Into::into).collect());
        self
    }

    /// The call is about one of these, as a classifier outside of this layer or the caller says. Any call will do by
    /// default.
    pub fn intent(mut self, intents: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.intent = Some(intents.into_iter().map(Into::into).collect());
        self
    }

    /// Whether it holds for a call that failed so.
    pub fn holds(&self, request: &LlmRequest, kind: ErrorKind) -> bool {
        let context = request.context();
        self.kinds.has(kind)
            && has(&self.workflow, context.caller().workflow.as_deref())
            && has(&self.intent, context.intent())
    }

    /// Whether for each failed call for which this holds one of the others does. Exact: a workflow or intent that no
    /// condition names stands for all of those, and with both fixed it is a matter of kinds.
    pub(crate) fn is_covered_by(&self, others: &[&Self]) -> bool {
        let of = |list: &'_ Option<Box<[Box<str>]>>| -> Vec<Option<Box<str>>> {
            list.as_ref().map_or_else(|| vec![None], |names| names.iter().cloned().map(Some).collect())
        };
        let intents = of(&self.intent);
        of(&self.workflow).iter().all(|workflow| {
            intents.iter().all(|intent| {
                let hold = others
                    .iter()
                    .filter(|other| has(&other.workflow, workflow.as_deref()) && has(&other.intent, intent.as_deref()));
                hold.fold(Kinds::default(), |kinds, other| kinds.or(other.kinds)).has_all_of(self.kinds)
            })
        })
    }
}

/// Whether a list has the name, or is not stated.
fn has(stated: &Option<Box<[Box<str>]>>, name: Option<&str>) -> bool {
    stated.as_ref().is_none_or(|names| name.is_some_and(|name| names.iter().any(|own| **own == *name)))
}

/// Whether a failure of this kind tells of providers or of ourselves, and not of the request or who made it.
fn is_nobodys_fault(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::ProviderCredentials
        | ErrorKind::QuotaExhausted
        | ErrorKind::RateLimited
        | ErrorKind::Overloaded
        | ErrorKind::Server
        | ErrorKind::Connect
        | ErrorKind::Interrupted
        | ErrorKind::Timeout(_)
        | ErrorKind::Undecodable
        | ErrorKind::CircuitOpen
        | ErrorKind::BudgetExceeded
        | ErrorKind::NoRoute => true,
        // Of a model that a provider serves by a pattern the name is the caller's making.
        ErrorKind::ModelNotFound
        | ErrorKind::InvalidRequest
        | ErrorKind::Untranslatable
        | ErrorKind::TooLarge
        | ErrorKind::UnknownModel
        | ErrorKind::ContextLength
        | ErrorKind::ContentPolicy
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::DeadlineExceeded
        | ErrorKind::Cancelled => false,
        // A canned answer would tell a caller who is over the limit to go on.
        ErrorKind::LimitExceeded => false,
        // Somebody has to mend it.
        ErrorKind::Internal => false,
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds(u32);

impl Kinds {
    fn of(kinds: impl IntoIterator<Item = ErrorKind>) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << place(kind)))
    }

    fn has(self, kind: ErrorKind) -> bool {
        self.0 & 1 << place(kind) != 0
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has_all_of(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The place of a kind in the list of all.
pub(crate) fn place(kind: ErrorKind) -> usize {
    ErrorKind::ALL.into_iter().position(|known| known == kind).expect("the list has every kind")
}

#[cfg(test)]
mod tests {
    use llm_core::Phase;
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    #[test]
    fn what_is_not_said_is_all_that_is_nobodys_fault() {
        let request = LlmRequest::chat("m").build();
        let held: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| When::new().holds(&request, *kind)).collect();
        assert_eq!(
            held,
            [
                ErrorKind::ProviderCredentials,
                ErrorKind::QuotaExhausted,
                ErrorKind::RateLimited,
                ErrorKind::Overloaded,
                ErrorKind::Server,
                ErrorKind::Connect,
                ErrorKind::Interrupted,
                ErrorKind::Timeout(Phase::Connect),
                ErrorKind::Timeout(Phase::Head),
                ErrorKind::Timeout(Phase::FirstContent),
                ErrorKind::Timeout(Phase::Idle),
                ErrorKind::Timeout(Phase::Total),
                ErrorKind::Undecodable,
                ErrorKind::CircuitOpen,
                ErrorKind::BudgetExceeded,
                ErrorKind::NoRoute,
            ]
        );
    }

    const WORDS: [&str; 3] = ["one", "two", "other"];
    const KINDS: [ErrorKind; 3] = [ErrorKind::Server, ErrorKind::Connect, ErrorKind::Timeout(Phase::Total)];

    fn conditions() -> impl Strategy<Value = When> {
        let words = || prop::option::of(subsequence(&WORDS[..2], 1..=2));
        (subsequence(KINDS.to_vec(), 1..=3), words(), words()).prop_map(|(kinds, workflow, intent)| {
            let when = When::new().kinds(kinds);
            let when = workflow.into_iter().fold(when, When::workflow);
            intent.into_iter().fold(when, When::intent)
        })
    }

    proptest! {
        #[test]
        fn what_is_covered_is_covered_for_every_call(
            when in conditions(),
            others in prop::collection::vec(conditions(), 0..5),
        ) {
            let mut is_covered = true;
            for kind in KINDS {
                for workflow in [Some("one"), Some("two"), Some("other"), None] {
                    for intent in [Some("one"), Some("two"), Some("other"), None] {
                        let mut request = LlmRequest::chat("m").build();
                        let workflow = workflow.map(Into::into);
                        request.context_mut().set_caller(llm_core::Caller { workflow, ..Default::default() });
                        intent.into_iter().for_each(|intent| request.context_mut().set_intent(intent));
                        let holds = |when: &When| when.holds(&request, kind);
                        is_covered &= !holds(&when) || others.iter().any(holds);
                    }
                }
            }
            prop_assert_eq!(when.is_covered_by(&others.iter().collect::<Vec<_>>()), is_covered);
        }
    }
}
