//! What only code can say: setters that take what stands in no file. The list of them is read off the sources of the layers.

use std::{collections::BTreeSet, fs, num::NonZeroU32, num::NonZeroU64, path::Path, pin::Pin, sync::Arc};

use llm_budget::{
    BudgetLayer, MemoryLedger, Per,
    limit::{LimitLayer, LimitRule},
};
use llm_cache::{CacheLayer, MemoryStore, prompt::PromptCacheLayer};
use llm_classify::ClassifyLayer;
use llm_core::{LlmRequest, Random, Target, catalog::Catalog};
use llm_fallback::{Answer, FallbackLayer, When};
use llm_retry::{HedgeLayer, RetryLayer, RetryRules};
use llm_router::{Route, RouterLayer, Strategy};
use llm_stack::StackConfig;
use llm_timeout::TimeoutLayer;
use tower::ServiceBuilder;
use xtask_options::options_of;

use crate::{
    alone::{
        AN_HOUR, Chatter, Ill, Last, OfAll, a_second, breaker, budget, cap, catalog, head_of, hedge, over, plan, tell,
        twice, when,
    },
    ask::{Tell, ask},
    entry::{Sees, Way},
    matrix::{judge, paused},
    stage::measured,
};

/// Where the setters of each layer stand.
const SOURCES: [(&str, &str); 11] = [
    ("breaker", "llm-breaker/src/layer.rs"),
    ("budget", "llm-budget/src/layer.rs"),
    ("cache", "llm-cache/src/layer.rs"),
    ("classify", "llm-classify/src/layer.rs"),
    ("fallback", "llm-fallback/src/layer.rs"),
    ("hedge", "llm-retry/src/hedge/layer.rs"),
    ("limit", "llm-budget/src/limit/layer.rs"),
    ("prompt_cache", "llm-cache/src/prompt/layer.rs"),
    ("retry", "llm-retry/src/layer.rs"),
    ("router", "llm-router/src/layer.rs"),
    ("timeout", "llm-timeout/src/layer.rs"),
];

/// Setters that configurations reach by other names, and one of those.
const BY_OTHER_NAMES: [(&str, &str, &str); 7] = [
    ("breaker", "rules", "breaker.trip"),
    ("classify", "sensitive_tenants", "classify.tenants"),
    ("fallback", "case", "fallback.cases[].message"),
    ("hedge", "after", "hedge.fixed"),
    ("hedge", "quota", "hedge.percent"),
    ("retry", "rules", "retry.base"),
    ("timeout", "limits", "timeout.head"),
];

/// A setter that no configuration reaches, and what is seen of it.
pub(crate) struct Setter {
    layer: &'static str,
    name: &'static str,
    why: &'static str,
    observe: Observe,
    whole: Sees,
    stream: Sees,
}

/// What is seen with the setter called, or without.
type Observe = fn(bool, Way) -> Pin<Box<dyn Future<Output = String>>>;

const NO_HEAD: &str = "a whole answer comes with its head";
const HOLD_BACK: &str = "hold_back";
const TOO_FINE: &str = "its default does for every provider that is known";
const CATALOG: &str = "a stack gives each layer its own catalogue, which `models` adds to";
const RESUMING: &str = "a stack does that when it takes the place of another";
const RANDOM: &str = "a seed is for tests";

