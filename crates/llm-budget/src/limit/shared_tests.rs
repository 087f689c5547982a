//! Limits together against a model that a child could check, and under threads.

use std::{
    collections::HashMap,
    num::{NonZeroU32, NonZeroU64},
    sync::atomic::AtomicUsize,
    thread,
};

use llm_core::Caller;
use proptest::prelude::*;

use super::*;
use crate::{
    Per,
    limit::{key, status::LimitStatus},
};

const MINUTE: i128 = 60_000_000_000;

fn rule(name: &str, per: Per, requests: u32, tokens: u64, at_once: u32) -> LimitRule {
    let mut rule = LimitRule::new(name, per);
    if let Some(requests) = NonZeroU32::new(requests) {
        rule = rule.requests_per_minute(requests);
    }
    if let Some(tokens) = NonZeroU64::new(tokens) {
        rule = rule.tokens_per_minute(tokens);
    }
    if let Some(calls) = NonZeroU32::new(at_once) {
        rule = rule.at_once(calls);
    }
    rule
}

fn shared(rules: Vec<LimitRule>, most_callers: usize) -> Shared {
    let most_callers = NonZeroUsize::new(most_callers).unwrap();
    Shared::new(Settings { rules, most_callers, expected_output: u64::MAX, catalog: None }, None)
}

/// A call of one of a tenant's users, which may have so many tokens of output.
fn ask(tenant: u8, user: u8, output: u64) -> LlmRequest {
    let mut request = LlmRequest::chat("m").user("hi").max_output_tokens(output).build();
    let name = |number: u8| Some(Arc::from(number.to_string()));
    request.context_mut().set_caller(Caller { tenant: name(tenant), user: name(user), ..Caller::default() });
    request
}

/// The prompt of such a call.
fn prompt() -> u64 {
    ask(0, 0, 0).estimate_prompt(TokenFamily::default()).likely
}

/// A limit as people think of it. What is in a bucket is counted in nanoseconds times the amount, so that it is whole.
#[derive(Clone, Copy, Debug)]
struct Naive {
    // Nanoseconds that a request takes, and how many there may be.
    interval: i128,
    requests: i128,
    request_level: i128,
    tokens: i128,
    token_level: i128,
    at_once: i128,
    in_flight: i128,
}

impl Naive {
    fn new((requests, tokens, at_once): (u32, u64, u32)) -> Self {
        let interval = if requests == 0 { 0 } else { MINUTE / i128::from(requests) };
        Self {
            interval,
            requests: requests.into(),
            request_level: interval * i128::from(requests),
            tokens: tokens.into(),
            token_level: i128::from(tokens) * MINUTE,
            at_once: at_once.into(),
            in_flight: 0,
        }
    }

    fn pass(&mut self, nanos: i128) {
        self.request_level = (self.request_level + nanos).min(self.interval * self.requests);
        self.token_level = (self.token_level + nanos * self.tokens).min(self.tokens * MINUTE);
    }

    /// How long a call must wait; `None` if it may begin, zero if nobody knows.
    fn wait(&self, tokens: i128) -> Option<i128> {
        let requests = if self.requests == 0 { 0 } else { self.interval - self.request_level };
        let asked = tokens.min(self.tokens) * MINUTE;
        let missing = if self.tokens == 0 { 0 } else { (asked - self.token_level).max(0) };
        let tokens = if missing == 0 { 0 } else { (missing + self.tokens - 1) / self.tokens };
        match requests.max(tokens) {
            wait if wait > 0 => Some(wait),
            _ if self.at_once > 0 && self.in_flight >= self.at_once => Some(0),
            _ => None,
        }
    }

    fn begin(&mut self, tokens: i128) {
        self.request_level -= self.interval;
        self.in_flight += 1;
        self.token_level -= if self.tokens == 0 { 0 } else { tokens * MINUTE };
    }

