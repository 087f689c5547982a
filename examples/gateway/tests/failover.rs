//! When a provider is down the next one answers, in the caller's own dialect; and when all are, the caller is told what
//! was tried.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{
    ADMIN, ADMIN_KEY, Answer, Gateway,
    talk::{Client, string},
};
use http::{HeaderMap, Method, StatusCode};
use llm_sim::{FaultRule, ModelConfig, Sim, SimConfig, SimServer};
use serde_json::{Value, json};

/// What the provider of each place does, as a fault script; a healthy one has none.
type Outage<'a> = [Option<&'a str>; 3];

const TWO_DOWN: Outage<'static> = [Some("status 503"), Some("status 529"), None];
const ALL_DOWN: Outage<'static> =
    [Some("status 429 retry-after=9"), Some("status 503 retry-after=4"), Some("status 429 retry-after=7")];

/// A primary of OpenAI's dialect, a second of Anthropic's and a third on this machine, and a gateway with a route over
/// them.
struct Setting {
    gateway: Gateway,
    providers: [SimServer; 3],
}

const MODELS: [&str; 3] = ["gpt-sim", "claude-sim", "llama-sim"];

async fn provider(model: &str, fault: Option<&str>) -> SimServer {
    let config = ModelConfig::instant(model);
    let config = match fault {
        Some(fault) => config.fault(FaultRule::new(fault.parse().unwrap())),
        None => config,
    };
    Sim::try_from(SimConfig::new([config])).unwrap().serve("127.0.0.1:0").await.unwrap()
}

impl Setting {
    async fn new(outage: Outage<'_>, more: &str) -> Self {
        let [first, second, third] = outage;
        let providers =
            [provider(MODELS[0], first).await, provider(MODELS[1], second).await, provider(MODELS[2], third).await];
        let [primary, second, local] = providers.each_ref().map(SimServer::base_url);
        let [gpt, claude, llama] = MODELS;
        let config = format!(
            r#"{more}
            [router.routes.smart]
            targets = ["primary/{gpt}", "second/{claude}", "local/{llama}"]
            [[providers]]
            name = "primary"
            base_url = "{primary}"
            keys = [{{ name = "only", key = "sk-primary-secret" }}]
            models = ["{gpt}"]
            [[providers]]
            name = "second"
            dialect = "anthropic"
            base_url = "{second}"
            keys = [{{ name = "only", key = "sk-second-secret" }}]
            models = ["{claude}"]
            [[providers]]
            name = "local"
            base_url = "{local}"
            auth = "none"
            local = true
            models = ["{llama}"]
            "#
        );
        Self { gateway: Gateway::start(&config).await, providers }
    }

    fn calls(&self) -> [u64; 3] {
        self.providers.each_ref().map(SimServer::requests)
    }

