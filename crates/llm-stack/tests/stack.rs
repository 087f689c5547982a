//! What is configured is what is built, and what is wrong is said.

#![allow(clippy::unwrap_used)]

use llm_core::{ErrorKind, LlmRequest, NanoUsd};
use llm_stack::{Stack, StackConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

const SIMULATED: &str = r#"
[simulated]
seed = 7
models = [{ name = "small", input = 1.0, output = 2.0 }, { name = "large" }]
"#;

fn stack(config: &str) -> Result<Stack, llm_core::ConfigError> {
    Stack::try_from(toml::from_str::<StackConfig>(config).unwrap())
}

fn wrong(config: &str) -> String {
    stack(config).unwrap_err().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_through_to_the_provider_of_its_model() {
    let stack = stack(SIMULATED).unwrap();
    let request = LlmRequest::chat("small").user("hi").build();
    let trail = request.context().trail();
    let response = stack.service().oneshot(request).await.unwrap();
    assert!(!response.body.collect().await.unwrap().first_text().is_empty());
    let attempts = trail.attempts();
    assert_eq!(attempts[0].target.as_ref().unwrap().to_string(), "simulated/small");
    assert!(attempts[0].cost.unwrap() > NanoUsd::ZERO, "the price is known");
    let unknown = stack.service().oneshot(LlmRequest::chat("mystery").user("hi").build()).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::UnknownModel);
}

#[test]
fn models_are_listed_once_with_whoever_serves_them_first() {
    let config = format!(
        "{SIMULATED}\n[[providers]]\nname = \"vllm\"\nbase_url = \"http://127.0.0.1:1/v1\"\nauth = \"none\"\n\
         models = [\"small\", \"other\", \"llama-*\"]\n"
    );
    let stack = stack(&config).unwrap();
    let listed: Vec<_> = stack.models().iter().map(|model| (&*model.name, &*model.provider)).collect();
    assert_eq!(listed, [("small", "vllm"), ("other", "vllm"), ("large", "simulated")]);
    assert_eq!(stack.providers().collect::<Vec<_>>(), ["vllm", "simulated"]);
}

#[test]
fn a_provider_of_the_catalogue_serves_what_that_knows_of_it() {
    let stack = stack("[[providers]]\nname = \"openai\"\nkeys = [{ key = \"sk-test\" }]\n").unwrap();
    assert!(stack.models().iter().any(|model| model.name == "gpt-5-mini"));
    assert!(stack.models().iter().all(|model| model.provider == "openai"));
}

#[test]
fn anthropic_needs_no_more_than_its_name_and_a_key() {
    let stack = stack("[[providers]]\nname = \"anthropic\"\nkeys = [{ key = \"sk-test\" }]\n").unwrap();
    assert!(stack.models().iter().any(|model| model.name == "claude-sonnet-4-5"));
    assert!(stack.models().iter().all(|model| model.provider == "anthropic"));
}

/// A server that answers one request with `answer`, and says what it was asked.
async fn answering(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"}") {
            assert!(socket.read_buf(&mut asked).await.unwrap() > 0, "the whole request comes");
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
        socket.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
        String::from_utf8(asked).unwrap()
    });
    (base_url, asked)
}