    /// Other amounts, of which as much is used up.
    fn change(&mut self, amounts: (u32, u64, u32)) {
        let mut new = Self { in_flight: self.in_flight, ..Self::new(amounts) };
        if self.requests > 0 {
            let used = self.interval * self.requests - self.request_level;
            new.request_level -= (used * new.interval + self.interval - 1) / self.interval;
        }
        new.token_level -= self.tokens * MINUTE - self.token_level;
        *self = new;
    }

    fn end(&mut self, charged: i128, really: i128) {
        self.in_flight -= 1;
        if self.tokens > 0 {
            self.token_level = (self.token_level + (charged - really) * MINUTE).min(self.tokens * MINUTE);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Begin {
        tenant: u8,
        user: u8,
        output: u64,
    },
    End {
        which: usize,
        really: u64,
    },
    /// Another layer takes the place of this one, with other amounts.
    Resume {
        requests: u32,
        tokens: u64,
        at_once: u32,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let begin =
        || (0_u8..3, 0_u8..2, 0_u64..900).prop_map(|(tenant, user, output)| Step::Begin { tenant, user, output });
    prop_oneof![
        (0_u64..15_000_000_000).prop_map(Step::Pass),
        (0_u64..50).prop_map(Step::Pass),
        begin(),
        begin(),
        begin(),
        (any::<usize>(), 0_u64..1_500).prop_map(|(which, really)| Step::End { which, really }),
        (any::<usize>(), 0_u64..1_500).prop_map(|(which, really)| Step::End { which, really }),
        (1_u32..20, 1_u64..3_000, 1_u32..5).prop_map(|(requests, tokens, at_once)| Step::Resume {
            requests,
            tokens,
            at_once
        }),
    ]
}

fn any_amounts() -> impl Strategy<Value = (u32, u64, u32)> {
    (prop_oneof![Just(0_u32), 1_u32..20], prop_oneof![Just(0_u64), 1_u64..3_000], prop_oneof![Just(0_u32), 1_u32..5])
}

fn assert_stands(status: &LimitStatus, naive: &Naive) -> Result<(), TestCaseError> {
    prop_assert_eq!(i128::from(status.in_flight), naive.in_flight);
    if let Some(left) = status.requests_left {
        prop_assert_eq!(i128::from(left), (naive.request_level / naive.interval).max(0));
    }
    if let Some(left) = status.tokens_left {
        prop_assert_eq!(i128::from(left), naive.token_level.div_euclid(MINUTE));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// All calls, those of a tenant and those of a user are limited at the same time. There is room for all or, where
    /// callers are forgotten to make some, for as many as can have anything to remember.
    #[test]
    fn calls_pass_all_limits_or_none_and_wait_exactly_as_long_as_they_must(
        amounts in [any_amounts(), any_amounts(), any_amounts()], steps in prop::collection::vec(any_step(), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let prompt = prompt();
        runtime.block_on(async {
            let rules = |amounts: [(u32, u64, u32); 3]| {
                let pers = [("all", Per::GLOBAL), ("tenant", Per::TENANT), ("user", Per::USER)].into_iter().zip(amounts);
                pers.map(|((name, per), (requests, tokens, at_once))| rule(name, per, requests, tokens, at_once)).collect()
            };
            let mut amounts = amounts;
            let mut layers = vec![shared(rules(amounts), 6)];
            let counts_tokens = amounts.iter().any(|(_, tokens, _)| *tokens > 0);
            let mut model = HashMap::new();
            let mut under_way = Vec::new();
            for step in steps {
                let shared = layers.last().expect("there is always one");
                match step {
                    Step::Pass(nanos) => {
                        tokio::time::advance(Duration::from_nanos(nanos)).await;
                        model.values_mut().for_each(|naive: &mut Naive| naive.pass(nanos.into()));
                    }
                    Step::Begin { tenant, user, output } => {
                        let keys = [(0, 0, 0), (1, tenant, 0), (2, tenant, user)];
                        let tokens = i128::from(prompt + output);
                        let mut naive = keys.map(|key @ (at, ..)| *model.entry(key).or_insert(Naive::new(amounts[at])));
                        let longest = naive.iter().filter_map(|naive| naive.wait(tokens)).max();
                        match (shared.admit(&ask(tenant, user, output)), longest) {
                            (Ok(admitted), None) => {
                                prop_assert_eq!(i128::from(admitted.tokens), if counts_tokens { tokens } else { 0 });
                                naive.iter_mut().for_each(|naive| naive.begin(tokens));
                                model.extend(keys.into_iter().zip(naive));
                                under_way.push((admitted, layers.len() - 1, keys, tokens));
                            }
                            (Err(error), Some(wait)) => {
                                let told = error.retry_after().map_or(0, |wait| wait.as_nanos() as i128);
                                prop_assert_eq!((error.kind(), told), (ErrorKind::LimitExceeded, wait));
                            }
                            (answer, expected) => prop_assert!(false, "{answer:?}, and not {expected:?}"),
                        }
                    }
                    Step::End { which, really } if !under_way.is_empty() => {
                        let (admitted, layer, keys, tokens) = under_way.swap_remove(which % under_way.len());
                        layers[layer].end(&admitted, really);
                        keys.iter().for_each(|key| model.get_mut(key).unwrap().end(tokens, really.into()));
                    }
                    Step::End { .. } => {}
                    Step::Resume { requests, tokens, at_once } => {
                        // What was not limited has not been counted.
                        for (own, amounts) in amounts.iter_mut().enumerate() {
                            let (known_requests, known_tokens, known_at_once) = *amounts;
                            let kept = |known: u64, new: u64| if known == 0 { 0 } else { new };
                            *amounts = (
                                kept(known_requests.into(), requests.into()) as u32,
                                kept(known_tokens, tokens),
                                kept(known_at_once.into(), at_once.into()) as u32,
                            );
                            let naive = model.iter_mut().filter(|((at, ..), _)| *at == own);
                            naive.for_each(|(_, naive)| naive.change(*amounts));
                        }
                        let settings = Settings { rules: rules(amounts), ..shared.settings.clone() };
                        let next = Shared::new(settings, Some(shared));
                        layers.push(next);
                    }
                }
                let shared = layers.last().expect("there is always one");
                for (&(at, tenant, user), naive) in &model {
                    let request = ask(tenant, user, 0);
                    let table = &shared.tables[at];
                    let account = table.scope.account(&shared.whose(request.context().caller(), request.target_or_model()));
                    let entry = table.look(&key::key(table.scope.per, &account)).expect("there is room for all");
                    let status = LimitStatus::new(table, account.to_key(), &entry.lock(), shared.now());
                    assert_stands(&status, naive)?;
                }
            }
            Ok(())
        })?;
    }

    /// With room for one caller less than there are, whoever has something to remember is remembered: nobody is ever
    /// let through whom the model would not let through.
    #[test]
    fn whoever_is_forgotten_has_nothing_to_remember(
        amounts in any_amounts(), steps in prop::collection::vec(any_step(), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let prompt = prompt();
        runtime.block_on(async {
            let (requests, tokens, at_once) = amounts;
            let shared = shared(vec![rule("limit", Per::TENANT, requests, tokens, at_once)], 2);
            let mut model = [Naive::new(amounts); 3];
            let mut under_way = Vec::new();
            for step in steps {
                match step {
                    Step::Pass(nanos) => {
                        tokio::time::advance(Duration::from_nanos(nanos)).await;
                        model.iter_mut().for_each(|naive| naive.pass(nanos.into()));
                    }
                    Step::Begin { tenant, user, output } => {
                        let asked = i128::from(prompt + output);
                        if let Ok(admitted) = shared.admit(&ask(tenant, user, output)) {
                            // What callers without room did is in an entry of its own, and counts there.
                            let naive = &mut model[usize::from(tenant)];
                            let is_own = !std::ptr::eq(&*admitted.entries[0].1, shared.tables[0].overflow());
                            if is_own {
                                prop_assert_eq!(naive.wait(asked), None);
                                naive.begin(asked);
                            }
                            under_way.push((admitted, is_own.then_some(usize::from(tenant)), asked));
                        }
                    }
                    Step::End { which, really } if !under_way.is_empty() => {
                        let (admitted, own, asked) = under_way.swap_remove(which % under_way.len());
                        shared.end(&admitted, really);
                        own.into_iter().for_each(|tenant| model[tenant].end(asked, really.into()));
                    }
                    Step::End { .. } | Step::Resume { .. } => {}
                }
                prop_assert!(shared.tables[0].len() <= 2);
            }
            for (admitted, ..) in under_way {
                shared.end(&admitted, 0);
            }
            prop_assert_eq!((shared.tables[0].in_flight(), shared.tables[0].overflow().lock().in_flight()), (0, 0));
            Ok(())
        })?;
    }
}

#[test]
fn a_call_whose_caller_is_forgotten_before_it_is_counted_looks_again() {
    let shared = shared(vec![rule("tenant", Per::TENANT, 0, 0, 1)], 1);
    let found = shared.entries(&ask(1, 0, 0), shared.now());
    // Somebody else needs the room, and the first caller has nothing to remember yet.
    let other = shared.admit(&ask(2, 0, 0)).unwrap();
    assert!(matches!(shared.try_begin(&found, 0, shared.now()), Tried::Again));
    assert_eq!(found[0].1.lock().in_flight(), 0);
    shared.end(&other, 0);
    shared.admit(&ask(1, 0, 0)).unwrap();
    shared.admit(&ask(1, 0, 0)).unwrap_err();
}

#[test]
fn threads_get_exactly_what_there_is_while_others_are_forgotten() {
    let rules = vec![
        rule("all", Per::GLOBAL, 0, 0, 3),
        rule("tenant", Per::TENANT, 1_000, 0, 2),
        // Refuses many calls that the others agree to.
        rule("user", Per::USER, 100, 1, 0),
    ];
    let shared = shared(rules, 4);
    let (through, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (shared, through, most) = (&shared, &through, &most);
            scope.spawn(move || {
                for round in 0..2_000_u32 {
                    // Users come and go, so that entries are forgotten and made all the time.
                    let request = ask(thread % 2, u8::try_from(round % 50).unwrap(), 0);
                    if let Ok(admitted) = shared.admit(&request) {
                        most.fetch_max(through.fetch_add(1, Relaxed) + 1, Relaxed);
                        thread::yield_now();
                        through.fetch_sub(1, Relaxed);
                        shared.end(&admitted, 0);
                    }
                }
            });
        }
    });
    assert!((1..=3).contains(&most.into_inner()));
    for table in &shared.tables {
        assert_eq!(table.in_flight(), 0);
        table.for_each(|_, entry| assert_eq!(entry.lock().in_flight(), 0));
        assert_eq!(table.overflow().lock().in_flight(), 0);
        assert!(table.len() <= 4);
    }
}

#[test]
fn of_a_minutes_requests_threads_get_each_once() {
    let shared = shared(vec![rule("tenant", Per::TENANT, 500, 0, 0), rule("all", Per::GLOBAL, 500, 0, 0)], 10);
    let ask_all = || (0..250_u8).chain(0..250).filter(|number| shared.admit(&ask(number % 2, 0, 0)).is_ok()).count();
    let admitted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask_all)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // In real time a few come back meanwhile: one in 120 milliseconds.
    let back = usize::try_from(shared.now().as_millis() / 120).unwrap();
    assert!((500..=500 + back).contains(&admitted), "{admitted} with {back} come back");
}