pub(crate) fn all() -> Vec<Setter> {
    vec![
        Setter::new("retry", "random", RANDOM, |is_set, way| {
            Box::pin(twice(async move || {
                let rules = RetryRules::BATCH.base(AN_HOUR).cap(2 * AN_HOUR);
                let layer = when(is_set, RetryLayer::new().rules(rules), |layer| layer.random(Random::seeded(1)));
                tell(&over(layer), &[Tell::Took], [ask("fails")], way).await
            }))
        })
        .sees("the same twice"),
        Setter::new("retry", HOLD_BACK, TOO_FINE, |is_set, way| {
            Box::pin(head_of(over(when(is_set, RetryLayer::new(), |layer| layer.hold_back(a_second()))), way))
        })
        .holds_back(),
        Setter::new("hedge", HOLD_BACK, TOO_FINE, |is_set, way| {
            Box::pin(head_of(over(when(is_set, HedgeLayer::new(), |layer| layer.hold_back(a_second()))), way))
        })
        .holds_back(),
        Setter::new("router", HOLD_BACK, TOO_FINE, |is_set, way| {
            Box::pin(head_of(over(when(is_set, RouterLayer::new(plan("")), |layer| layer.hold_back(a_second()))), way))
        })
        .holds_back(),
        Setter::new("fallback", HOLD_BACK, TOO_FINE, |is_set, way| {
            let layer = FallbackLayer::new().case(When::new(), Answer::message("Away."));
            Box::pin(head_of(over(when(is_set, layer, |layer| layer.hold_back(a_second()))), way))
        })
        .holds_back(),
        Setter::new("cache", HOLD_BACK, TOO_FINE, |is_set, way| {
            Box::pin(head_of(over(when(is_set, CacheLayer::new(), |layer| layer.hold_back(a_second()))), way))
        })
        .holds_back(),
        Setter::new("hedge", "health", "a stack gives it what its breaker knows", |is_set, way| {
            Box::pin(async move {
                let layer = when(is_set, hedge(), |layer| layer.health(Arc::new(Ill("slow"))));
                let layers = ServiceBuilder::new().layer(RouterLayer::new(plan(""))).layer(layer);
                tell(&over(layers), &[Tell::Attempts], [ask("slow")], way).await
            })
        })
        .sees("ok x1"),
        Setter::new("hedge", "alternatives", "a stack gives it what its router knows", |is_set, way| {
            Box::pin(async move {
                let other = |_: &Target, _: &LlmRequest| Some(Target::new("simulated", "m"));
                let layer = when(is_set, hedge(), |layer| layer.alternatives(other));
                let layers = ServiceBuilder::new().layer(RouterLayer::new(plan(""))).layer(layer);
                tell(&over(layers), &[Tell::Went], [ask("slow")], way).await
            })
        })
        .sees("ok slow+m"),
        Setter::new("timeout", "catalog", CATALOG, |is_set, way| {
            Box::pin(async move {
                let layer = when(is_set, TimeoutLayer::new(), |layer| layer.catalog(catalog()));
                tell(&over(layer), &[Tell::Took], [ask("thinks")], way).await
            })
        })
        .stream("timeout_first_content 120s")
        .whole_alike("whole answers have as long whoever gives them"),
        Setter::new("breaker", "random", RANDOM, |is_set, way| {
            Box::pin(twice(async move || {
                let layer = when(is_set, breaker(), |layer| layer.random(Random::seeded(1)));
                tell(&over(layer), &[Tell::Again], [ask("fails"), ask("fails")], way).await
            }))
        })
        .sees("the same twice"),
        Setter::new("breaker", "sharing", "a stack gives it the patterns of its providers", |is_set, way| {
            Box::pin(async move {
                let layer = when(is_set, breaker(), |layer| layer.sharing(OfAll));
                tell(&over(layer), &[], [ask("fails"), ask("m")], way).await
            })
        })
        .sees("server | circuit_open"),
        Setter::new("breaker", "resuming", RESUMING, |is_set, way| {
            Box::pin(async move {
                let before = breaker();
                let first = tell(&over(before.clone()), &[], [ask("fails")], way).await;
                let layer = when(is_set, breaker(), |layer| layer.resuming(&before.handle()));
                first + " | " + &tell(&over(layer), &[], [ask("fails")], way).await
            })
        })
        .sees("server | circuit_open"),
        Setter::new("router", "health", "a stack gives it what its breaker knows", |is_set, way| {
            Box::pin(async move {
                let layer = RouterLayer::new(plan("[routes.r]\ntargets = ['m', 'n']"));
                let layer = when(is_set, layer, |layer| layer.health(Arc::new(Ill("m"))));
                tell(&over(layer), &[Tell::Went], [ask("r")], way).await
            })
        })
        .sees("ok n"),
        Setter::new("router", "random", RANDOM, |is_set, way| {
            Box::pin(twice(async move || {
                let layer = RouterLayer::new(plan("[routes.r]\nstrategy = 'weighted'\ntargets = ['m', 'n']"));
                let layer = when(is_set, layer, |layer| layer.random(Random::seeded(1)));
                tell(&over(layer), &[Tell::Went], ["r"; 40].map(ask), way).await
            }))
        })
        .sees("the same twice"),
        Setter::new("router", "resuming", RESUMING, |is_set, way| {
            Box::pin(async move {
                let before = RouterLayer::new(plan(""));
                tell(&over(before.clone()), &[], [ask("fails")], way).await;
                let layer = when(is_set, RouterLayer::new(plan("")), |layer| layer.resuming(&before.handle()));
                measured(&layer.handle(), "llm.router.failing fails")
            })
        })
        .sees("llm.router.failing fails 0.5"),
        Setter::new("router", "rank", "a strategy of one's own is code", |is_set, way| {
            Box::pin(async move {
                let plan = plan("");
                let route = plan.targets().route(["m", "n"]).unwrap();
                let route: Route = when(is_set, route, |route| route.rank(Last));
                let layer = RouterLayer::new(plan.strategy(Strategy::Ordered).route("r", route));
                tell(&over(layer), &[Tell::Went], [ask("r")], way).await
            })
        })
        .sees("ok n"),
        Setter::new("budget", "catalog", CATALOG, |is_set, way| {
            Box::pin(async move {
                let layer = when(is_set, BudgetLayer::new([cap()]), |layer| layer.catalog(catalog()));
                tell(&over(layer), &[], [ask("m").most(10)], way).await
            })
        })
        .sees("ok"),
        Setter::new(
            "budget",
            "ledger",
            "accounts that are kept elsewhere are a value of the program's",
            |is_set, way| {
                Box::pin(async move {
                    let ledger = Arc::new(MemoryLedger::default());
                    let with = || when(is_set, budget(), |layer| layer.ledger(ledger.clone()));
                    let (one, other) = (over(with()), over(with()));
                    tell(&one, &[], [ask("m").most(10)], way).await
                        + " | "
                        + &tell(&other, &[], [ask("m").most(10)], way).await
                })
            },
        )
        .sees("ok | budget_exceeded"),
        Setter::new("budget", "resuming", RESUMING, |is_set, way| {
            Box::pin(async move {
                let before = budget();
                let first = tell(&over(before.clone()), &[], [ask("m").most(10)], way).await;
                let layer = when(is_set, budget(), |layer| layer.resuming(&before.handle()));
                first + " | " + &tell(&over(layer), &[], [ask("m").most(10)], way).await
            })
        })
        .sees("ok | budget_exceeded"),
        Setter::new("limit", "catalog", CATALOG, |is_set, way| {
            Box::pin(async move {
                let rule = LimitRule::new("m", Per::GLOBAL).models(["m"]).requests_per_minute(NonZeroU32::MIN);
                let aliases = Catalog::from_toml("[[models]]\nname = 'm'\naliases = ['other']").unwrap();
                let layer = when(is_set, LimitLayer::new([rule]), |layer| layer.catalog(Arc::new(aliases)));
                tell(&over(layer), &[], [ask("other"), ask("other")], way).await
            })
        })
        .sees("model_not_found | limit_exceeded"),
        Setter::new("limit", "resuming", RESUMING, |is_set, way| {
            Box::pin(async move {
                let limit =
                    || LimitLayer::new([LimitRule::new("all", Per::GLOBAL).requests_per_minute(NonZeroU32::MIN)]);
                let before = limit();
                let first = tell(&over(before.clone()), &[], [ask("m")], way).await;
                let layer = when(is_set, limit(), |layer| layer.resuming(&before.handle()));
                first + " | " + &tell(&over(layer), &[], [ask("m")], way).await
            })
        })
        .sees("ok | limit_exceeded"),
        Setter::new("cache", "vary", "a stack tells it what its routes depend on", |is_set, way| {
            Box::pin(async move {
                let by_job = |request: &LlmRequest, says: &mut dyn FnMut(&str)| {
                    says(request.context().caller().job.as_deref().unwrap_or_default());
                };
                let layer = when(is_set, CacheLayer::new(), |layer| layer.vary(by_job));
                tell(&over(layer), &[Tell::Cache], [ask("m").job("a"), ask("m").job("b")], way).await
            })
        })
        .sees("ok miss | ok miss"),
        Setter::new("cache", "store", "answers that are kept elsewhere are a value of the program's", |is_set, way| {
            Box::pin(async move {
                let store = Arc::new(MemoryStore::new(NonZeroU64::new(1 << 20).unwrap()));
                let with = || when(is_set, CacheLayer::new(), |layer| layer.store(store.clone()));
                let (one, other) = (over(with()), over(with()));
                tell(&one, &[Tell::Cache], [ask("m")], way).await
                    + " | "
                    + &tell(&other, &[Tell::Cache], [ask("m")], way).await
            })
        })
        .sees("ok miss | ok hit"),
        Setter::new("cache", "catalog", CATALOG, |is_set, way| {
            Box::pin(async move {
                let layer = when(is_set, CacheLayer::new(), |layer| layer.catalog(catalog()));
                tell(&over(layer.clone()), &[], [ask("m"), ask("m")], way).await;
                measured(&layer.handle(), "llm.cache.saved_nano_usd")
            })
        })
        .sees("llm.cache.saved_nano_usd 113000"),
        Setter::new("cache", "resuming", RESUMING, |is_set, way| {
            Box::pin(async move {
                let before = CacheLayer::new();
                let first = tell(&over(before.clone()), &[Tell::Cache], [ask("m")], way).await;
                let layer = when(is_set, CacheLayer::new(), |layer| layer.resuming(&before.handle()));
                first + " | " + &tell(&over(layer), &[Tell::Cache], [ask("m")], way).await
            })
        })
        .sees("ok miss | ok hit"),
        Setter::new("prompt_cache", "catalog", CATALOG, |is_set, way| {
            Box::pin(async move {
                let facts = "[[models]]\nname = 'm'\ninput = 1.0\noutput = 10.0\ncache_write = 1.25\ncache_read = 0.1";
                let facts = Arc::new(Catalog::from_toml(facts).unwrap());
                let layer = when(is_set, PromptCacheLayer::new(), |layer| layer.catalog(facts));
                let long = ask("m").says("Why is the sky blue? ".repeat(400)).marked();
                tell(&over(layer.clone()), &[], [long], way).await;
                measured(&layer.handle(), "llm.prompt_cache.extra_nano_usd")
            })
        })
        .sees("llm.prompt_cache.extra_nano_usd 562750"),
        Setter::new("classify", "classifier", "a classifier of one's own is code", |is_set, way| {
            Box::pin(async move {
                let layer = when(is_set, ClassifyLayer::new(), |layer| layer.classifier(Chatter));
                tell(&over(layer.clone()), &[], [ask("m")], way).await;
                measured(&layer.handle(), "llm.classify.intents chatter")
            })
        })
        .sees("llm.classify.intents chatter 1"),
        Setter::new("classify", "detector", "a detector of one's own is code", |is_set, way| {
            Box::pin(async move {
                let layer = when(is_set, ClassifyLayer::new(), |layer| layer.detector(Chatter));
                tell(&over(layer.clone()), &[], [ask("m")], way).await;
                measured(&layer.handle(), "llm.classify.findings chatter")
            })
        })
        .sees("llm.classify.findings chatter 1"),
    ]
}

