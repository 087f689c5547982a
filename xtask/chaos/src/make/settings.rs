//! Random settings of each layer, as they would stand in a file. All are such as the layers take.

use toml::{Table, Value};

use super::Dice;
use crate::world::Kind;

/// Settings for a layer of this kind, over so many providers.
pub(super) fn of(kind: Kind, dice: &mut Dice, providers: u32) -> Table {
    let mut settings = Settings(Table::new());
    match kind {
        Kind::Classify => settings.classify(dice),
        Kind::Fallback => settings.fallback(dice, providers),
        Kind::Limit => settings.limit(dice),
        Kind::Cache => settings.cache(dice),
        Kind::Router => settings.router(dice, providers),
        Kind::Hedge => settings.hedge(dice),
        Kind::Retry => settings.retry(dice),
        Kind::Budget => settings.budget(dice),
        Kind::Breaker => settings.breaker(dice),
        Kind::Timeout => settings.timeout(dice),
    }
    settings.0
}

struct Settings(Table);

impl Settings {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Once in so many times one of these.
    fn may(&mut self, dice: &mut Dice, times: u32, key: &str, choices: &[impl Into<Value> + Copy]) {
        if dice.one_in(times) {
            self.set(key, dice.of(choices));
        }
    }

    fn classify(&mut self, dice: &mut Dice) {
        self.may(dice, 2, "tenants", &[&["tenant-1"][..], &["tenant-0", "tenant-2"]].map(List));
        self.may(dice, 4, "detect", &["all"]);
    }

    fn fallback(&mut self, dice: &mut Dice, providers: u32) {
        let mut cases = Vec::new();
        if dice.one_in(2) {
            let mut case = Settings(Table::new());
            case.set("target", format!("p{}", dice.below(providers)));
            if dice.one_in(2) {
                let mut when = Settings(Table::new());
                when.set("kinds", List(&["server", "overloaded", "circuit_open", "budget_exceeded"]));
                case.set("when", when.0);
            }
            cases.push(Value::Table(case.0));
        }
        if cases.is_empty() || dice.one_in(2) {
            self.set("message", "Not now.");
        }
        self.set("cases", cases);
    }

    fn limit(&mut self, dice: &mut Dice) {
        let rules = ["first", "second"].into_iter().take(dice.between(1, 2) as usize).map(|name| {
            let mut rule = Settings(Table::new());
            rule.set("name", name);
            rule.per(dice);
            rule.set("at_once", i64::from(dice.of(&[1, 2, 3, 4, 6, 8])));
            rule.may(dice, 4, "requests_per_minute", &[1, 5, 20]);
            rule.may(dice, 4, "tokens_per_minute", &[50, 500, 5_000]);
            Value::Table(rule.0)
        });
        self.0.insert("rules".to_owned(), Value::Array(rules.collect()));
        self.may(dice, 4, "most_callers", &[1, 2]);
        self.may(dice, 4, "expected_output", &[0, 30]);
    }

    fn per(&mut self, dice: &mut Dice) {
        self.set("per", dice.of(&[&["global"][..], &["global"], &["tenant"], &["user"], &["tenant", "model"], &["model"]].map(List)));
    }

    fn cache(&mut self, dice: &mut Dice) {
        self.may(dice, 4, "scope", &["user"]);
        self.may(dice, 2, "local", &[true]);
        if dice.one_in(4) {
            self.set("capacity", dice.of(&[1_000, 3_000]));
            self.may(dice, 2, "entry_limit", &[200, 600]);
        } else {
            self.may(dice, 4, "entry_limit", &[200, 600]);
        }
        self.may(dice, 2, "ttl", &["0s", "100ms", "2s", "1h"]);
        self.may(dice, 2, "stale_while_revalidate", &["0s", "1s", "1m"]);
        self.may(dice, 3, "stale_if_error", &["0s", "10s"]);
        self.may(dice, 3, "keep_failures", &["100ms", "5s"]);
        self.may(dice, 4, "renewals", &[0, 1]);
        self.may(dice, 4, "replay", &["20ms", "at_once"]);
        if dice.one_in(3) {
            let mut rule = Settings(Table::new());
            rule.set("use_for", dice.of(&["all", "all", "never"]));
            rule.may(dice, 2, "models", &["large"]);
            self.set("rules", vec![Value::Table(rule.0)]);
        }
    }

    fn router(&mut self, dice: &mut Dice, providers: u32) {
        const STRATEGIES: [&str; 7] =
            ["ordered", "weighted", "cheapest", "least_loaded", "fastest", "power_of_two", "affinity"];
        self.may(dice, 2, "strategy", &STRATEGIES);
        self.may(dice, 4, "content_policy_failover", &[true]);
        if dice.one_in(3) {
            let mut route = Settings(Table::new());
            let mut all: Vec<u32> = (0..providers).collect();
            dice.shuffle(&mut all);
            let (first, then) = all.split_at(dice.between(1, providers) as usize);
            let names = |list: &[u32]| list.iter().map(|at| format!("p{at}/large").into()).collect::<Vec<Value>>();
            route.set("targets", names(first));
            if !then.is_empty() {
                route.set("then", names(then));
            }
            let mut routes = Settings(Table::new());
            routes.set("large", route.0);
            self.set("routes", routes.0);
        }
    }

