//! Which account is meant, or which caller under a limit.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use llm_core::{Equivalent, Target, TargetRef};

/// An account of a rule, or a caller under a limit. Fields that the rule does not tell callers apart by are absent, and so are
/// those that the caller lacks.
///
/// Displays as `per-tenant (tenant acme, model openai/gpt-4o)`: for operators, since callers must not read of others.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountKey {
    /// The name of the rule.
    pub rule: Arc<str>,
    /// The customer.
    pub tenant: Option<Arc<str>>,
    /// The person or machine.
    pub user: Option<Arc<str>>,
    /// The name of the API key.
    pub key: Option<Arc<str>>,
    /// What the calls are for.
    pub workflow: Option<Arc<str>>,
    /// One run of it.
    pub job: Option<Arc<str>>,
    /// Provider and model, without a key.
    pub model: Option<Target>,
}

impl AccountKey {
    /// The only account of a rule for all, and the account of nobody of any other.
    pub fn new(rule: impl Into<Arc<str>>) -> Self {
        Self { rule: rule.into(), tenant: None, user: None, key: None, workflow: None, job: None, model: None }
    }

    /// The same, borrowed.
    pub fn names(&self) -> AccountRef<'_> {
        AccountRef {
            rule: &self.rule,
            tenant: self.tenant.as_deref(),
            user: self.user.as_deref(),
            key: self.key.as_deref(),
            workflow: self.workflow.as_deref(),
            job: self.job.as_deref(),
            model: self.model.as_ref().map(Target::names),
        }
    }
}

impl Hash for AccountKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.names().hash(state);
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names().fmt(f)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({self})")
    }
}

/// An [`AccountKey`], borrowed: what an account is looked up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRef<'a> {
    /// The name of the rule.
    pub rule: &'a str,
    /// The customer.
    pub tenant: Option<&'a str>,
    /// The person or machine.
    pub user: Option<&'a str>,
    /// The name of the API key.
    pub key: Option<&'a str>,
    /// What the calls are for.
    pub workflow: Option<&'a str>,
    /// One run of it.
    pub job: Option<&'a str>,
    /// Provider and model.
    pub model: Option<TargetRef<'a>>,
}

impl AccountRef<'_> {
    /// The key of these names.
    pub fn to_key(self) -> AccountKey {
        AccountKey {
            rule: self.rule.into(),
            tenant: self.tenant.map(Arc::from),
            user: self.user.map(Arc::from),
            key: self.key.map(Arc::from),
            workflow: self.workflow.map(Arc::from),
            job: self.job.map(Arc::from),
            model: self.model.map(TargetRef::to_target),
        }
    }
}

impl Hash for AccountRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { rule, tenant, user, key, workflow, job, model } = self;
        // It is done for every account of every call, so which names there are goes in as one number, and they go in
        // without marks at their ends: keys that are told apart by nothing else are rare, and the comparison does.
        state.write(rule.as_bytes());
        let mut present = 0;
        for (at, name) in [tenant, user, key, workflow, job].into_iter().enumerate() {
            if let Some(name) = name {
                state.write(name.as_bytes());
                present |= 1 << at;
            }
        }
        if let Some(model) = model {
            model.hash(state);
        }
        state.write_u8(present);
    }
}

impl Equivalent<Arc<AccountKey>> for AccountRef<'_> {
    fn equivalent(&self, known: &Arc<AccountKey>) -> bool {
        let AccountKey { rule, tenant, user, key, workflow, job, model } = &**known;
        let is = |name: Option<&str>, known: &Option<Arc<str>>| match (name, known) {
            (Some(name), Some(known)) => *name == **known,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        is(self.user, user)
            && is(self.tenant, tenant)
            && is(self.key, key)
            && is(self.workflow, workflow)
            && is(self.job, job)
            && *self.rule == **rule
            && self.model == model.as_ref().map(Target::names)
    }
}

/// On one line: names may be the callers' making.
impl fmt::Display for AccountRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)?;
        let mut opening = " (";
        let Self { rule: _, tenant, user, key, workflow, job, model: _ } = *self;
        let names = [("tenant", tenant), ("user", user), ("key", key), ("workflow", workflow), ("job", job)];
        for (field, name) in names {
            if let Some(name) = name {
                write!(f, "{opening}{field} {}", name.escape_debug())?;
                opening = ", ";
            }
        }
        if let Some(model) = &self.model {
            write!(f, "{opening}model {model}")?;
            opening = ", ";
        }
        if opening == ", " { f.write_str(")") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn a_key_and_its_names_are_the_same_key() {
        let key = AccountKey {
            tenant: Some("acme\n".into()),
            model: Some(Target::new("openai", "gpt-4o")),
            ..AccountKey::new("cap")
        };
        let hash = std::hash::RandomState::new();
        assert_eq!(key.names().to_key(), key);
        assert_eq!(hash.hash_one(&key), hash.hash_one(key.names()));
        assert_eq!(hash.hash_one(Arc::new(key.clone())), hash.hash_one(key.names()), "in an `Arc` as well");
        assert_eq!(key.to_string(), "cap (tenant acme\\n, model openai/gpt-4o)");
    }
}