/// Runs each with the setter called and without, and fails with all that is wrong.
pub(crate) fn check() {
    let mut wrong = Vec::new();
    for setter in &all() {
        for (way, sees) in [(Way::Whole, &setter.whole), (Way::Stream, &setter.stream)] {
            let [with, without] = [true, false].map(|is_set| paused((setter.observe)(is_set, way)));
            wrong.extend(judge(&format!("{}, {way:?}", setter.path()), sees, &with, &[without]));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Fails where a setter is neither an option's nor has an entry here, or an entry here is of no setter.
pub(crate) fn cover() {
    let options = options_of::<StackConfig>();
    let is_option = |layer: &str, name: &str| {
        options.iter().any(|option| {
            let mut parts = option.split('.').map(|part| part.trim_end_matches("[]"));
            parts.next() == Some(layer) && parts.any(|part| part == name)
        })
    };
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut found = BTreeSet::new();
    for (layer, source) in SOURCES {
        let text = fs::read_to_string(crates.join(source)).unwrap();
        let setters = text.lines().filter_map(|line| {
            let (name, arguments) = line.strip_prefix("    pub fn ")?.split_once('(')?;
            (arguments.starts_with("self") || arguments.starts_with("mut self")).then_some(name)
        });
        found.extend(setters.map(|name| (layer, name.to_owned())));
    }
    let known: Vec<_> = all().iter().map(|setter| (setter.layer, setter.name)).collect();
    let mut wrong = Vec::new();
    for (layer, name) in &found {
        let by_other_name = BY_OTHER_NAMES
            .iter()
            .any(|(of, setter, option)| (of, *setter) == (layer, name.as_str()) && options.contains(*option));
        if !is_option(layer, name) && !by_other_name && !known.contains(&(layer, name)) {
            wrong.push(format!("the setter `{name}` of {layer} is no option and has no entry in the wiring matrix"));
        }
    }
    for (layer, name) in known {
        // It is a route's.
        if !found.contains(&(layer, name.to_owned())) && name != "rank" {
            wrong.push(format!("the entry of `{name}` of {layer} in the wiring matrix names no setter"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The setters as lines of the matrix.
pub(crate) fn table() -> String {
    let mut text =
        "| setter | why no configuration reaches it | whole answers | streams |\n|---|---|---|---|\n".to_owned();
    for setter in all() {
        text += &format!("| `{}` | {} | {} | {} |\n", setter.path(), setter.why, setter.whole, setter.stream);
    }
    text
}

impl Setter {
    fn new(layer: &'static str, name: &'static str, why: &'static str, observe: Observe) -> Self {
        Self { layer, name, why, observe, whole: Sees::Unsaid, stream: Sees::Unsaid }
    }

    fn path(&self) -> String {
        format!("{}, {}()", self.layer, self.name)
    }

    fn sees(self, seen: &'static str) -> Self {
        Self { whole: Sees::This(seen), ..self }.stream(seen)
    }

    fn stream(self, seen: &'static str) -> Self {
        Self { stream: Sees::This(seen), ..self }
    }

    fn whole_alike(self, reason: &'static str) -> Self {
        Self { whole: Sees::Alike(reason), ..self }
    }

    /// The head of a stream that brings no content is handed on after a second.
    fn holds_back(self) -> Self {
        self.stream("left head 1.1s").whole_alike(NO_HEAD)
    }
}
