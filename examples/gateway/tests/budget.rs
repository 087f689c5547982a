//! Budgets of a gateway before real providers: who is refused and what they are told, what becomes of streams, and what
//! operators are shown beside what the provider has seen.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod harness;

use harness::{ADMIN, Answer, Gateway, ONE_TO_ONE, operators::usd};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use llm_sim::{Ended, FaultRule, ModelConfig, Received, Sim, SimConfig, SimServer};
use serde_json::{Value, json};

/// Keys, and what `printf %s KEY | sha256sum` prints of them: two of acme's and one of zeta's.
const CI: Key =
    Key("acme-ci", "caller-key-canary-1", "03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104");
const WEB: Key =
    Key("acme-web", "caller-key-canary-2", "04b3d52f5e8c960da61343e5b9bb16b35475655bf2b2834e5a9ed15d4ab20a8e");
const ZETA: Key = Key("zeta", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");

/// A key's name, itself, and its hash.
struct Key(&'static str, &'static str, &'static str);

const PROMPT: &str = "Tell me of the prompt-canary in the mine.";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Dialect {
    OpenAi,
    Anthropic,
}

const DIALECTS: [Dialect; 2] = [Dialect::OpenAi, Dialect::Anthropic];

/// Callers' dialects, each with both of providers.
fn pairs() -> impl Iterator<Item = (Dialect, Dialect)> {
    DIALECTS.into_iter().flat_map(|caller| DIALECTS.map(|provider| (caller, provider)))
}

impl Dialect {
    fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }

    /// The sentence of an error that must be one of this dialect's.
    fn sentence(self, error: &Value) -> &str {
        if self == Self::Anthropic {
            assert_eq!(error["type"], "error", "{error}");
        }
        error["error"]["message"].as_str().unwrap_or_else(|| panic!("no error: {error}"))
    }

    /// What only the end of a whole stream has in it.
    fn endings(self) -> [&'static str; 2] {
        match self {
            Self::OpenAi => ["[DONE]", "\"finish_reason\":\""],
            Self::Anthropic => ["message_stop", "\"stop_reason\":\""],
        }
    }
}

/// A body that is one of either dialect.
fn chat(model: &str, most_output: u64, stream: bool) -> Value {
    let messages = json!([{ "role": "user", "content": PROMPT }]);
    json!({ "model": model, "max_tokens": most_output, "stream": stream, "messages": messages })
}

/// A simulated provider, and a gateway before it in which a token of either way costs a thousand nano-dollars.
struct Setting {
    sim: SimServer,
    gateway: Gateway,
    /// The configuration but for its budget.
    rest: String,
}

impl Setting {
    async fn new(dialect: Dialect, models: Vec<ModelConfig>, tables: &str) -> Self {
        let names: Vec<_> = models.iter().map(|model| model.name.clone()).collect();
        let sim = Sim::try_from(SimConfig::new(models)).unwrap().serve("127.0.0.1:0").await.unwrap();
        let dialect = format!("{dialect:?}").to_lowercase();
        let keys = [CI, WEB, ZETA].map(|Key(name, _, sha256)| {
            let tenant = name.split('-').next().unwrap();
            format!("[[keys]]\nsha256 = \"{sha256}\"\nname = \"{name}\"\ntenant = \"{tenant}\"\n")
        });
        let prices = names.iter().map(|name| format!("[[models]]\nname = \"{name}\"\ninput = 1.0\noutput = 1.0\n"));
        let rest = format!(
            "{ADMIN}{}{}[[providers]]\nname = \"upstream\"\ndialect = \"{dialect}\"\nbase_url = \"{}\"\n\
             keys = [{{ name = \"first\", key = \"sk-upstream-canary\" }}]\nmodels = {names:?}\n",
            keys.concat(),
            prices.collect::<String>(),
            sim.base_url(),
        );
        let gateway = Gateway::start(&format!("{ONE_TO_ONE}{tables}{rest}")).await;
        Self { sim, gateway, rest }
    }

    async fn reconfigure(&self, tables: &str) {
        assert!(
            self.gateway.reconfigure(&format!("{ONE_TO_ONE}{tables}{}", self.rest)).await,
            "{}",
            self.gateway.said()
        );
    }

    async fn send(&self, Key(_, key, _): &Key, dialect: Dialect, body: &Value) -> http::Response<Incoming> {
        let mut request = self.gateway.request(Method::POST, dialect.path(), body.to_string());
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        self.gateway.send(request).await
    }

    async fn ask(&self, key: &Key, dialect: Dialect, body: &Value) -> Answer {
        Answer::read(self.send(key, dialect, body).await).await
    }

    async fn stream(&self, dialect: Dialect, body: &Value) -> Stream {
        let response = self.send(&CI, dialect, body).await;
        assert_eq!(response.status(), StatusCode::OK);
        Stream { body: response.into_body(), text: String::new() }
    }

    /// What operators see of a budget that has one account, once no call is under way.
    async fn account(&self) -> Value {
        self.gateway.until_idle().await;
        let spend = self.gateway.look("/spend").await;
        let [account] = &spend["accounts"].as_array().unwrap()[..] else { panic!("{spend}") };
        account["windows"][0].clone()
    }

    async fn order(&self, action: &str) {
        let order = json!({ "budget": "per-tenant", "tenant": "acme", "action": action });
        let answer = self.gateway.operate(Method::POST, "/spend", &order).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

/// A streamed answer as it comes.
struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    /// Reads on until so many events have come.
    async fn read(&mut self, events: usize) {
        while self.text.matches("\n\n").count() < events {
            assert!(self.read_more().await, "it has ended: {}", self.text);
        }
    }

    async fn read_to_end(mut self) -> String {
        while self.read_more().await {}
        self.text
    }

    async fn read_more(&mut self) -> bool {
        let Some(frame) = self.body.frame().await else { return false };
        let data = frame.expect("a gateway ends its streams cleanly").into_data().unwrap_or_default();
        self.text.push_str(std::str::from_utf8(&data).unwrap());
        true
    }
}

/// The error within a stream, which must be the last of its events, of a stream without an end.
fn in_band(dialect: Dialect, text: &str) -> Value {
    for ending in dialect.endings() {
        assert!(!text.contains(ending), "{text}");
    }
    let data = text.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str(data).unwrap()
}

fn answering(name: &str, tokens: u64, fault: Option<&str>) -> ModelConfig {
    let model = ModelConfig { output_tokens: tokens, ..ModelConfig::instant(name) };
    match fault {
        Some(fault) => model.fault(FaultRule::new(fault.parse().unwrap())),
        None => model,
    }
}

/// A model that speaks slowly enough for something to happen meanwhile, and long enough to be cut.
fn long() -> Vec<ModelConfig> {
    vec![ModelConfig { tokens_per_second: 400.0, ..answering("m", 4_000, None) }]
}

fn per_tenant(tokens: u64) -> String {
    let usd = usd(tokens);
    format!(
        "[budget]\nlikely_output = 16\nslice = 8\n[[budget.caps]]\nname = \"per-tenant\"\nper = \"tenant\"\n\
         amounts = {{ usd = \"{usd}\", window = \"day\" }}\n"
    )
}

/// What the provider bills for a call, in tokens.
fn billed(call: &Received) -> u64 {
    call.usage.map_or(0, |usage| usage.total())
}

#[tokio::test]
async fn a_spent_budget_refuses_its_own_key_and_tenant_and_nobody_else_in_either_dialect() {
    for provider in DIALECTS {
        // Each call comes to 38 tokens, and at most to 70.
        let caps = format!(
            "[budget]\n[[budget.caps]]\nname = \"per-key\"\nper = \"key\"\namounts = {{ usd = \"{}\", window = \"day\" }}\n\
             [[budget.caps]]\nname = \"per-tenant\"\nper = \"tenant\"\namounts = {{ usd = \"{}\", window = \"day\" }}\n",
            usd(120),
            usd(160)
        );
        let setting = Setting::new(provider, vec![answering("m", 20, None)], &caps).await;
        for (key, calls, budget) in [(&CI, 2, "per-key"), (&WEB, 1, "per-tenant")] {
            for _ in 0..calls {
                let answer = setting.ask(key, DIALECTS[0], &chat("m", 50, false)).await;
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            }
            for (dialect, stream) in pairs().map(|(dialect, other)| (dialect, other == Dialect::OpenAi)) {
                let resets_in = async || {
                    let spend = setting.gateway.look(&format!("/spend?budget={budget}&tenant=acme")).await;
                    spend["accounts"][0]["windows"][0]["resets_in_seconds"].as_u64().unwrap()
                };
                let before = resets_in().await;
                let refused = setting.ask(key, dialect, &chat("m", 50, stream)).await;
                assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED, "{}", refused.text());
                assert_eq!(refused.header("x-llm-error-kind"), Some("budget_exceeded"));
                assert_eq!(refused.header("x-should-retry"), Some("false"));
                let json = refused.json();
                let sentence = dialect.sentence(&json);
                assert!(sentence.contains(&format!("the budget `{budget}` has $0.0000")), "{sentence}");
                assert!(!sentence.contains("acme"), "whose it is, is nobody's business: {sentence}");
                let (wait, after) = (refused.header("retry-after").unwrap().parse().unwrap(), resets_in().await);
                // Unless midnight came in between.
                assert!((after..=before).contains(&wait) || after > before, "{after} {wait} {before}");
            }
        }
        let other = setting.ask(&ZETA, DIALECTS[1], &chat("m", 50, false)).await;
        assert_eq!((other.status, setting.sim.requests()), (StatusCode::OK, 4));
    }
}

#[tokio::test]
async fn a_limit_is_told_in_either_dialect_with_the_time_to_wait() {
    let limit = "[limit]\n[[limit.rules]]\nname = \"per-key\"\nper = \"key\"\nrequests_per_minute = 1\n";
    let setting = Setting::new(Dialect::OpenAi, vec![answering("m", 20, None)], limit).await;
    assert_eq!(setting.ask(&CI, Dialect::OpenAi, &chat("m", 50, false)).await.status, StatusCode::OK);
    for dialect in DIALECTS {
        let refused = setting.ask(&CI, dialect, &chat("m", 50, true)).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.text());
        assert!((1..=60).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
        assert!(dialect.sentence(&refused.json()).contains("`per-key`"), "{}", refused.text());
    }
    assert_eq!(setting.ask(&WEB, Dialect::OpenAi, &chat("m", 50, false)).await.status, StatusCode::OK);
    assert_eq!(setting.sim.requests(), 2);
}

#[tokio::test]
async fn a_stream_for_which_there_is_no_more_money_ends_with_an_error_in_it_and_stops_its_provider() {
    for (caller, provider) in pairs() {
        let setting = Setting::new(provider, long(), &per_tenant(100)).await;
        let text = setting.stream(caller, &chat("m", 5_000, true)).await.read_to_end().await;
        let error = in_band(caller, &text);
        let sentence = caller.sentence(&error);
        assert!(sentence.contains("cut: the budget `per-tenant` has $0.00"), "{sentence}");
        let log = setting.sim.until(|log| log[0].ended.is_some()).await;
        assert!(matches!(log[0].ended, Some(Ended::CallerLeft { .. })), "{caller:?} {provider:?} {log:?}");

        let account = setting.account().await;
        assert_eq!((&account["reserved_usd"], &account["debt_usd"]), (&json!("0.00"), &json!("0.00")));
        assert_eq!(account["spent_usd"], account["estimated_usd"]);
        let spend = setting.gateway.look("/spend").await;
        assert_eq!((&spend["calls"]["cut"], &spend["models"][0]["estimated_usd"]), (&json!(1), &account["spent_usd"]));
        let spent: f64 = account["spent_usd"].as_str().unwrap().parse().unwrap();
        assert!((0.00005..=0.0001).contains(&spent), "most of it was used: {spent}");
    }
}

/// Were it only counted upon, and not told, an answer could come to more than was set aside for it.
#[tokio::test]
async fn a_ceiling_that_a_budget_assumes_or_lowers_is_what_the_provider_is_told() {
    let tables = |tokens| per_tenant(tokens).replace("slice", "assumed_output = 30\nfit_output = 10\nslice");
    for (caller, provider) in pairs() {
        let setting = Setting::new(provider, vec![answering("m", 90, None)], &tables(10_000)).await;
        let made = async |body: &Value, call: usize| {
            let answer = setting.ask(&CI, caller, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            let log = setting.sim.until(|log| log.len() > call && log[call].ended.is_some()).await;
            log[call].usage.unwrap()
        };
        let mut unlimited = chat("m", 0, false);
        unlimited.as_object_mut().unwrap().remove("max_tokens");
        // Anthropic's clients have to state one.
        if caller == Dialect::OpenAi {
            assert_eq!(made(&unlimited, 0).await.output, 30);
        } else {
            assert_eq!(made(&chat("m", 40, false), 0).await.output, 40);
        }
        assert_eq!(made(&chat("m", 60, false), 1).await.output, 60, "what is stated holds");

        let used = setting.sim.log().iter().map(billed).sum::<u64>();
        setting.reconfigure(&tables(used + 65)).await;
        let fitted = made(&chat("m", 90, false), 2).await.output;
        assert!((10..60).contains(&fitted), "{fitted} of what is left of 65 after the prompt");
        let account = setting.account().await;
        assert_eq!((&account["debt_usd"], &account["estimated_usd"]), (&json!("0.00"), &json!("0.00")));
    }
}

#[tokio::test]
async fn embeddings_are_paid_for_and_token_counts_are_free() {
    let vectors = ModelConfig { first_token: std::time::Duration::ZERO, ..ModelConfig::embedding("vectors", 8) };
    let setting = Setting::new(Dialect::OpenAi, vec![vectors, answering("m", 20, None)], &per_tenant(40)).await;
    let count = json!({ "model": "m", "messages": [{ "role": "user", "content": PROMPT }] });
    let embed = json!({ "model": "vectors", "input": [PROMPT, PROMPT] });
    let status = async |path: &str, body: &Value| {
        let mut request = setting.gateway.request(Method::POST, path, body.to_string());
        request.headers_mut().insert("x-api-key", CI.1.parse().unwrap());
        setting.gateway.send(request).await.status()
    };
    assert_eq!(status("/v1/messages/count_tokens", &count).await, StatusCode::OK);
    assert_eq!(status("/v1/embeddings", &embed).await, StatusCode::OK);
    let spent = setting.sim.log().iter().map(billed).sum::<u64>();
    assert!(spent > 10 && spent < 40, "{spent}");
    assert_eq!(setting.account().await["spent_usd"], usd(spent));
    assert_eq!(status("/v1/embeddings", &embed).await, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(status("/v1/messages/count_tokens", &count).await, StatusCode::OK);
}

#[tokio::test]
async fn operators_are_shown_what_the_provider_has_seen() {
    for provider in DIALECTS {
        let models = vec![
            answering("good", 20, None),
            answering("cuts", 20, Some("cut after 7")),
            answering("errs", 20, Some("error server_error after 9")),
            answering("refuses", 20, Some("status 503")),
            answering("stalls", 20, Some("hang after 11")),
        ];
        let setting = Setting::new(provider, models, &per_tenant(100_000)).await;
        for (caller, stream) in pairs().map(|(caller, other)| (caller, other == Dialect::OpenAi)) {
            for model in ["good", "cuts", "errs", "refuses"] {
                setting.ask(&CI, caller, &chat(model, 50, stream)).await;
            }
            // It leaves with the answer half told.
            let body = chat("stalls", 50, true);
            let mut leaving = setting.stream(caller, &body).await;
            leaving.read(11).await;
        }
        let account = setting.account().await;
        let log = setting.sim.until(|log| log.iter().all(|call| call.ended.is_some())).await;
        assert_eq!(log.len(), 20);
        let of = |model: &str| log.iter().filter(|call| call.model.as_deref() == Some(model)).map(billed).sum::<u64>();
        let spend = setting.gateway.look("/spend").await;
        let models: Vec<_> = spend["models"].as_array().unwrap().iter().collect();
        let mut estimated = 0.0;
        for model in &models {
            let name = model["model"].as_str().unwrap();
            assert_eq!(model["calls"], 4, "{model}");
            let dollars = |field: &str| model[field].as_str().unwrap().parse::<f64>().unwrap();
            match name {
                "good" => assert_eq!(
                    (model["reported_usd"].as_str().unwrap(), dollars("estimated_usd")),
                    (&*usd(of(name)), 0.0)
                ),
                "refuses" => assert_eq!((dollars("reported_usd"), dollars("estimated_usd")), (0.0, 0.0)),
                _ => assert!(dollars("reported_usd") == 0.0 && dollars("estimated_usd") > 0.0, "{model}"),
            }
            estimated += dollars("estimated_usd");
        }
        assert_eq!(models.len(), 5);
        let dollars = |field: &str| account[field].as_str().unwrap().parse::<f64>().unwrap();
        let good: f64 = usd(of("good")).parse().unwrap();
        assert!((dollars("estimated_usd") - estimated).abs() < 1e-12, "{account}");
        assert!((dollars("spent_usd") - estimated - good).abs() < 1e-12, "{account}");
        assert_eq!((&account["reserved_usd"], &account["debt_usd"]), (&json!("0.00"), &json!("0.00")));
    }
}

#[tokio::test]
async fn another_configuration_keeps_what_was_spent_and_what_is_under_way_and_its_caps_hold_at_once() {
    let setting = Setting::new(Dialect::OpenAi, long(), &per_tenant(10_000)).await;
    let status = async || setting.ask(&CI, Dialect::OpenAi, &chat("m", 10, false)).await.status;
    let mut running = setting.stream(Dialect::OpenAi, &chat("m", 5_000, true)).await;
    running.read(5).await;
    // Less than what the call under way has set aside.
    setting.reconfigure(&per_tenant(5)).await;
    assert_eq!(status().await, StatusCode::PAYMENT_REQUIRED);
    let error = in_band(Dialect::OpenAi, &running.read_to_end().await);
    assert!(Dialect::OpenAi.sentence(&error).contains("cut: the budget"), "{error}");
    let before = setting.account().await;
    assert_ne!(before["spent_usd"], "0.00", "what had begun before is booked");
    assert_eq!(before["cap_usd"], usd(5));

    setting.reconfigure(&per_tenant(10_000)).await;
    assert_eq!(setting.account().await["spent_usd"], before["spent_usd"]);
    assert_eq!(status().await, StatusCode::OK);
    let after = setting.account().await;
    assert_eq!((&after["cap_usd"], &after["estimated_usd"]), (&json!(usd(10_000)), &before["estimated_usd"]));
    let models = setting.gateway.look("/spend").await["models"].clone();
    assert_eq!((&models[0]["calls"], &models[0]["estimated_usd"]), (&json!(2), &before["estimated_usd"]), "{models}");
}

#[tokio::test]
async fn an_account_that_is_frozen_refuses_and_cuts_what_runs_and_goes_on_once_it_may() {
    for caller in DIALECTS {
        let setting = Setting::new(Dialect::OpenAi, long(), &per_tenant(100_000)).await;
        let mut running = setting.stream(caller, &chat("m", 5_000, true)).await;
        running.read(5).await;
        setting.order("freeze").await;
        let refused = setting.ask(&WEB, caller, &chat("m", 10, true)).await;
        assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED);
        assert!(caller.sentence(&refused.json()).contains("frozen"), "{}", refused.text());
        let error = in_band(caller, &running.read_to_end().await);
        assert!(caller.sentence(&error).contains("frozen"), "{error}");
        setting.order("unfreeze").await;
        assert_eq!(setting.ask(&WEB, caller, &chat("m", 10, true)).await.status, StatusCode::OK);
        assert_eq!(setting.account().await["reserved_usd"], "0.00");
    }
}

#[tokio::test]
async fn a_stream_that_runs_when_the_gateway_is_told_to_stop_is_paid_for_to_its_end() {
    for (signal, caller) in ["INT", "TERM"].into_iter().zip(DIALECTS) {
        let tables = format!("[server]\ncost_comment = true\n{}", per_tenant(10_000));
        let mut setting = Setting::new(caller, long(), &tables).await;
        let mut running = setting.stream(caller, &chat("m", 100, true)).await;
        running.read(5).await;
        setting.gateway.signal(signal);
        let text = running.read_to_end().await;
        assert!(text.contains(caller.endings()[0]), "{text}");
        assert!(setting.gateway.wait().success());
        let log = setting.sim.until(|log| log[0].ended.is_some()).await;
        let cost = format!(": llm-cost-usd {}\n", usd(billed(&log[0])));
        assert_eq!((log[0].ended, text.contains(&cost)), (Some(Ended::Complete), true), "{cost} {text}");
    }
}

#[tokio::test]
async fn who_is_cut_off_at_the_end_of_the_grace_time_stops_the_provider() {
    let tables = format!("[server]\ngrace = \"50ms\"\n{}", per_tenant(100_000));
    let mut setting = Setting::new(Dialect::OpenAi, long(), &tables).await;
    let mut running = setting.stream(Dialect::OpenAi, &chat("m", 5_000, true)).await;
    running.read(5).await;
    setting.gateway.signal("TERM");
    assert!(setting.gateway.wait().success());
    let log = setting.sim.until(|log| log[0].ended.is_some()).await;
    assert!(matches!(log[0].ended, Some(Ended::CallerLeft { .. })), "{log:?}");
    assert!(!setting.gateway.said().contains("panicked"), "{}", setting.gateway.said());
}

#[tokio::test]
async fn nothing_that_is_said_of_money_tells_a_key_or_a_prompt() {
    let tables = format!(
        "[server]\nremaining_headers = true\ncost_comment = true\n[limit]\n[[limit.rules]]\nname = \"slow\"\nper = \"key\"\n\
         requests_per_minute = 3\n{}",
        per_tenant(100)
    );
    let setting = Setting::new(Dialect::OpenAi, long(), &tables).await;
    let mut said = String::new();
    for (caller, stream) in pairs().map(|(caller, other)| (caller, other == Dialect::OpenAi)) {
        // Cut, refused by the budget, and at last by the limit.
        let answer = setting.ask(&CI, caller, &chat("m", 40, stream)).await;
        said.push_str(&format!("{:?}\n{}\n", answer.headers, answer.text()));
    }
    for path in ["/spend", "/limits", "/notices", "/status"] {
        said.push_str(&setting.gateway.look(path).await.to_string());
    }
    said.push_str(&setting.gateway.said());
    assert!(said.contains("budget_exceeded") && said.contains("limit_exceeded"), "{said}");
    for secret in [CI.1, CI.2, WEB.2, harness::ADMIN_KEY, "sk-upstream-canary", "prompt-canary"] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
}
