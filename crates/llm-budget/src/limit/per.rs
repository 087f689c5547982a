//! What callers are told apart by.

use std::fmt;

/// What callers are told apart by: any mix of these, or nothing at all.
///
/// A person is one of a tenant and a job is one run of a tenant's workflow, so limits by user or job are by those as
/// well: nothing is ever shared between the users `bob` of two tenants. Calls that lack such a name count together.
///
/// ```
/// use llm_budget::limit::Per;
///
/// assert!(Per::USER.and(Per::MODEL).includes(Per::TENANT));
/// assert_eq!(Per::JOB.to_string(), "tenant, workflow, job");
/// assert_eq!(Per::GLOBAL.to_string(), "global");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Per(u8);

impl Per {
    /// All calls together.
    pub const GLOBAL: Self = Self(0);
    /// By customer.
    pub const TENANT: Self = Self(1);
    /// By person or machine, and so by tenant.
    pub const USER: Self = Self(2 | Self::TENANT.0);
    /// By what the calls are for, whoever makes them.
    pub const WORKFLOW: Self = Self(4);
    /// By run of a workflow, and so by tenant and workflow.
    pub const JOB: Self = Self(8 | Self::TENANT.0 | Self::WORKFLOW.0);
    /// By provider and model, or by the requested model while no target was chosen.
    pub const MODEL: Self = Self(16);

    const NAMED: [(&str, Self); 5] = [
        ("tenant", Self::TENANT),
        ("user", Self::USER),
        ("workflow", Self::WORKFLOW),
        ("job", Self::JOB),
        ("model", Self::MODEL),
    ];

    /// By these as well.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether callers are told apart by all of these.
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What goes by this name in a configuration file.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let named = Self::NAMED.into_iter().find_map(|(known, per)| (known == name).then_some(per));
        named.or((name == "global").then_some(Self::GLOBAL))
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::GLOBAL {
            return f.write_str("global");
        }
        let mut names = Self::NAMED.iter().filter(|(_, per)| self.includes(*per)).map(|(name, _)| *name);
        f.write_str(names.next().unwrap_or_default())?;
        names.try_for_each(|name| write!(f, ", {name}"))
    }
}
