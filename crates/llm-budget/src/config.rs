//! A budget layer from a configuration file.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};

use jiff::tz::TimeZone;
use llm_core::{ConfigError, NanoUsd, OneOrMany, duration};
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer},
};

use crate::{
    BudgetLayer, Cap, CapRule, Covers, Metered, Percent, Streams, Strictness, WhenShort, Window,
    concerns::Lists,
    scope::{self, Scope, Stated},
};

/// A budget layer in a configuration file. Everything may be left out but a cap, or a ceiling for one call.
///
/// ```
/// use llm_budget::{BudgetConfig, BudgetLayer};
///
/// let config: BudgetConfig = toml::from_str(r#"
///     most_cost = "0.50"
///
///     [[caps]]
///     name = "all"
///     amounts = { usd = "500", window = "month", zone = "America/New_York" }
///
///     [[caps]]
///     name = "per-tenant"
///     per = "tenant"
///     amounts = [{ usd = "2", window = "1h" }, { usd = "20", window = "day" }]
///
///     [[caps]]
///     name = "acme"
///     per = "tenant"
///     tenants = "acme"
///     instead_of = "per-tenant"
///     amounts = { usd = "200", window = "day" }
///
///     [[caps]]
///     name = "reasoning"
///     per = ["tenant", "model"]
///     models = ["openai/o*"]
///     amounts = { usd = "5", window = "day" }
///     strictness = "soft"
/// "#)?;
/// let layer = BudgetLayer::try_from(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// What may be spent. Calls are held to all that are about them. Names must differ.
    pub caps: Vec<CapConfig>,
    /// See [`BudgetLayer::streams`]: `metered` or `worst_case`. Defaults to metered.
    pub streams: Option<StreamsConfig>,
    /// See [`Metered::likely_output`]. At least 1.
    pub likely_output: Option<u64>,
    /// See [`Metered::slice`]. At least 1.
    pub slice: Option<u64>,
    /// See [`Metered::when_short`]: `"cut"`, or `{ finish = 1000 }` with the tokens of overdraft, at least 1.
    pub when_short: Option<WhenShortConfig>,
    /// See [`BudgetLayer::assumed_output`]. At least 1.
    pub assumed_output: Option<u64>,
    /// See [`BudgetLayer::fit_output`]. At least 1.
    pub fit_output: Option<u64>,
    /// See [`BudgetLayer::most_tokens`]. At least 1.
    pub most_tokens: Option<u64>,
    /// See [`BudgetLayer::most_cost`], in dollars. More than zero.
    #[serde(deserialize_with = "some_dollars")]
    pub most_cost: Option<NanoUsd>,
    /// See [`BudgetLayer::most_accounts`]. At least 1.
    pub most_accounts: Option<usize>,
    /// See [`BudgetLayer::covers`]: `attempt` or `call`.
    pub covers: Option<Covers>,
}

/// A rule in a configuration file, see [`CapRule`]. A list that is left out is of all.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapConfig {
    /// What it is called, for callers who are refused too. Not empty.
    pub name: String,
    /// What accounts are kept by, see [`Per`](crate::Per): `global` alone, or one or several of `tenant`, `user`, `key`,
    /// `workflow`, `job` and `model`. Defaults to global.
    #[serde(default)]
    pub per: OneOrMany<String>,
    /// How much within which window, or several of those. At least one.
    pub amounts: OneOrMany<AmountConfig>,
    /// `hard` or `soft`. Defaults to hard.
    #[serde(default)]
    pub strictness: Strictness,
    /// The percentages at which somebody is told, from 1 to 100. Defaults to 50, 80, 95 and 100.
    #[serde(default)]
    pub alerts: Option<Vec<u8>>,
    /// Only calls of these tenants.
    #[serde(default)]
    pub tenants: Option<OneOrMany<String>>,
    /// Only calls of these users.
    #[serde(default)]
    pub users: Option<OneOrMany<String>>,
    /// Only calls with the API keys of these names.
    #[serde(default)]
    pub keys: Option<OneOrMany<String>>,
    /// Only calls for these workflows.
    #[serde(default)]
    pub workflows: Option<OneOrMany<String>>,
    /// Only calls of these jobs.
    #[serde(default)]
    pub jobs: Option<OneOrMany<String>>,
    /// Only calls of these models, see [`CapRule::models`].
    #[serde(default)]
    pub models: Option<OneOrMany<String>>,
    /// The name of a cap before this one, to which the calls that this one is about are not held, see
    /// [`CapRule::instead_of`].
    #[serde(default)]
    pub instead_of: Option<String>,
}

