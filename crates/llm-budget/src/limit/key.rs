//! What a caller goes by in a table.

use std::{str, sync::Arc};

use llm_core::{Caller, LlmRequest};
use smallvec::SmallVec;

use super::Per;

/// What a caller goes by in a table: the names that it is told apart by, one after the other.
///
/// No byte of a text in UTF-8 is one of the two marks, so no two callers have the same key.
pub(crate) type Key = SmallVec<[u8; 64]>;

const END: u8 = 0xff;
const ABSENT: u8 = 0xfe;

/// The parts of a key, in their order.
const PARTS: [Per; 5] = [Per::TENANT, Per::USER, Per::WORKFLOW, Per::JOB, Per::MODEL];

/// The key of the caller of a request.
pub(crate) fn key_of(per: Per, request: &LlmRequest) -> Key {
    let names = request.target_or_model();
    let provider = Some(names.provider).filter(|provider| !provider.is_empty());
    key(per, request.context().caller(), provider, names.model)
}

/// The key of a caller, for calls to a model, which may be named as `provider/model`.
pub(crate) fn key(per: Per, caller: &Caller, provider: Option<&str>, model: &str) -> Key {
    let Caller { tenant, user, workflow, job } = caller;
    let names = [tenant, user, workflow, job].map(Option::as_deref);
    let mut key = Key::new();
    for name in PARTS.into_iter().zip(names).filter_map(|(part, name)| per.includes(part).then_some(name)) {
        match name {
            Some(name) => key.extend_from_slice(name.as_bytes()),
            None => key.push(ABSENT),
        }
        key.push(END);
    }
    if per.includes(Per::MODEL) {
        if let Some(provider) = provider {
            key.extend_from_slice(provider.as_bytes());
            key.push(b'/');
        }
        key.extend_from_slice(model.as_bytes());
        key.push(END);
    }
    key
}

/// The names that a key was made of.
pub(crate) fn names(per: Per, key: &[u8]) -> (Caller, Option<Arc<str>>) {
    let mut names = key.split(|byte| *byte == END).map(|name| match name {
        [ABSENT] => None,
        name => Some(Arc::from(str::from_utf8(name).expect("it was put together from texts"))),
    });
    let [tenant, user, workflow, job, model] =
        PARTS.map(|part| if per.includes(part) { names.next().flatten() } else { None });
    (Caller { tenant, user, workflow, job }, model)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_caller() -> impl Strategy<Value = (Caller, String)> {
        let name = || prop::option::of("[a-bé\u{0}]{0,3}".prop_map(Arc::<str>::from));
        (name(), name(), name(), name(), "[a-b]{0,2}")
            .prop_map(|(tenant, user, workflow, job, model)| (Caller { tenant, user, workflow, job }, model))
    }

    fn within(per: Per, caller: &Caller, model: &str) -> (Caller, Option<Arc<str>>) {
        let Caller { tenant, user, workflow, job } = caller.clone();
        let only = |own, name: Option<Arc<str>>| name.filter(|_| per.includes(own));
        let caller = Caller {
            tenant: only(Per::TENANT, tenant),
            user: only(Per::USER, user),
            workflow: only(Per::WORKFLOW, workflow),
            job: only(Per::JOB, job),
        };
        (caller, only(Per::MODEL, Some(model.into())))
    }

    fn any_per() -> impl Strategy<Value = Per> {
        prop::sample::subsequence(PARTS.to_vec(), 0..=5).prop_map(|parts| parts.into_iter().fold(Per::GLOBAL, Per::and))
    }

    proptest! {
        #[test]
        fn callers_have_one_key_exactly_if_they_have_all_names_in_common_that_they_are_told_apart_by(
            (one, one_model) in any_caller(), (other, other_model) in any_caller(), per in any_per(),
        ) {
            let (own, others) = (key(per, &one, None, &one_model), key(per, &other, None, &other_model));
            prop_assert_eq!(names(per, &own), within(per, &one, &one_model));
            let is_same = within(per, &one, &one_model) == within(per, &other, &other_model);
            prop_assert_eq!(own == others, is_same);
        }
    }
}
