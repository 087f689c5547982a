//! What a caller goes by in a table.

use std::sync::Arc;

use llm_core::Target;
use smallvec::SmallVec;

use crate::{AccountKey, AccountRef, Per, scope::Scope};

/// What a caller goes by in a table: the names that it is told apart by, one after the other.
///
/// No byte of a text in UTF-8 is one of the two marks, so no two callers have the same key.
pub(crate) type Key = SmallVec<[u8; 64]>;

const END: u8 = 0xff;
const ABSENT: u8 = 0xfe;

/// The names in a key but those of the model, in their order.
const PARTS: [Per; 5] = [Per::TENANT, Per::USER, Per::KEY, Per::WORKFLOW, Per::JOB];

/// The key of a caller under a limit that tells callers apart by this.
pub(crate) fn key(per: Per, caller: &AccountRef<'_>) -> Key {
    let AccountRef { rule: _, tenant, user, key: own, workflow, job, model } = *caller;
    let mut key = Key::new();
    for (_, name) in PARTS.into_iter().zip([tenant, user, own, workflow, job]).filter(|(part, _)| per.includes(*part)) {
        match name {
            Some(name) => key.extend_from_slice(name.as_bytes()),
            None => key.push(ABSENT),
        }
        key.push(END);
    }
    for name in model.iter().flat_map(|model| [model.provider, model.model]) {
        key.extend_from_slice(name.as_bytes());
        key.push(END);
    }
    key
}

/// The names that a key was made of.
pub(crate) fn names(scope: &Scope, key: &[u8]) -> AccountKey {
    let text = |name| str::from_utf8(name).expect("it was put together from texts");
    let mut names = key.split(|byte| *byte == END);
    let mut next = || names.next().filter(|name| **name != [ABSENT]).map(text);
    let [tenant, user, own, workflow, job] =
        PARTS.map(|part| if scope.per.includes(part) { next().map(Arc::from) } else { None });
    let model = scope.per.includes(Per::MODEL).then(|| Target::new(next().unwrap_or(""), next().unwrap_or("")));
    AccountKey { rule: Arc::clone(&scope.name), tenant, user, key: own, workflow, job, model }
}

#[cfg(test)]
mod tests {
    use llm_core::{Caller, TargetRef};
    use proptest::prelude::*;

    use super::*;
    use crate::whose::Whose;

    fn any_caller() -> impl Strategy<Value = (Caller, [String; 2])> {
        let name = || prop::option::of("[a-bé\u{0}]{0,3}".prop_map(Arc::<str>::from));
        let model = ["[a-b/]{0,2}", "[a-b/]{0,2}"];
        (name(), name(), name(), name(), name(), model)
            .prop_map(|(tenant, user, key, workflow, job, model)| (Caller { tenant, user, key, workflow, job }, model))
    }

    fn any_per() -> impl Strategy<Value = Per> {
        let parts = PARTS.into_iter().chain([Per::MODEL]).collect::<Vec<_>>();
        prop::sample::subsequence(parts, 0..=6).prop_map(|parts| parts.into_iter().fold(Per::GLOBAL, Per::and))
    }

    proptest! {
        #[test]
        fn callers_have_one_key_exactly_if_they_have_all_names_in_common_that_they_are_told_apart_by(
            one in any_caller(), other in any_caller(), per in any_per(),
        ) {
            let scope = Scope::new("limit", per);
            let account = |(caller, [provider, model]): &(Caller, [String; 2])| {
                let account = scope.account(&Whose::new(caller, TargetRef { provider, model, key: None }, None)).to_key();
                let own = key(per, &account.names());
                (account, own)
            };
            let ((one, own), (other, others)) = (account(&one), account(&other));
            prop_assert_eq!(&names(&scope, &own), &one);
            prop_assert_eq!(own == others, one == other);
        }
    }
}
