//! What was answered once is answered again: whole and streamed, in either dialect, to the same tenant only.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{ADMIN, Answer, Gateway, talk::Client};
use http::{Method, StatusCode};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig, SimServer};
use serde_json::{Value, json};

/// Keys of acme's and of zeta's, and what `printf %s KEY | sha256sum` prints of them.
const ACME: &str = "abc";
const ACME_SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const ZETA: &str = "caller-key-canary-1";
const ZETA_SHA256: &str = "03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104";

/// A provider, and a gateway with a cache before it.
struct Setting {
    gateway: Gateway,
    provider: SimServer,
}

impl Setting {
    /// The provider's first calls are as they should be, and what `fault` says from the one after those on.
    async fn new(tables: &str, fault: Option<(u64, &str)>) -> Self {
        let model = ModelConfig::instant("m");
        let model = match fault {
            Some((after, fault)) => model.fault(FaultRule::new(fault.parse().unwrap()).calls(after + 1..=u64::MAX)),
            None => model,
        };
        let provider = Sim::try_from(SimConfig::new([model])).unwrap().serve("127.0.0.1:0").await.unwrap();
        let config = format!(
            "{tables}\n{ADMIN}\
             [[keys]]\nsha256 = \"{ACME_SHA256}\"\ntenant = \"acme\"\n\
             [[keys]]\nsha256 = \"{ZETA_SHA256}\"\ntenant = \"zeta\"\n\
             [[models]]\nname = \"m\"\ninput = 1.0\noutput = 1.0\n\
             [[providers]]\nname = \"upstream\"\nmodels = [\"m\"]\nbase_url = \"{}\"\n\
             keys = [{{ name = \"only\", key = \"sk-upstream-secret\" }}]\n",
            provider.base_url()
        );
        Self { gateway: Gateway::start(&config).await, provider }
    }

    fn calls(&self) -> u64 {
        self.provider.requests()
    }