    fn hedge(&mut self, dice: &mut Dice) {
        if dice.one_in(4) {
            self.set("floor", dice.of(&["1ms", "100ms"]));
            self.set("samples", 20);
        } else {
            self.set("fixed", dice.of(&["1ms", "30ms", "400ms", "5s"]));
        }
        self.set("percent", dice.of(&[50, 100, 100]));
    }

    fn retry(&mut self, dice: &mut Dice) {
        self.set("base", dice.of(&["1ms", "50ms", "1s"]));
        self.may(dice, 2, "throttled_base", &["1ms", "2s"]);
        self.may(dice, 3, "longest_advice", &["0s", "1s", "10m"]);
        self.may(dice, 2, "most_retries", &[1, 2, 4]);
        self.may(dice, 2, "jitter", &["none", "full"]);
        if dice.one_in(2) {
            let mut quota = Settings(Table::new());
            match dice.below(3) {
                0 => quota.set("enabled", false),
                1 => quota.set("percent", 100),
                _ => {
                    quota.set("percent", 0);
                    quota.set("per_second", 1);
                    quota.set("seconds", 1);
                }
            }
            self.set("quota", quota.0);
        }
        self.may(dice, 5, "targets", &[1, 2]);
    }

    fn budget(&mut self, dice: &mut Dice) {
        let caps = ["first", "second"].into_iter().take(dice.between(1, 2) as usize).map(|name| {
            let mut cap = Settings(Table::new());
            cap.set("name", name);
            cap.per(dice);
            let mut amount = Settings(Table::new());
            amount.set("usd", dice.of(&["0.001", "0.01", "0.1", "1", "10", "10"]));
            // Days and months begin when the machine says so, and a world runs alike whenever it runs.
            amount.set("window", dice.of(&["lifetime", "lifetime", "1m", "1h"]));
            cap.set("amounts", amount.0);
            cap.may(dice, 5, "strictness", &["soft"]);
            Value::Table(cap.0)
        });
        self.0.insert("caps".to_owned(), Value::Array(caps.collect()));
        match dice.below(4) {
            0 => self.set("streams", "worst_case"),
            1 => {}
            _ => {
                self.may(dice, 2, "likely_output", &[1, 10, 100]);
                self.may(dice, 2, "slice", &[1, 10, 100]);
                if dice.one_in(3) {
                    let mut finish = Settings(Table::new());
                    finish.set("finish", dice.of(&[1, 50]));
                    self.set("when_short", finish.0);
                }
            }
        }
        if !dice.one_in(4) {
            self.set("assumed_output", dice.of(&[10, 50, 200]));
        }
        self.may(dice, 4, "fit_output", &[1, 20]);
        if dice.one_in(4) {
            // An answer that is assumed to be longer would never fit.
            self.set("fit_output", dice.of(&[1, 20]));
            self.may(dice, 2, "most_tokens", &[200, 10_000]);
            self.may(dice, 2, "most_cost", &["0.01", "1"]);
        }
        self.may(dice, 4, "most_accounts", &[1, 3]);
        self.may(dice, 8, "covers", &["attempt", "call"]);
    }

    fn breaker(&mut self, dice: &mut Dice) {
        if dice.one_in(5) {
            self.set("trip", dice.of(&["cusum", "rate"]));
        } else {
            let mut trip = Settings(Table::new());
            if !dice.one_in(3) {
                trip.set("rule", "consecutive");
                trip.set("failures", dice.of(&[1, 1, 1, 2]));
            } else {
                trip.set("rule", "rate");
                trip.set("window", "10s");
                trip.set("min_calls", dice.of(&[1, 2]));
                trip.set("share", dice.of(&[0.2, 0.5]));
            }
            self.set("trip", trip.0);
        }
        self.set("open_for", dice.of(&["1ms", "100ms", "2s", "30s", "5m"]));
        self.may(dice, 3, "open_at_most", &["5m", "1h"]);
        self.may(dice, 2, "jitter", &[0.0, 0.5]);
        self.may(dice, 3, "probes", &[1, 2, 3]);
        self.may(dice, 3, "successes", &[1, 2]);
        self.may(dice, 3, "lease", &["1ms", "1s"]);
        self.may(dice, 4, "longest_advice", &["1ms", "1m"]);
        self.may(dice, 4, "slow_after", &["1ms", "100ms", "off"]);
        self.may(dice, 4, "most_circuits", &[1, 2]);
    }

    fn timeout(&mut self, dice: &mut Dice) {
        let choices = ["1ms", "50ms", "1s", "20s"];
        for limit in ["head", "first_content", "idle", "total", "whole_answer"] {
            self.may(dice, 3, limit, &choices);
        }
        // Some are off, as far as every call still ends.
        self.may(dice, 8, "head", &["off"]);
    }
}

/// A list of texts.
#[derive(Clone, Copy)]
struct List(&'static [&'static str]);

impl From<List> for Value {
    fn from(List(texts): List) -> Self {
        Value::Array(texts.iter().map(|text| Value::from(*text)).collect())
    }
}