/// A cap in a configuration file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountConfig {
    /// How much, in dollars: `"2.50"`, or a number. Zero refuses everything.
    #[serde(deserialize_with = "dollars")]
    pub usd: NanoUsd,
    /// Within which window: `day`, `month`, `lifetime`, or the length of a rolling one from a minute to a year, such as
    /// `"1h"`.
    #[serde(deserialize_with = "window")]
    pub window: WindowConfig,
    /// In which time zone days and months begin: a name such as `Europe/Berlin` that the machine knows, or the zone's
    /// rules in POSIX form, such as `CET-1CEST,M3.5.0,M10.5.0/3`. Defaults to UTC.
    #[serde(default)]
    pub zone: Option<String>,
}

/// A window in a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowConfig {
    /// See [`Window::Day`].
    Day,
    /// See [`Window::Month`].
    Month,
    /// See [`Window::Lifetime`].
    Lifetime,
    /// See [`Window::Rolling`].
    Rolling(Duration),
}

/// See [`Streams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamsConfig {
    /// See [`Streams::WorstCase`].
    WorstCase,
    /// See [`Streams::Metered`].
    Metered,
}

/// See [`WhenShort`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenShortConfig {
    /// See [`WhenShort::Cut`].
    Cut,
    /// See [`WhenShort::Finish`].
    Finish(u64),
}

impl AmountConfig {
    fn build(&self) -> Result<Cap, ConfigError> {
        let zone = match self.zone.as_deref() {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).or_else(|_| TimeZone::posix(name)).map_err(|_| {
                let message = format!("no time zone called `{name}` is known here, and it is none in POSIX form");
                ConfigError::new("zone", message)
            })?,
        };
        let window = match self.window {
            WindowConfig::Day => Window::Day(zone),
            WindowConfig::Month => Window::Month(zone),
            WindowConfig::Lifetime | WindowConfig::Rolling(_) if self.zone.is_some() => {
                return Err(ConfigError::new("zone", "only days and months begin in a time zone"));
            }
            WindowConfig::Lifetime => Window::Lifetime,
            WindowConfig::Rolling(length) => {
                let (least, most) = (Duration::from_secs(60), Duration::from_secs(366 * 86_400));
                if !(least..=most).contains(&length) {
                    return Err(ConfigError::new("window", "the length must be from a minute to a year"));
                }
                Window::Rolling(length)
            }
        };
        Ok(Cap::new(self.usd, window))
    }
}