    async fn send(&self, key: &str, client: Client, body: &Value, headers: &[(&'static str, &str)]) -> Answer {
        let mut request = self.gateway.request(Method::POST, client.path(), body.to_string());
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        Answer::read(self.gateway.send(request).await).await
    }

    async fn ask(&self, client: Client, stream: bool, headers: &[(&'static str, &str)]) -> Answer {
        self.send(ACME, client, &ask(client, stream, false), headers).await
    }

    async fn look(&self) -> Value {
        self.gateway.look("/cache").await
    }
}

/// A question that has one answer.
fn ask(client: Client, stream: bool, with_tools: bool) -> Value {
    let mut body = client.ask("m", stream, with_tools);
    body["temperature"] = json!(0);
    body
}

fn status(answer: &Answer) -> Option<&str> {
    answer.header("x-llm-cache")
}

#[tokio::test]
async fn an_answer_is_given_again_whole_and_streamed_in_either_dialect_with_its_tool_calls() {
    for with_tools in [false, true] {
        for (first, first_streams) in [(Client::OpenAi, false), (Client::OpenAi, true), (Client::Anthropic, true)] {
            let setting = Setting::new("[cache]\n", None).await;
            let body = ask(first, first_streams, with_tools);
            let answer = setting.send(ACME, first, &body, &[]).await;
            assert_eq!(status(&answer), Some("miss"));
            let said = first.read(&answer, first_streams);
            assert_eq!(said.calls.is_empty(), !with_tools);
            for client in Client::ALL {
                for stream in [false, true] {
                    let answer = setting.send(ACME, client, &ask(client, stream, with_tools), &[]).await;
                    assert_eq!(status(&answer), Some("hit"), "{first:?} {first_streams} {client:?} {stream}");
                    assert!(answer.header("age").unwrap().parse::<u64>().unwrap() < 60);
                    assert_eq!(client.read(&answer, stream), said);
                }
            }
            assert_eq!(setting.calls(), 1);
        }
    }
}

#[tokio::test]
async fn a_hit_costs_nothing_and_counts_for_limits() {
    let tables = "[cache]\n[[limit.rules]]\nname = \"all\"\nrequests_per_minute = 3\n\
                  [[budget.caps]]\nname = \"all\"\namounts = { usd = \"1\", window = \"day\" }\n";
    let setting = Setting::new(tables, None).await;
    let spent = async || {
        let spend = setting.gateway.look("/spend").await;
        spend["accounts"][0]["windows"][0]["spent_usd"].clone()
    };
    setting.ask(Client::OpenAi, false, &[]).await;
    let paid = spent().await;
    let hit = setting.ask(Client::OpenAi, false, &[]).await;
    assert_eq!((status(&hit), hit.header("x-llm-cost-usd")), (Some("hit"), Some("0.00")));
    setting.ask(Client::OpenAi, true, &[]).await;
    assert_eq!(spent().await, paid);
    assert_eq!(setting.ask(Client::OpenAi, false, &[]).await.status, StatusCode::TOO_MANY_REQUESTS);
    let cache = setting.look().await;
    assert_eq!((&cache["hits"], &cache["misses"], &cache["entries"]), (&json!(2), &json!(1), &json!(1)));
    assert_ne!(cache["saved_usd"], "0.00");
}

#[tokio::test]
async fn no_tenant_sees_the_answers_of_another() {
    let setting = Setting::new("[cache]\n", None).await;
    for (key, is_known) in [(ACME, false), (ZETA, false), (ACME, true), (ZETA, true)] {
        let answer = setting.send(key, Client::OpenAi, &ask(Client::OpenAi, false, false), &[]).await;
        assert_eq!(status(&answer), Some(if is_known { "hit" } else { "miss" }));
    }
    assert_eq!(setting.calls(), 2);
}

#[tokio::test]
async fn directives_of_the_caller_are_heeded() {
    let setting = Setting::new("[cache]\n", None).await;
    let control = async |directive: &str| setting.ask(Client::OpenAi, false, &[("cache-control", directive)]).await;
    assert_eq!(control("only-if-cached").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&control("no-store").await), None, "the cache has nothing to do with it");
    assert_eq!(setting.look().await["entries"], 0, "no trace");
    assert_eq!((status(&control("max-age=60").await), setting.calls()), (Some("miss"), 2));
    assert_eq!((status(&control("only-if-cached, max-age=60").await), setting.calls()), (Some("hit"), 2));
    assert_eq!((status(&control("no-cache").await), setting.calls()), (Some("miss"), 3));
    assert_eq!((status(&control("max-age=0").await), setting.calls()), (Some("miss"), 4));
    assert_eq!(control("max-age=soon").await.status, StatusCode::BAD_REQUEST);

    // What may be answered differently each time is not kept, unless the caller wants it.
    let random = Client::OpenAi.ask("m", false, false);
    for (header, hits) in [(None, 0), (None, 0), (Some("force, ttl=60"), 0), (Some("force"), 1)] {
        let headers: Vec<_> = header.map(|value| ("x-llm-cache", value)).into_iter().collect();
        let answer = setting.send(ACME, Client::OpenAi, &random, &headers).await;
        assert_eq!(status(&answer) == Some("hit"), hits == 1, "{header:?}");
    }
}

#[tokio::test]
async fn what_has_expired_stands_in_for_a_provider_that_is_down_with_its_age() {
    let tables = "retry = false\n[cache]\nttl = \"0s\"\n[breaker]\ntrip = { rule = \"consecutive\", failures = 1 }\n";
    let setting = Setting::new(tables, Some((1, "status 503"))).await;
    let fresh = setting.ask(Client::OpenAi, false, &[]).await;
    assert_eq!(status(&fresh), Some("miss"));
    // The provider fails, and after that its circuit is open.
    for (client, stream) in [(Client::OpenAi, false), (Client::OpenAi, true), (Client::Anthropic, false)] {
        let answer = setting.ask(client, stream, &[]).await;
        assert_eq!(status(&answer), Some("stale"), "{}", answer.text());
        assert!(answer.header("age").is_some());
        assert_eq!(client.read(&answer, stream), Client::OpenAi.read(&fresh, false));
    }
    assert_eq!(setting.calls(), 2, "nobody calls through an open circuit");
    let other = setting.send(ZETA, Client::OpenAi, &ask(Client::OpenAi, false, false), &[]).await;
    assert_eq!(other.status, StatusCode::SERVICE_UNAVAILABLE, "of another tenant nothing was kept");
}

#[tokio::test]
async fn an_answer_that_was_cut_is_not_kept() {
    let tables = "retry = false\nbreaker = false\n[cache]\n";
    let setting = Setting::new(tables, Some((0, "cut after 3"))).await;
    for _ in 0..2 {
        let answer = setting.ask(Client::OpenAi, true, &[]).await;
        assert!(!answer.text().contains("[DONE]"), "{}", answer.text());
    }
    assert_eq!((setting.calls(), &setting.look().await["entries"]), (2, &json!(0)));
}

#[tokio::test]
async fn operators_have_answers_forgotten() {
    let setting = Setting::new("[cache]\n", None).await;
    for (order, count) in [
        (json!({ "invalidate": "all" }), 2),
        (json!({ "invalidate": { "tenant": "acme" } }), 1),
        (json!({ "invalidate": { "model": "m" } }), 2),
        (json!({ "invalidate": { "tag": "night" } }), 1),
        (json!({ "invalidate": { "tag": "day" } }), 0),
    ] {
        for key in [ACME, ZETA] {
            let tags: &[(&str, &str)] = if key == ACME { &[("x-llm-tags", "night")] } else { &[] };
            setting.send(key, Client::OpenAi, &ask(Client::OpenAi, false, false), tags).await;
        }
        let answer = setting.gateway.operate(Method::POST, "/cache", &order).await;
        assert_eq!(answer.json()["invalidated"], count, "{order}");
    }
    for order in [json!({ "invalidate": "some" }), json!({}), json!({ "invalidate": "all", "more": 1 })] {
        assert_eq!(setting.gateway.operate(Method::POST, "/cache", &order).await.status, StatusCode::BAD_REQUEST);
    }
}
