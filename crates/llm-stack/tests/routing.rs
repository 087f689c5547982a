//! Classification, fallback and router stand in their places, go by their tables, and a stack goes on where another was.

#![allow(clippy::unwrap_used)]

use llm_core::{CacheStatus, Caller, Error, ErrorKind, Head, LlmRequest, Sensitivity, Served};
use llm_sim::{ModelConfig, Sim, SimConfig, SimServer};
use llm_stack::{Stack, StackConfig};
use tower::ServiceExt;

fn read(config: &str) -> StackConfig {
    toml::from_str(config).unwrap()
}

fn stack(config: &str) -> Stack {
    Stack::try_from(read(config)).unwrap()
}

fn refusal(config: &str) -> String {
    Stack::try_from(read(config)).unwrap_err().to_string()
}

const SIMULATED: &str = "[simulated]\nmodels = [\n\
    { name = \"works\" },\n\
    { name = \"also\" },\n\
    { name = \"fails\", faults = [{ fault = \"status 503\" }] },\n]\n";

fn simulated(layers: &str) -> Stack {
    stack(&format!("retry = false\n{layers}\n{SIMULATED}"))
}

fn ask(model: &str) -> LlmRequest {
    LlmRequest::chat(model).user("hi").build()
}

/// The head of the answer and its text.
async fn call(stack: &Stack, request: LlmRequest) -> Result<(Head, String), Error> {
    let response = stack.service().oneshot(request).await?;
    Ok((response.head, response.body.collect().await?.first_text()))
}

