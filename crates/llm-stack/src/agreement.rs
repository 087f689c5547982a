//! Whether the tables of a configuration agree: a setting that another table makes meaningless is refused, since whoever
//! wrote it expects something that will not happen.

use std::time::Duration;

use llm_breaker::{BreakerConfig, SlowAfter};
use llm_budget::{BudgetConfig, Covers};
use llm_core::{ConfigError, ErrorKind, Overrides, Target};
use llm_fallback::FallbackConfig;
use llm_retry::{HedgeConfig, hedge::HedgeSettings};
use llm_timeout::{TimeoutConfig, TimeoutLayer};

use crate::{Switch, layers::Wanted};

/// # Errors
/// Names the setting, and says what it is at odds with.
pub(crate) fn check(wanted: &Wanted, times: Option<&TimeoutLayer>) -> Result<(), ConfigError> {
    if let Some(budget) = wanted.budget.as_option() {
        pays_for_attempts(budget)?;
    }
    if let Some(fallback) = wanted.fallback.as_option() {
        stands_in_for_what_happens(fallback, wanted)?;
    }
    let (Some(times), Some(limits)) = (times, wanted.timeout.as_option()) else { return Ok(()) };
    let silence = Silence { times, limits };
    if let (Some(hedge), Switch::Off) = (wanted.hedge.as_option(), &wanted.retry) {
        is_hedged_in_time(hedge, &silence)?;
    }
    match wanted.breaker.as_option() {
        Some(breaker) => is_slow_in_time(breaker, &silence),
        None => Ok(()),
    }
}

fn pays_for_attempts(budget: &BudgetConfig) -> Result<(), ConfigError> {
    if budget.covers != Some(Covers::Call) {
        return Ok(());
    }
    let message = "each attempt goes through the budget here, so covering calls would pay for some of them twice";
    Err(ConfigError::new("budget.covers", message))
}

/// A case for refusals of layers that are left out answers nobody.
fn stands_in_for_what_happens(fallback: &FallbackConfig, wanted: &Wanted) -> Result<(), ConfigError> {
    let layers = [
        (ErrorKind::LimitExceeded, "limit", wanted.limit.as_option().is_none()),
        (ErrorKind::BudgetExceeded, "budget", wanted.budget.as_option().is_none()),
        (ErrorKind::CircuitOpen, "breaker", wanted.breaker.as_option().is_none()),
    ];
    let left_out = |kind: &str| layers.iter().find(|(refusal, _, is_off)| *is_off && refusal.as_str() == kind);
    for (at, case) in fallback.cases.iter().enumerate() {
        let Some(kinds) = &case.when.kinds else { continue };
        let off: Vec<&str> = kinds.iter().filter_map(|kind| left_out(kind)).map(|(_, layer, _)| *layer).collect();
        if let (true, Some(layer)) = (off.len() == kinds.len(), off.first()) {
            let message = format!("nothing ever fails so: there is no [{layer}]");
            return Err(ConfigError::new(format!("fallback.cases[{at}].when.kinds"), message));
        }
    }
    Ok(())
}

/// How long the timeout lets attempts go on without content.
struct Silence<'c> {
    times: &'c TimeoutLayer,
    limits: &'c TimeoutConfig,
}

impl Silence<'_> {
    /// At any target, if it is limited everywhere.
    fn longest(&self) -> Option<Duration> {
        let targets = self.limits.tables().map(|(_, target, _)| target);
        let longest = targets.chain([Target::new("", "")]).map(|target| self.times.longest_silence(&target));
        longest.max_by_key(|silence| silence.unwrap_or(Duration::MAX)).flatten()
    }

    /// Refuses the first time that no attempt without content lives to see.
    fn outlasts<P>(
        &self,
        layer: &str,
        settings: &Overrides<P>,
        time: impl Fn(&P) -> Option<(&'static str, Duration)>,
        why: &str,
    ) -> Result<(), ConfigError> {
        let everywhere = (layer.to_owned(), self.longest(), &settings.all);
        let at_targets = settings.tables().map(|(place, target, table)| {
            let silence = self.times.longest_silence(&target);
            (format!("{layer}.{place}"), silence, table)
        });
        for (place, silence, table) in [everywhere].into_iter().chain(at_targets) {
            if let (Some(silence), Some((setting, time))) = (silence, time(table))
                && time >= silence
            {
                let message = format!("{why}: the timeout ends an attempt without content after {silence:?}");
                return Err(ConfigError::new(format!("{place}.{setting}"), message));
            }
        }
        Ok(())
    }
}

fn is_hedged_in_time(hedge: &HedgeConfig, silence: &Silence<'_>) -> Result<(), ConfigError> {
    let delay = |table: &HedgeSettings| {
        let fixed = table.fixed.map(|fixed| ("fixed", fixed));
        fixed.or(table.floor.map(|floor| ("floor", floor)))
    };
    silence.outlasts("hedge", hedge, delay, "no second attempt is ever made, as retry is off")
}

fn is_slow_in_time(breaker: &BreakerConfig, silence: &Silence<'_>) -> Result<(), ConfigError> {
    silence.outlasts(
        "breaker",
        breaker,
        |table| match table.slow_after {
            Some(SlowAfter::After(time)) => Some(("slow_after", time)),
            Some(SlowAfter::Off) | None => None,
        },
        "nothing is ever that slow",
    )
}
