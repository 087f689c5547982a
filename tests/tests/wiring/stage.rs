//! A stack over simulated models, what is asked of it, and what is seen.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use llm_core::Measures;
use llm_sim::{Sim, SimConfig, SimServer};
use llm_stack::{Stack, StackConfig};
use toml::{Table, Value};

use crate::{
    ask::{Ask, Tell, called, span},
    entry::{Entry, Way},
};

/// The models that scenarios may ask for, at a dollar a million tokens of input and ten of output.
const MODELS: [(&str, &str); 20] = [
    ("m", ""),
    ("n", "output_tokens = 5"),
    ("thinks", "capabilities = ['reasoning']\nfaults = [{ fault = 'hang after 0' }]"),
    ("fails", "faults = [{ fault = 'status 500' }]"),
    ("busy", "faults = [{ fault = 'status 503' }]"),
    ("waits", "faults = [{ fault = 'status 429 retry-after=90' }]"),
    ("refuses", "faults = [{ fault = 'status 400' }]"),
    ("hangs", "faults = [{ fault = 'hang' }]"),
    ("begins", "faults = [{ fault = 'hang after 0' }]"),
    ("stalls", "faults = [{ fault = 'hang after 3' }]"),
    ("mends", "faults = [{ calls = '1', fault = 'status 500' }]"),
    ("mends-late", "faults = [{ calls = '1', fault = 'status 500' }, { calls = '2', fault = 'hang' }]"),
    ("wears", "faults = [{ calls = '2..', fault = 'status 500' }]"),
    ("tires", "faults = [{ every = 3, fault = 'delay 0s' }, { calls = '3..', fault = 'status 500' }]"),
    ("dear", "input = 10.0\noutput = 100.0\nfirst_token = '10ms'"),
    ("forbids", r#"faults = [{ fault = 'error-body content_policy_violation' }]"#),
    ("late", "first_token = '1s'"),
    ("slow", "first_token = '8s'"),
    ("slow-once", "faults = [{ calls = '21', fault = 'delay 8s' }]"),
    ("slows", "faults = [{ calls = '5..', fault = 'delay 8s' }]"),
];

/// Something that is done, and seen.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A call, to its end.
    Ask(Ask),
    /// So many of them, one after the other, of which nothing is told.
    Quietly(usize, Ask),
    /// That, until it finds a circuit open.
    UntilOpen(Ask),
    /// So many calls about different things, of which is told where they went.
    Spread(usize, Ask),
    /// The router's rules by name.
    Rules,
    /// Calls at the same time.
    Together(Vec<Ask>),
    /// Time goes by.
    Wait(Duration),
    /// The sum of the layers' figures of a name; behind a space may stand the value of a label.
    Measure(&'static str),
    /// What operators have been told, as `kind of key`.
    Notices,
    /// What has been spent of each account, by rule and name.
    Accounts,
}

impl Step {
    pub(crate) fn wait(time: &str) -> Self {
        Self::Wait(span(time))
    }

    pub(crate) fn asks(&self) -> &[Ask] {
        match self {
            Self::Ask(ask) | Self::Quietly(_, ask) | Self::UntilOpen(ask) | Self::Spread(_, ask) => {
                std::slice::from_ref(ask)
            }
            Self::Together(asks) => asks,
            Self::Wait(_) | Self::Measure(_) | Self::Rules | Self::Notices | Self::Accounts => &[],
        }
    }
}

impl From<Ask> for Step {
    fn from(ask: Ask) -> Self {
        Self::Ask(ask)
    }
}

/// What is seen of a scenario with this configuration.
pub(crate) fn observe(entry: &Entry, config: Table, way: Way) -> String {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = if entry.is_over_http { runtime.enable_all() } else { runtime.enable_time().start_paused(true) };
    runtime.build().unwrap().block_on(async {
        let mut config = config_of(config);
        let _server = if entry.is_over_http { Some(served(&mut config).await) } else { None };
        let stack = match Stack::try_from(config) {
            Ok(stack) => stack,
            Err(error) => return format!("refused: {error}"),
        };
        let service = stack.service();
        let mut listeners = stack.handles().notices();
        let mut seen = Vec::new();
        for step in &entry.steps {
            match step {
                Step::Ask(ask) => seen.push(called(&service, ask, &entry.tells, way).await),
                Step::Quietly(times, ask) => {
                    for _ in 0..*times {
                        called(&service, ask, &[], way).await;
                    }
                }
                Step::UntilOpen(ask) => {
                    let mut calls = 0;
                    while calls < 40 && called(&service, ask, &[], way).await != "circuit_open" {
                        calls += 1;
                    }
                    seen.push(if calls < 40 { format!("open after {calls}") } else { "stays closed".to_owned() });
                }
                Step::Spread(times, ask) => {
                    let mut went = BTreeSet::new();
                    for number in 0..*times {
                        went.insert(
                            called(&service, &ask.clone().says(format!("Why {number}?")), &[Tell::Went], way).await,
                        );
                    }
                    seen.push(went.iter().map(|went| went.trim_start_matches("ok ")).collect::<Vec<_>>().join(", "));
                }
                Step::Rules => {
                    let plan = stack.handles().router.plan();
                    seen.extend(plan.stated_rules().iter().map(|rule| rule.to_string()));
                }
                Step::Together(asks) => {
                    seen.extend(join_all(asks.iter().map(|ask| called(&service, ask, &entry.tells, way))).await);
                }
                Step::Wait(time) => tokio::time::sleep(*time).await,
                Step::Measure(name) => seen.push(measured(stack.handles(), name)),
                Step::Notices => {
                    for listener in &mut listeners {
                        while let Some(Some(notice)) = listener.next().now_or_never() {
                            seen.push(format!("{} of {}", notice.kind, notice.key));
                        }
                    }
                }
                Step::Accounts => {
                    let accounts = stack.handles().budget.as_ref().map_or_else(Vec::new, |budget| budget.accounts());
                    seen.extend(
                        accounts.iter().map(|account| format!("{}: {}", account.key, account.balances[0].spent)),
                    );
                }
            }
        }
        seen.join(" | ")
    })
}

/// The configuration over the simulated models.
pub(crate) fn config_of(mut config: Table) -> StackConfig {
    config.insert("simulated".to_owned(), Value::Table(simulated()));
    config.try_into().unwrap_or_else(|error| panic!("{error}"))
}

/// The simulated models by themselves.
pub(crate) fn sim() -> SimConfig {
    simulated().try_into().unwrap()
}

fn simulated() -> Table {
    let usual = "input = 1.0\noutput = 10.0\nfirst_token = '100ms'\ntokens_per_second = 100.0\noutput_tokens = 10\n";
    let models = MODELS.map(|(name, more)| {
        let mut model: Table = usual.parse().unwrap();
        model.insert("name".to_owned(), name.into());
        model.extend(more.parse::<Table>().unwrap());
        Value::Table(model)
    });
    Table::from_iter([("models".to_owned(), Value::Array(models.into()))])
}

/// A server of the simulated models, which are called there.
async fn served(config: &mut StackConfig) -> SimServer {
    let sim = Sim::try_from(config.simulated.take().unwrap()).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    let text = format!(
        "name = 'anthropic'\nbase_url = '{}'\nmodels = ['m']\nkeys = [{{ name = 'k', key = 'k' }}]",
        server.base_url()
    );
    config.providers.push(toml::from_str(&text).unwrap());
    server
}

pub(crate) fn measured(layers: &dyn Measures, wanted: &str) -> String {
    let (name, label) = wanted.split_once(' ').map_or((wanted, None), |(name, label)| (name, Some(label)));
    let mut sum = 0.0;
    layers.measure(&mut |measure| {
        let is_wanted = label.is_none_or(|label| measure.labels.iter().any(|(_, value)| value == label));
        if measure.name == name && is_wanted {
            sum += measure.value;
        }
    });
    format!("{wanted} {sum}")
}