/// Who answered.
async fn target(stack: &Stack, request: LlmRequest) -> String {
    call(stack, request).await.unwrap().0.target.unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_for_the_router_with_a_message_or_with_a_target() {
    let (head, text) = call(&simulated("[fallback]\nmessage = \"Later.\""), ask("fails")).await.unwrap();
    assert_eq!((head.served, &*text), (Served::Degraded, "Later."));
    let other = simulated("[[fallback.cases]]\nwhen = { kinds = \"overloaded\" }\ntarget = \"simulated/works\"");
    let (head, _) = call(&other, ask("fails")).await.unwrap();
    assert_eq!((head.served, head.target.unwrap().model()), (Served::Degraded, "works"));
    assert_eq!(other.handles().fallback.as_ref().unwrap().answered(), 1);
    assert_eq!(call(&simulated(""), ask("fails")).await.unwrap_err().kind(), ErrorKind::Overloaded);
    assert!(simulated("").handles().fallback.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_route_is_a_name_like_a_models_and_is_listed_before_them() {
    let routed = simulated("[router.routes.both]\ntargets = [\"fails\", \"works\"]");
    let (head, _) = call(&routed, ask("both")).await.unwrap();
    assert_eq!((head.served, head.target.unwrap().model()), (Served::Substitute, "works"));
    let names: Vec<_> = routed.models().iter().map(|model| (&*model.name, &*model.provider)).collect();
    assert_eq!(names[..2], [("both", "router"), ("works", "simulated")]);
    let same = simulated("[router.routes.works]\ntargets = \"also\"");
    assert_eq!(target(&same, ask("works")).await, "simulated/also");
    assert_eq!(same.models().iter().filter(|model| model.name == "works").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_request_is_about_decides_where_it_goes() {
    let layers = "[classify]\nintent = true\ndetect = \"iban\"\n\
                  [[router.rules]]\nwhen = { sensitivity = \"sensitive\" }\nrefuse = \"not that\"\n\
                  [[router.rules]]\nwhen = { intent = \"code\" }\nuse = \"also\"";
    let classifying = simulated(layers);
    let code = "Write a Rust function that reverses a linked list.\n```rust\nfn reverse(list: List) -> List {\n```";
    let about = |text: &str| LlmRequest::chat("works").user(text).build();
    assert_eq!(target(&classifying, about(code)).await, "simulated/also");
    assert_eq!(target(&classifying, about("Good morning!")).await, "simulated/works");
    let error = call(&classifying, about("My account is DE89370400440532013000.")).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Forbidden, "not that"));
    assert_eq!(classifying.handles().classify.as_ref().unwrap().counts().findings_of("iban"), 1);
    assert_eq!(target(&simulated(""), about(code)).await, "simulated/works", "nothing looks into prompts by default");
}

async fn provider(model: &str) -> SimServer {
    Sim::try_from(SimConfig::new([ModelConfig::instant(model)])).unwrap().serve("127.0.0.1:0").await.unwrap()
}

#[tokio::test]
async fn what_a_provider_is_marked_as_is_what_calls_go_by() {
    let (near, far) = (provider("m").await, provider("m").await);
    let config = format!(
        "[[router.rules]]\nwhen = {{ tags = \"eu\" }}\nrequire_tags = \"eu\"\n\
         [[providers]]\nname = \"far\"\nbase_url = \"{}\"\nauth = \"none\"\nmodels = [\"m\"]\n\
         [[providers]]\nname = \"near\"\nbase_url = \"{}\"\nauth = \"none\"\nmodels = [\"m\"]\nlocal = true\ntags = [\"eu\"]\n",
        far.base_url(),
        near.base_url()
    );
    let stack = stack(&config);
    assert_eq!(target(&stack, ask("m")).await, "far/m");
    let mut tagged = ask("m");
    tagged.context_mut().set_tags(["eu"]);
    assert_eq!(target(&stack, tagged).await, "near/m");
    let sensitive = |model: &str| {
        let mut request = ask(model);
        request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
        request
    };
    assert_eq!(target(&stack, sensitive("m")).await, "near/m");
    assert_eq!(call(&stack, sensitive("far/m")).await.unwrap_err().kind(), ErrorKind::NoRoute);
    assert_eq!(far.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_takes_the_place_of_another_knows_what_that_has_seen() {
    let before = simulated("");
    for _ in 0..8 {
        call(&before, ask("fails")).await.unwrap_err();
    }
    let after = Stack::resuming(read(&format!("retry = false\n{SIMULATED}")), &before).unwrap();
    assert_eq!(call(&after, ask("fails")).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
    let failing = |stack: &Stack| {
        let targets = stack.handles().router.targets();
        targets.into_iter().find(|status| status.target.model() == "fails").unwrap().failing
    };
    assert!(failing(&after) > 0.5, "{}", failing(&after));
    assert_eq!(failing(&simulated("")), 0.0);
    assert!(Stack::resuming(read("[router.routes.x]\ntargets = []\n[simulated]\n"), &before).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_for_those_alone_whom_the_rules_send_the_same_way() {
    let question = |tenant: &str, user: &str, is_stream: bool| {
        let builder = LlmRequest::chat("works").user("hi").temperature(0.0);
        let mut request = if is_stream { builder.stream() } else { builder }.build();
        let (tenant, user) = (Some(tenant.into()), Some(user.into()));
        request.context_mut().set_caller(Caller { tenant, user, ..Caller::default() });
        request
    };
    for (when, goes_elsewhere) in [
        ("user = \"ann\"", question("acme", "ann", false)),
        ("tenant = \"globex\"", question("globex", "bob", false)),
        ("stream = true", question("acme", "bob", true)),
    ] {
        let rule = format!("[[router.rules]]\nwhen = {{ {when} }}\nuse = \"also\"");
        let ruled = simulated(&format!("[cache]\nscope = \"everyone\"\n{rule}"));
        assert_eq!(target(&ruled, question("acme", "bob", false)).await, "simulated/works");
        assert_eq!(target(&ruled, goes_elsewhere.clone()).await, "simulated/also", "{when}");
        let open = simulated("[cache]\nscope = \"everyone\"");
        call(&open, question("acme", "bob", false)).await.unwrap();
        let (head, _) = call(&open, goes_elsewhere).await.unwrap();
        assert!(
            matches!(head.cache, CacheStatus::Hit { .. }),
            "where no rule goes by it, it makes no difference: {when}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stack_goes_on_with_what_was_kept_unless_its_cache_is_another() {
    let question = || LlmRequest::chat("works").user("hi").temperature(0.0).build();
    let before = simulated("[cache]");
    call(&before, question()).await.unwrap();
    for (cache, goes_on) in [("ttl = \"2h\"", true), ("capacity = 2_000_000", false), ("local = true", false)] {
        let after = read(&format!("retry = false\n[cache]\n{cache}\n{SIMULATED}"));
        let after = Stack::resuming(after, &before).unwrap();
        let (head, _) = call(&after, question()).await.unwrap();
        assert_eq!(matches!(head.cache, CacheStatus::Hit { .. }), goes_on, "{cache}");
    }
}

#[test]
fn what_is_wrong_in_their_tables_is_named_with_its_place() {
    for (layers, place) in [
        ("[router.routes.x]\ntargets = [\"nobody\"]", "router.routes.x.targets[0]: "),
        ("[[router.rules]]\nwhen = { model = \"m\" }\nuse = \"nobody\"", "router.rules[0].use: "),
        ("[[router.rules]]\nwhen = { needs = \"wings\" }\nuse = \"works\"", "router.rules[0].when.needs"),
        (
            "[[router.rules]]\nuse = \"works\"\n[[router.rules]]\nwhen = { stream = true }\nuse = \"also\"",
            "router.rules[1]: ",
        ),
        (
            "[classify]\nintent = true\n[[router.rules]]\nwhen = { intent = \"coding\" }\nuse = \"works\"",
            "router.rules[0].when.intent",
        ),
        ("[classify]\nintent = { confidence = 2.0 }", "classify.intent.confidence: "),
        ("[fallback]", "fallback.message: "),
        ("[[fallback.cases]]\ntarget = \"nobody\"", "fallback.cases[0].target: "),
    ] {
        let sentence = refusal(&format!("{layers}\n{SIMULATED}"));
        assert!(sentence.starts_with(place), "{layers}: {sentence}");
    }
}
