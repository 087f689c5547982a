//! Calls go where their target or their model says, and nowhere else.

use llm_core::{Error, ErrorKind, Head, LlmRequest, LlmResponse, Output, Sensitivity, Target};
use llm_router::Dispatch;
use tower::{Service, ServiceExt, service_fn};

/// A provider that answers with the target it was called for.
fn named(
    name: &'static str,
) -> impl Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send> + Clone + Send + Sync + 'static {
    service_fn(move |request: LlmRequest| async move {
        let target = request.context().target().cloned().expect("dispatch sets the target");
        let body = llm_core::Body::full(Output::text(format!("{name}: {target}")));
        Ok::<_, Error>(LlmResponse::new(Head::default(), body))
    })
}

fn dispatch() -> Dispatch {
    Dispatch::new().provider("openai", named("openai"), ["gpt-*", "o3"]).provider("local", named("local"), ["llama"])
}

async fn answer(request: LlmRequest) -> Result<String, Error> {
    Ok(dispatch().oneshot(request).await?.body.collect().await?.first_text())
}

fn ask(model: &str) -> LlmRequest {
    LlmRequest::chat(model).user("hi").build()
}

#[tokio::test]
async fn without_a_target_the_model_decides() {
    assert_eq!(answer(ask("gpt-4o")).await.unwrap(), "openai: openai/gpt-4o");
    assert_eq!(answer(ask("llama")).await.unwrap(), "local: local/llama");
}

#[tokio::test]
async fn a_provider_before_a_slash_is_asked_for_what_it_serves() {
    assert_eq!(answer(ask("openai/gpt-4o")).await.unwrap(), "openai: openai/gpt-4o");
    assert_eq!(answer(ask("local/llama")).await.unwrap(), "local: local/llama");
    assert_eq!(answer(ask("local/unlisted")).await.unwrap_err().kind(), ErrorKind::UnknownModel, "a list is a limit");
    assert_eq!(answer(ask("nobody/anything")).await.unwrap_err().kind(), ErrorKind::UnknownModel);
}

#[tokio::test]
async fn a_target_beats_the_model() {
    let mut request = ask("gpt-4o");
    request.context_mut().set_target(Target::new("local", "other"));
    assert_eq!(answer(request).await.unwrap(), "local: local/other");
}

#[tokio::test]
async fn a_model_nobody_serves_and_a_provider_nobody_knows_are_told_apart() {
    assert_eq!(answer(ask("mystery")).await.unwrap_err().kind(), ErrorKind::UnknownModel);
    let mut request = ask("gpt-4o");
    request.context_mut().set_target(Target::new("gone", "gpt-4o"));
    let error = answer(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRoute);
    assert_eq!(error.target().map(Target::provider), Some("gone"));
}

#[tokio::test]
async fn a_busy_provider_holds_up_nobody_else() {
    let busy = tower::util::BoxCloneSyncService::new(NeverReady);
    let mut dispatch = Dispatch::new().provider("busy", busy, ["slow"]).provider("local", named("local"), ["llama"]);
    let waiting = dispatch.ready().await.unwrap().call(ask("slow"));
    let mut waiting = std::pin::pin!(waiting);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    let other = dispatch.ready().await.unwrap().call(ask("llama")).await.unwrap();
    assert_eq!(other.body.collect().await.unwrap().first_text(), "local: local/llama");
}

#[derive(Clone)]
struct NeverReady;

impl Service<LlmRequest> for NeverReady {
    type Response = LlmResponse;
    type Error = Error;
    type Future = std::future::Ready<Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Error>> {
        std::task::Poll::Pending
    }

    fn call(&mut self, _: LlmRequest) -> Self::Future {
        unreachable!("it is never ready")
    }
}

#[tokio::test]
async fn a_sensitive_call_reaches_no_provider_that_is_not_local_whoever_chose_it() {
    let dispatch = dispatch().local("local");
    let ask_for = |target: Option<Target>, model| {
        let mut request = ask(model);
        request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
        if let Some(target) = target {
            request.context_mut().set_target(target);
        }
        dispatch.clone().oneshot(request)
    };
    for (target, model) in [(None, "gpt-4o"), (Some(Target::new("openai", "o3")), "llama")] {
        assert_eq!(ask_for(target, model).await.unwrap_err().kind(), ErrorKind::NoRoute);
    }
    assert!(ask_for(None, "llama").await.unwrap().body.collect().await.unwrap().first_text().starts_with("local"));
}