    async fn post(&self, client: Client, body: &Value, headers: &[(&'static str, &str)]) -> Answer {
        let mut request = self.gateway.request(Method::POST, client.path(), body.to_string());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        Answer::read(self.gateway.send(request).await).await
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
}

#[tokio::test]
async fn the_third_of_three_providers_answers_in_the_callers_dialect_as_if_it_were_the_only_one() {
    for client in Client::ALL {
        for stream in [false, true] {
            for with_tools in [false, true] {
                let setting = Setting::new(TWO_DOWN, "").await;
                let answer = setting.post(client, &client.ask("smart", stream, with_tools), &[]).await;
                let said = client.read(&answer, stream);
                let place = format!("{client:?}, stream: {stream}, tools: {with_tools}: {said:?}");
                if with_tools {
                    assert_eq!(said.calls.len(), 1, "{place}");
                    assert!(said.calls[0].0 == "look_up" && said.calls[0].1["city"].is_string(), "{place}");
                } else {
                    assert!(!said.text.is_empty() && said.calls.is_empty(), "{place}");
                }
                assert_eq!(setting.calls(), [1, 1, 1], "each was asked once: {place}");
                assert_eq!(header(&answer.headers, "x-llm-target"), "local/llama-sim");
                assert_eq!(header(&answer.headers, "x-llm-served"), "substitute");
                assert_eq!(header(&answer.headers, "x-llm-attempts"), "3");
                let end = if stream { "" } else { ";end=complete" };
                let trail = format!(
                    "\"primary/gpt-sim\";end=overloaded, \"second/claude-sim\";why=failover;end=overloaded, \
                     \"local/llama-sim\";why=failover{end}"
                );
                assert_eq!(header(&answer.headers, "x-llm-trail"), trail);
            }
        }
    }
}

#[tokio::test]
async fn when_all_are_down_the_error_lists_every_attempt_and_the_shortest_wait() {
    for client in Client::ALL {
        for stream in [false, true] {
            let setting = Setting::new(ALL_DOWN, "").await;
            let answer = setting.post(client, &client.ask("smart", stream, false), &[]).await;
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "of the last one: {}", answer.text());
            assert_eq!(header(&answer.headers, "retry-after"), "4");
            assert_eq!(header(&answer.headers, "x-should-retry"), "false", "the allowance is spent");
            let listed =
                "attempts: primary/gpt-sim rate_limited, second/claude-sim overloaded, local/llama-sim rate_limited";
            assert!(answer.error_message().ends_with(listed), "{}", answer.error_message());
            assert_eq!(setting.calls(), [1, 1, 1]);
        }
    }
}

#[tokio::test]
async fn a_fallback_message_is_an_answer_and_marked() {
    const SORRY: &str = "We are busy. Please try again soon.";
    for client in Client::ALL {
        for stream in [false, true] {
            let fallback = format!("[fallback]\nmessage = \"{SORRY}\"\n");
            let setting = Setting::new(ALL_DOWN, &fallback).await;
            let answer = setting.post(client, &client.ask("smart", stream, false), &[]).await;
            assert_eq!(client.read(&answer, stream).text, SORRY);
            assert_eq!(header(&answer.headers, "x-llm-served"), "degraded");
            assert_eq!(setting.calls(), [1, 1, 1]);

            // What the caller has got wrong is for the caller to know.
            let wrong = setting.post(client, &client.ask("nobody-serves-this", stream, false), &[]).await;
            assert_eq!(wrong.status, StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn a_sensitive_request_goes_to_the_local_provider_or_nowhere() {
    let sensitive = [("x-llm-sensitivity", "sensitive")];
    for client in Client::ALL {
        let setting = Setting::new([None, None, None], "").await;
        let answer = setting.post(client, &client.ask("smart", false, false), &sensitive).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(setting.calls(), [0, 0, 1]);
        let named = setting.post(client, &client.ask("gpt-sim", false, false), &sensitive).await;
        assert_eq!((named.status.as_u16(), setting.calls()), (503, [0, 0, 1]), "{}", named.text());

        // Neither failover nor hedge nor fallback lets it out.
        let more = "[fallback]\ncases = [{ target = \"primary/gpt-sim\" }]\n[hedge]\nfixed = \"1ms\"\n";
        let setting = Setting::new([None, None, Some("status 503")], more).await;
        let answer = setting.post(client, &client.ask("smart", false, false), &sensitive).await;
        assert_eq!(header(&answer.headers, "x-llm-error-kind"), "overloaded", "{}", answer.text());
        let [primary, second, local] = setting.calls();
        assert!(primary == 0 && second == 0 && local > 0, "{:?}", setting.calls());
    }
}

#[tokio::test]
async fn a_detector_keeps_in_the_house_what_it_finds() {
    let setting = Setting::new([None, None, None], "[classify]\ndetect = [\"iban\"]\n").await;
    let ask = |text: &str| json!({ "model": "smart", "messages": [{ "role": "user", "content": text }] });
    let answer = setting.post(Client::OpenAi, &ask("Pay to DE89 3704 0044 0532 0130 00, please."), &[]).await;
    assert_eq!((answer.status, setting.calls()), (StatusCode::OK, [0, 0, 1]), "{}", answer.text());
    setting.post(Client::OpenAi, &ask("Pay to the usual account, please."), &[]).await;
    assert_eq!(setting.calls(), [1, 0, 1]);
    assert!(!setting.gateway.said().contains("3704"), "what was found is in no log, however loud");
}

#[tokio::test]
async fn rules_send_calls_by_intent_workflow_and_tag() {
    let rules = r#"
        [classify]
        intent = true
        [[router.rules]]
        when = { model = "smart", tags = ["cheap"] }
        use = "local/llama-sim"
        [[router.rules]]
        when = { workflow = ["extraction", "validation"] }
        use = "claude-sim"
        [[router.rules]]
        when = { model = "smart", intent = "code" }
        use = ["local/llama-sim", "primary/gpt-sim"]
    "#;
    let setting = Setting::new([None, None, None], rules).await;
    let ask = |text: &str| json!({ "model": "smart", "messages": [{ "role": "user", "content": text }] });
    let code = ask("Write a Python function that parses a CSV file:\n```python\ndef parse(path):\n    pass\n```");
    let hello = ask("Hello!");
    for (body, headers, expected) in [
        (&hello, &[][..], [1, 0, 0]),
        (&hello, &[("x-llm-tags", "night, cheap")], [1, 0, 1]),
        (&hello, &[("x-llm-workflow", "validation")], [1, 1, 1]),
        (&code, &[], [1, 1, 2]),
        // What the caller says of it goes before what it looks like.
        (&code, &[("x-llm-intent", "creative")], [2, 1, 2]),
    ] {
        let answer = setting.post(Client::OpenAi, body, headers).await;
        assert_eq!((answer.status, setting.calls()), (StatusCode::OK, expected), "{headers:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn operators_shift_a_route_while_it_is_called() {
    let more = format!(
        "{ADMIN}[router.routes.shared]\nstrategy = \"weighted\"\ntargets = [{{ target = \"primary/gpt-sim\", weight = 1 }}, \
         {{ target = \"local/llama-sim\", weight = 0 }}]\n"
    );
    let setting = Setting::new([None, None, None], &more).await;
    let call = async |model: &str| {
        let answer = setting.post(Client::OpenAi, &Client::OpenAi.ask(model, false, false), &[]).await;
        header(&answer.headers, "x-llm-target").to_owned()
    };
    let order = async |order: Value| {
        let mut request = setting.gateway.request(Method::POST, "/", order.to_string());
        *request.uri_mut() = setting.gateway.admin_url().await.replace("/status", "/routes").parse().unwrap();
        request.headers_mut().insert("x-api-key", ADMIN_KEY.parse().unwrap());
        let answer = Answer::read(setting.gateway.send(request).await).await;
        (answer.status.as_u16(), answer.text())
    };
    assert_eq!((call("shared").await, call("smart").await), ("primary/gpt-sim".into(), "primary/gpt-sim".into()));
    let weigh = |target: &str, weight: f64| json!({ "route": "shared", "target": target, "weight": weight });
    assert_eq!(order(weigh("local/llama-sim", 1.0)).await.0, 200);
    let (status, routes) = order(weigh("primary/gpt-sim", 0.0)).await;
    assert!(status == 200 && routes.contains(r#"{"target":"primary/gpt-sim","weight":0.0}"#), "{routes}");
    assert_eq!(call("shared").await, "local/llama-sim");
    let rearranged = order(json!({ "route": "smart", "targets": ["second/claude-sim", "primary/gpt-sim"] })).await;
    assert_eq!((rearranged.0, call("smart").await), (200, "second/claude-sim".into()));

    let ordered = json!({ "route": "smart", "target": "primary/gpt-sim", "weight": 2 });
    for (wrong, status, sentence) in [
        (weigh("local/llama-sim", -1.0), 409, "weight: it must be a number from zero to a billion"),
        (weigh("nobody", 1.0), 409, "has no target `nobody`"),
        (ordered, 409, "one after the other"),
        (json!({ "route": "smart", "targets": ["nobody"] }), 409, "nobody serves `nobody`"),
        (json!({ "route": "smart", "targets": ["primary/gpt-sim"], "weight": 1 }), 400, "that is no order"),
    ] {
        let (got, said) = order(wrong).await;
        assert!(got == status && said.contains(sentence), "{got}: {said}");
    }
    assert_eq!(call("smart").await, "second/claude-sim", "a wrong order changes nothing");
}

#[tokio::test]
async fn a_key_is_good_for_its_models_and_callers_see_those() {
    let keys = "[[keys]]\nsha256 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\ntenant = \"acme\"\n\
                models = [\"claude-sim\", \"local/*\"]\n";
    let setting = Setting::new([None, None, None], keys).await;
    let key = [("x-api-key", "abc")];
    let mut models = setting.gateway.request(Method::GET, "/v1/models", "");
    models.headers_mut().insert("x-api-key", "abc".parse().unwrap());
    let listed = Answer::read(setting.gateway.send(models).await).await.json();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|model| string(&model["id"])).collect();
    assert_eq!(ids, ["claude-sim", "llama-sim"], "not the route, of which it is good for a part");
    for client in Client::ALL {
        let before = setting.calls();
        let refused = setting.post(client, &client.ask("gpt-sim", false, false), &key).await;
        assert_eq!((refused.status, setting.calls()), (StatusCode::FORBIDDEN, before), "{}", refused.text());
        // Of a route that it is not good for as a whole it gets what it is good for.
        let part = setting.post(client, &client.ask("smart", false, false), &key).await;
        assert_eq!(header(&part.headers, "x-llm-target"), "second/claude-sim");
    }
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_to_a_larger_model_at_once() {
    let too_long = "error-body context_length_exceeded";
    let more = "[[models]]\nprovider = \"primary\"\nname = \"gpt-sim\"\ncontext_window = 8000\n\
                [[models]]\nprovider = \"second\"\nname = \"claude-sim\"\ncontext_window = 4000\n\
                [[models]]\nprovider = \"local\"\nname = \"llama-sim\"\ncontext_window = 32000\n";
    let setting = Setting::new([Some(too_long), None, None], more).await;
    let answer = setting.post(Client::OpenAi, &Client::OpenAi.ask("smart", false, false), &[]).await;
    assert_eq!((answer.status, setting.calls()), (StatusCode::OK, [1, 0, 1]), "{}", answer.text());
}
