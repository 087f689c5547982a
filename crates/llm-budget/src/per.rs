//! What callers are told apart by.

use std::fmt;

use llm_core::{ConfigError, OneOrMany};

/// What callers are told apart by, in accounts and in limits: any mix of these, or nothing at all.
///
/// A person and an API key are those of a tenant, and a job is one run of a tenant's workflow, so what is kept by user, key
/// or job is kept by those as well: nothing is ever shared between the users `bob` of two tenants. Calls that lack such
/// a name are those of nobody, who is one.
///
/// ```
/// use llm_budget::Per;
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
    /// By the name of the API key that the caller came with, and so by tenant.
    pub const KEY: Self = Self(4 | Self::TENANT.0);
    /// By what the calls are for, whoever makes them.
    pub const WORKFLOW: Self = Self(8);
    /// By run of a workflow, and so by tenant and workflow.
    pub const JOB: Self = Self(16 | Self::TENANT.0 | Self::WORKFLOW.0);
    /// By provider and model, by the catalogue's name for it, whatever alias it is called by: or every alias would have an
    /// amount of its own. One that the catalogue does not know goes by the name that it is called by, and where no target
    /// was chosen there is no provider.
    pub const MODEL: Self = Self(32);

    const NAMED: [(&str, Self); 6] = [
        ("tenant", Self::TENANT),
        ("user", Self::USER),
        ("key", Self::KEY),
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

    /// What a list of names in a configuration file means.
    pub(crate) fn stated(names: &OneOrMany<String>) -> Result<Self, ConfigError> {
        let mut per = Self::GLOBAL;
        for name in names.iter() {
            if name == "global" && names.len() > 1 {
                return Err(ConfigError::new("per", "`global` is all calls together, and stands alone"));
            }
            let named = Self::NAMED.into_iter().find_map(|(known, per)| (known == name).then_some(per));
            let named = named.or((name == "global").then_some(Self::GLOBAL));
            per = per.and(named.ok_or_else(|| {
                let known = "`global`, or by `tenant`, `user`, `key`, `workflow`, `job` and `model`";
                ConfigError::new("per", format!("callers are told apart by {known}, and not by `{name}`"))
            })?);
        }
        Ok(per)
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