#[tokio::test]
async fn providers_of_both_dialects_serve_the_same_request() {
    let (openai, asked_openai) = answering(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"one"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#,
    )
    .await;
    let (anthropic, asked_anthropic) = answering(
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"two"}],"stop_reason":"end_turn","usage":{"input_tokens":1000,"output_tokens":100}}"#,
    )
    .await;
    let provider = |name: &str, base_url: &str| {
        format!("[[providers]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\nkeys = [{{ key = \"sk-{name}\" }}]\n")
    };
    let stack = stack(&(provider("openai", &openai) + &provider("anthropic", &anthropic))).unwrap();
    for (model, provider, text, cost) in
        [("gpt-4.1", "openai", "one", 2_800_000), ("claude-sonnet-4-5-20250929", "anthropic", "two", 4_500_000)]
    {
        let request = LlmRequest::chat(model).system("Be brief.").user("hi").build();
        let trail = request.context().trail();
        let response = stack.service().oneshot(request).await.unwrap();
        assert_eq!(response.body.collect().await.unwrap().first_text(), text);
        let attempt = &trail.attempts()[0];
        assert_eq!(attempt.target.as_ref().unwrap().to_string(), format!("{provider}/{model}"));
        assert_eq!(attempt.cost, Some(NanoUsd(cost)));
    }
    let asked = asked_openai.await.unwrap();
    assert!(asked.starts_with("POST /v1/chat/completions ") && asked.contains("Bearer sk-openai"), "{asked}");
    let asked = asked_anthropic.await.unwrap();
    assert!(asked.starts_with("POST /v1/messages ") && asked.contains("x-api-key: sk-anthropic"), "{asked}");
    assert!(asked.contains(r#""max_tokens":64000"#), "the model's own maximum: {asked}");
}

#[test]
fn stated_facts_replace_those_of_the_catalogue() {
    let price = |stack: &Stack, model: &str| {
        let found = stack.catalog().get(None, model).or_else(|| stack.catalog().get(Some("openai"), model));
        found.and_then(|model| model.price.as_ref()).map(|price| price.input.0)
    };
    let stated = "[[models]]\nprovider = \"openai\"\nname = \"gpt-5-mini\"\ninput = 9.0\noutput = 9.0\n";
    assert_eq!(price(&stack(&format!("{SIMULATED}{stated}")).unwrap(), "gpt-5-mini"), Some(9_000_000));
    assert_eq!(price(&stack(SIMULATED).unwrap(), "gpt-5-mini"), Some(250_000));
    assert_eq!(price(&stack(SIMULATED).unwrap(), "small"), Some(1_000_000), "simulated models have a price too");
    assert_eq!(price(&stack(SIMULATED).unwrap(), "large"), None, "a model without a price is not free");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let provider = "name = \"x\"\nbase_url = \"http://127.0.0.1:1/v1\"\nauth = \"none\"\n";
    assert!(wrong("").starts_with("providers: "));
    assert!(wrong(&format!("[[providers]]\n{provider}")).starts_with("providers[0].models: "));
    let twice = format!("[[providers]]\n{provider}models = [\"*\"]\n[[providers]]\n{provider}models = [\"*\"]\n");
    assert!(wrong(&twice).starts_with("providers[1].name: "));
    let no_url = "[[providers]]\nname = \"x\"\nmodels = [\"*\"]\nauth = \"none\"\n";
    assert!(wrong(no_url).starts_with("providers[0].base_url: "));
    let reserved = "[[providers]]\nname = \"simulated\"\nmodels = [\"*\"]\n";
    assert!(wrong(reserved).starts_with("providers[0].name: "));
    let negative = SIMULATED.replace("1.0", "-1.0");
    assert!(wrong(&negative).starts_with("simulated.models[0].input: "));
    let blank = format!("[[providers]]\n{provider}models = [\"a\", \" \"]\n");
    assert!(wrong(&blank).starts_with("providers[0].models[1]: "));
    let fine = "[[models]]\nname = \"m\"\ninput = 1.0\noutput = 1.0\n";
    let models = format!("{SIMULATED}{fine}{}", fine.replace("\"m\"\ninput = ", "\"n\"\ninput = -"));
    assert!(wrong(&models).starts_with("models[1]: "));
    assert!(wrong(&format!("{SIMULATED}{fine}{fine}")).starts_with("models[1]: "), "the same model twice");
    assert!(toml::from_str::<StackConfig>("retries = 3").is_err(), "an unknown key");
}

#[test]
fn what_would_do_nothing_with_simulated_models_is_refused() {
    let model = "[[simulated.models]]\nname = \"m\"\n";
    for (more, place) in [
        ("[[simulated.keys]]\nname = \"a\"\nsecret = \"s\"\n", "simulated.keys: "),
        ("[simulated]\nlog_capacity = 5\n", "simulated.log_capacity: "),
        ("[simulated]\nlog_bytes = 5\n", "simulated.log_bytes: "),
    ] {
        let sentence = wrong(&format!("{more}{model}"));
        assert!(sentence.starts_with(place), "{sentence}");
    }
    let by_key =
        "[[simulated.models]]\nname = \"n\"\nfaults = [{ fault = \"cut\" }, { fault = \"cut\", key = \"a\" }]\n";
    let sentence = wrong(&format!("{model}{by_key}"));
    assert!(sentence.starts_with("simulated.models[1].faults[1].key: "), "{sentence}");
}

#[test]
fn a_case_of_the_fallback_goes_by_intents_and_targets_that_there_are() {
    let case =
        |case: &str| format!("{SIMULATED}\n[router.routes.fast]\ntargets = \"small\"\n[[fallback.cases]]\n{case}\n");
    let coding = case("message = \"Later.\"\nwhen = { intent = \"coding\" }");
    assert!(stack(&coding).is_ok(), "callers may tell any intent");
    let told = wrong(&format!("classify = {{ intent = true }}\n{coding}"));
    assert!(told.starts_with("fallback.cases[0].when.intent: there is no intent `coding`; known are `code`"), "{told}");
    let route = wrong(&case("target = \"fast\""));
    assert!(route.starts_with("fallback.cases[0].target: nobody serves `fast`"), "{route}");
}
