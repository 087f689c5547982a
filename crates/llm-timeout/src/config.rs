//! What a configuration file says of time limits, and the check that it makes sense.

use std::{fmt, time::Duration};

use llm_core::{ConfigError, Overrides, PerTarget, duration};
use serde::{
    Deserialize, Deserializer,
    de::{self, IntoDeserializer, MapAccess, value::MapAccessDeserializer},
};

use crate::{Limit, Limits, TimeoutLayer};

/// Time limits as a configuration states them, to be checked by [`TimeoutLayer`]'s `try_from`.
///
/// At the top stand the limits for every target. Tables below `providers` and `models` override some of them; what such
/// a table does not state is as at the top, and a model's table beats its provider's as a whole.
///
/// ```
/// use llm_timeout::{TimeoutConfig, TimeoutLayer};
///
/// let config: TimeoutConfig = toml::from_str(
///     r#"
///     first_content = "20s"
///     whole_answer = { base = "60s", per_output_token = "28ms" }
///
///     [providers.local]
///     idle = "off"
///
///     [models.o3]
///     first_content_reasoning = "5m"
///     "#,
/// )?;
/// let layer = TimeoutLayer::try_from(config)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type TimeoutConfig = Overrides<LimitsConfig>;

/// Some of the [`Limits`], as a table of a configuration states them. What is absent is as in the table around it, and
/// in the outermost one as in [`Limits::interactive`].
///
/// A limit is a duration (`"30s"`), `"off"`, or a table of `base` and `per_output_token`, both durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// See [`Limits::head`]. Longer than zero, as all of them.
    #[serde(deserialize_with = "limit")]
    pub head: Option<Limit>,
    /// See [`Limits::first_content`].
    #[serde(deserialize_with = "limit")]
    pub first_content: Option<Limit>,
    /// See [`Limits::first_content_reasoning`]. Not shorter than `first_content`.
    #[serde(deserialize_with = "limit")]
    pub first_content_reasoning: Option<Limit>,
    /// See [`Limits::idle`].
    #[serde(deserialize_with = "limit")]
    pub idle: Option<Limit>,
    /// See [`Limits::total`].
    #[serde(deserialize_with = "limit")]
    pub total: Option<Limit>,
    /// See [`Limits::whole_answer`].
    #[serde(deserialize_with = "limit")]
    pub whole_answer: Option<Limit>,
}

impl LimitsConfig {
    fn over(&self, base: Limits) -> Result<Limits, ConfigError> {
        let limits = Limits {
            head: pick("head", self.head, base.head)?,
            first_content: pick("first_content", self.first_content, base.first_content)?,
            first_content_reasoning: pick(
                "first_content_reasoning",
                self.first_content_reasoning,
                base.first_content_reasoning,
            )?,
            idle: pick("idle", self.idle, base.idle)?,
            total: pick("total", self.total, base.total)?,
            whole_answer: pick("whole_answer", self.whole_answer, base.whole_answer)?,
        };
        let never = |limit: Limit| limit.base().unwrap_or(Duration::MAX);
        if never(limits.first_content_reasoning) < never(limits.first_content) {
            return Err(ConfigError::new(
                "first_content_reasoning",
                "it is shorter than first_content, and models that reason need longer: raise it too",
            ));
        }
        Ok(limits)
    }
}

fn pick(name: &str, stated: Option<Limit>, inherited: Limit) -> Result<Limit, ConfigError> {
    match stated {
        Some(limit) if limit.base() == Some(Duration::ZERO) => {
            Err(ConfigError::new(name, "it must be longer than zero; `off` is no limit"))
        }
        Some(limit) => Ok(limit),
        None => Ok(inherited),
    }
}

impl TryFrom<TimeoutConfig> for TimeoutLayer {
    type Error = ConfigError;

    fn try_from(config: TimeoutConfig) -> Result<Self, ConfigError> {
        let limits: PerTarget<Limits> = config.resolve(Limits::interactive(), LimitsConfig::over)?;
        Ok(Self::new().limits(limits))
    }
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Limit>, D::Error> {
    deserializer.deserialize_any(Visitor).map(Some)
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Limit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in quotes such as \"30s\", \"off\", or a table of `base` and `per_output_token`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
        match text {
            "off" => Ok(Limit::OFF),
            text => duration::deserialize(text.into_deserializer()).map(Limit::new),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Limit, A::Error> {
        /// A limit that depends on the request.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            #[serde(with = "duration")]
            base: Duration,
            #[serde(with = "duration")]
            per_output_token: Duration,
        }
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Limit::new(table.base).per_output_token(table.per_output_token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<PerTarget<Limits>, String> {
        let config: TimeoutConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        config.resolve(Limits::interactive(), LimitsConfig::over).map_err(|error| error.to_string())
    }

    const fn secs(secs: u64) -> Limit {
        Limit::new(Duration::from_secs(secs))
    }

    #[test]
    fn nothing_stated_is_the_interactive_preset() {
        assert_eq!(resolve("").unwrap(), PerTarget::new(Limits::interactive()));
    }

    #[test]
    fn each_field_is_the_limit_of_its_name() {
        let text = r#"
            head = "1s"
            first_content = "2s"
            first_content_reasoning = "3s"
            idle = "4s"
            total = "5s"
            whole_answer = { base = "6s", per_output_token = "7ms" }
        "#;
        let expected = Limits::off()
            .head(secs(1))
            .first_content(secs(2))
            .first_content_reasoning(secs(3))
            .idle(secs(4))
            .total(secs(5))
            .whole_answer(secs(6).per_output_token(Duration::from_millis(7)));
        assert_eq!(resolve(text).unwrap(), PerTarget::new(expected));
    }

    #[test]
    fn a_table_inherits_what_it_does_not_state() {
        let limits = resolve("idle = \"40s\"\n[models.o3]\nhead = \"off\"\n[providers.p]\ntotal = \"1h\"").unwrap();
        let top = Limits::interactive().idle(secs(40));
        assert_eq!(*limits.of_names(Some("q"), "m"), top);
        assert_eq!(*limits.of_names(Some("q"), "o3"), top.clone().head(Limit::OFF));
        assert_eq!(*limits.of_names(Some("p"), "m"), top.total(secs(3600)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let refused = |text| resolve(text).unwrap_err();
        assert_eq!(refused("idle = \"0s\""), "idle: it must be longer than zero; `off` is no limit");
        assert!(refused("[models.o3]\nhead = \"0s\"").starts_with("models.o3.head: "));
        assert!(refused("first_content = \"5m\"").starts_with("first_content_reasoning: it is shorter"));
        assert!(resolve("first_content = \"5m\"\nfirst_content_reasoning = \"off\"").is_ok());
        assert!(refused("head = 30").contains("expected a duration in quotes"));
        assert!(refused("head = \"never\"").contains("`never` is not a duration"));
        assert!(refused("head = { per_output_token = \"1ms\" }").contains("missing field `base`"));
        assert!(refused("head = { base = \"1s\", per_token = \"1ms\" }").contains("unknown field `per_token`"));
        assert!(refused("connect = \"5s\"").contains("unknown field `connect`"));
    }
}