impl CapConfig {
    fn build(&self) -> Result<CapRule, ConfigError> {
        let Self { name, per, amounts, strictness, alerts, tenants, users, keys, workflows, jobs, models, instead_of } =
            self;
        let lists = Lists { tenants, users, keys, workflows, jobs, models };
        let scope = Scope::stated(&Stated { name, per, lists, instead_of })?;
        let mut caps = Vec::new();
        for (at, amount) in amounts.iter().enumerate() {
            let cap = amount.build().map_err(|error| error.within(format_args!("amounts[{at}]")))?;
            if caps.iter().any(|known: &Cap| known.window == cap.window) {
                return Err(ConfigError::new("amounts", "two amounts for one window: only the lower one would count"));
            }
            caps.push(cap);
        }
        if let Some((at, _)) =
            caps.iter().enumerate().find(|(_, cap)| caps.iter().any(|wider| cap.is_idle_beside(wider)))
        {
            let message = "a longer window allows less than this one, which is so never reached";
            return Err(ConfigError::new(format!("amounts[{at}].usd"), message));
        }
        let mut caps = caps.into_iter();
        let first = caps.next().ok_or_else(|| ConfigError::new("amounts", "the list is empty: it needs an amount"))?;
        let mut rule = caps.fold(CapRule::scoped(scope, first), CapRule::cap);
        if *strictness == Strictness::Soft {
            rule = rule.soft();
        }
        if let Some(alerts) = alerts {
            let percent = |share: &u8| {
                Percent::new(*share).ok_or_else(|| ConfigError::new("alerts", "a percentage must be from 1 to 100"))
            };
            rule = rule.alert_at(alerts.iter().map(percent).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(rule)
    }
}

impl BudgetConfig {
    fn streams(&self) -> Result<Streams, ConfigError> {
        let stated = [
            ("likely_output", self.likely_output.is_some()),
            ("slice", self.slice.is_some()),
            ("when_short", self.when_short.is_some()),
        ];
        if self.streams == Some(StreamsConfig::WorstCase) {
            return match stated.iter().find(|(_, is_stated)| *is_stated) {
                Some((key, _)) => Err(ConfigError::new(*key, "it means nothing where streams are not metered")),
                None => Ok(Streams::WorstCase),
            };
        }
        let mut metered = Metered::default();
        if let Some(tokens) = tokens("likely_output", self.likely_output)? {
            metered = metered.likely_output(tokens);
        }
        if let Some(tokens) = tokens("slice", self.slice)? {
            metered = metered.slice(tokens);
        }
        match self.when_short {
            None => {}
            Some(WhenShortConfig::Cut) => metered = metered.when_short(WhenShort::Cut),
            Some(WhenShortConfig::Finish(overdraft)) => {
                let overdraft = tokens("when_short.finish", Some(overdraft))?;
                metered = metered.when_short(overdraft.map_or(WhenShort::Cut, WhenShort::Finish));
            }
        }
        Ok(Streams::Metered(metered))
    }
}

fn tokens(key: &str, stated: Option<u64>) -> Result<Option<NonZeroU64>, ConfigError> {
    let positive = |tokens| NonZeroU64::new(tokens).ok_or_else(|| ConfigError::new(key, AT_LEAST_ONE));
    stated.map(positive).transpose()
}

const AT_LEAST_ONE: &str = "the number must be at least 1";

impl TryFrom<BudgetConfig> for BudgetLayer {
    type Error = ConfigError;

    fn try_from(config: BudgetConfig) -> Result<Self, ConfigError> {
        let rules = scope::stated("caps", &config.caps, CapConfig::build)?;
        let is_in_vain = rules.is_empty() && config.most_tokens.is_none() && config.most_cost.is_none();
        let mut layer = Self::new(rules).streams(config.streams()?);
        let assumed = tokens("assumed_output", config.assumed_output)?.unwrap_or(Self::ASSUMED_OUTPUT);
        let fit_output = tokens("fit_output", config.fit_output)?;
        let most_tokens = tokens("most_tokens", config.most_tokens)?;
        if let (Some(most), None) = (most_tokens, fit_output)
            && most <= assumed
        {
            let message = format!(
                "a call that states no ceiling is assumed to have an answer of {assumed} tokens, so it would always be \
                 refused: lower `assumed_output`, or state `fit_output`"
            );
            return Err(ConfigError::new("most_tokens", message));
        }
        layer = layer.assumed_output(assumed).fit_output(fit_output).most_tokens(most_tokens);
        if config.most_cost == Some(NanoUsd::ZERO) {
            return Err(ConfigError::new("most_cost", "the amount must be more than zero"));
        }
        layer = layer.most_cost(config.most_cost);
        if let Some(most) = config.most_accounts {
            let most = NonZeroUsize::new(most).ok_or_else(|| ConfigError::new("most_accounts", AT_LEAST_ONE))?;
            layer = layer.most_accounts(most);
        }
        if is_in_vain {
            return Err(ConfigError::new(
                "caps",
                "there is none, and no ceiling for one call: nothing would be refused",
            ));
        }
        Ok(match config.covers {
            None => layer,
            Some(covers) => layer.covers(covers),
        })
    }
}

/// Dollars as text, or as a number: its shortest decimal form is what was written.
fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NanoUsd, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = NanoUsd;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an amount in dollars, such as \"2.50\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<NanoUsd, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: de::Error>(self, whole: u64) -> Result<NanoUsd, E> {
            self.visit_str(&whole.to_string())
        }

        fn visit_i64<E: de::Error>(self, whole: i64) -> Result<NanoUsd, E> {
            self.visit_str(&whole.to_string())
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<NanoUsd, E> {
            self.visit_str(&number.to_string())
        }
    }
    deserializer.deserialize_any(Visitor)
}

fn some_dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NanoUsd>, D::Error> {
    dollars(deserializer).map(Some)
}

fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<WindowConfig, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(match text.as_str() {
        "day" => WindowConfig::Day,
        "month" => WindowConfig::Month,
        "lifetime" => WindowConfig::Lifetime,
        length => {
            let of_time = duration::deserialize(length.into_deserializer());
            WindowConfig::Rolling(of_time.map_err(|_: D::Error| {
                let known = "`day`, `month` or `lifetime`, or a length of time such as \"1h\"";
                de::Error::custom(format!("`{length}` is no window: say {known}"))
            })?)
        }
    })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
