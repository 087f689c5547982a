//! What may be expected of a world because of how it is made.

use super::{Answer, Does, Early, End, Kind, Layer, World};

impl World {
    /// Whether something in a script hangs.
    fn hangs(&self) -> bool {
        let hangs = |answer: &Answer| answer.early == Some(Early::Hang) || answer.end == End::Hang;
        self.providers.iter().flat_map(|provider| &provider.script).any(hangs)
    }

    fn first(&self, kind: Kind) -> Option<usize> {
        self.layers.iter().position(|layer| layer.kind == kind)
    }

    /// Whether a caller may wait for ever: something hangs, and not every way there is limited in time.
    pub fn callers_may_hang(&self) -> bool {
        let fallback = self.first(Kind::Fallback).unwrap_or(usize::MAX);
        self.hangs() && self.first(Kind::Timeout).is_none_or(|timeout| timeout > fallback)
    }

    /// Whether a call that a cache makes to renew an answer may wait for ever.
    pub fn renewals_may_hang(&self) -> bool {
        let Some(cache) = self.layers.iter().rposition(|layer| layer.kind == Kind::Cache) else { return false };
        let below = &self.layers[cache..];
        let timeout = below.iter().position(|layer| layer.kind == Kind::Timeout).unwrap_or(usize::MAX);
        let fallback = below.iter().position(|layer| layer.kind == Kind::Fallback).unwrap_or(usize::MAX);
        self.hangs() && timeout > fallback.min(usize::MAX - 1)
    }

    /// Whether a fallback asks another service.
    pub(crate) fn may_ask_once_more(&self) -> bool {
        let fallbacks = self.layers.iter().filter(|layer| layer.kind == Kind::Fallback);
        let mut cases = fallbacks.filter_map(|layer| layer.settings.get("cases")?.as_array()).flatten();
        cases.any(|case| case.get("target").is_some())
    }

    /// Whether the clock goes on evenly, and no cache takes its time to tell what it keeps.
    pub(crate) fn is_prompt(&self) -> bool {
        let is_paced =
            |layer: &Layer| layer.settings.get("replay").is_some_and(|pace| pace.as_str() != Some("at_once"));
        !self.layers.iter().any(is_paced) && !self.acts.iter().any(|act| matches!(act.does, Does::Jump(_)))
    }

    /// Whether something sees to deadlines on every way to a provider, and the clock goes on evenly.
    pub(crate) fn keeps_deadlines(&self) -> bool {
        let jumps = self.acts.iter().any(|act| matches!(act.does, Does::Jump(_)));
        self.has(Kind::Timeout) && !self.callers_may_hang() && !jumps && !self.may_ask_once_more()
    }

    /// The most calls that may be under way at all providers together, where a limit says so for every way there.
    pub(crate) fn most_at_once(&self) -> Option<usize> {
        let at = self.layers.iter().rposition(|layer| layer.kind == Kind::Limit)?;
        let multiplies = |layer: &Layer| matches!(layer.kind, Kind::Hedge | Kind::Cache);
        if self.has(Kind::Fallback) || self.layers[at..].iter().any(multiplies) {
            return None;
        }
        let rules = self.layers[at].settings.get("rules")?.as_array()?;
        let is_global = |rule: &&toml::Value| {
            let per = rule.get("per").and_then(toml::Value::as_array);
            per.is_none_or(|per| per.iter().all(|name| name.as_str() == Some("global")))
        };
        let amounts = rules.iter().filter(is_global).filter_map(|rule| rule.get("at_once")?.as_integer());
        amounts.filter_map(|amount| usize::try_from(amount).ok()).min()
    }
}
