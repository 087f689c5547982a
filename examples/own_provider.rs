//! A provider of your own, beside another one: a local model that streams, with a protocol of its own.
//!
//! `cargo run -p examples --example own_provider`
//!
//! A provider is a tower service that answers an `LlmRequest`. It makes frames out of whatever its model says, and ends with
//! a finish reason, since a stream without one was cut. Layers, doors and `Dispatch` see no difference to any other provider.

use std::{
    io::{Write as _, stdout},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, Stream},
};
use llm_core::{
    Body, Error, Event, FinishReason, Frame, Head, LlmRequest, LlmResponse, Payload, Sensitivity, Target, Usage,
};
use llm_router::Dispatch;
use llm_sim::{ModelConfig, Sim, SimConfig};
use tower::{Service, ServiceExt};

/// The model: says one word after the other, as a process, a socket or a library of yours would.
fn generate(words: u64) -> impl Stream<Item = String> {
    let text = "Blue light is scattered more than red light because its waves are shorter";
    stream::iter(text.split(' ').take(words as usize)).then(async |word| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        format!("{word} ")
    })
}

/// The provider: requests in, frames out.
#[derive(Clone, Debug)]
struct House;

impl Service<LlmRequest> for House {
    type Response = LlmResponse;
    type Error = Error;
    type Future = BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        Box::pin(async move {
            let Payload::Chat(_) = request.payload() else {
                return Err(Error::invalid_request("this model only chats"));
            };
            let words = request.max_output_tokens().unwrap_or(13).min(13);
            let frames = generate(words).map(|word| Ok(Frame::text(word)));
            // What it used, and that it is done. With neither, usage would be estimated and the answer taken for a cut one.
            let end = [Event::Usage(Usage::reported(8, words)), Event::Finish(FinishReason::Stop)];
            let frames = frames.chain(stream::iter(end.map(|event| Ok(Frame::event(event)))));
            // For those who settle on attempts, such as budgets: this one is on the call's trail, and how it ended.
            let (trail, attempt) = (request.context().trail(), request.context().attempt());
            trail.begin(attempt, request.context().target());
            let body = Body::stream(frames).on_end(move |outcome| {
                trail.update(attempt.number, |record| {
                    record.end = Some(outcome.to_end());
                    record.usage = Some(outcome.progress().usage());
                });
            });
            Ok(LlmResponse::new(Head { target: request.context().target().cloned(), ..Head::default() }, body))
        })
    }
}

/// Asks, and prints each piece as it comes.
async fn ask(providers: &Dispatch, request: LlmRequest) -> Result<(), Error> {
    let trail = request.context().trail();
    let mut response = providers.clone().oneshot(request).await?;
    print!("{}: ", response.head.target.as_ref().map_or("nobody", Target::provider));
    while let Some(frame) = response.body.next().await {
        for said in frame?.into_events() {
            if let Event::Text(text) = said.event {
                print!("{text}");
                // A line is shown when it is over, and this one is worth watching. Nobody may be there to see it.
                let _ = stdout().flush();
            }
        }
    }
    for attempt in trail.attempts() {
        let tokens = attempt.usage.map_or(0, |usage| usage.total());
        println!("\n    on the trail: {:?}, {tokens} tokens", attempt.end);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rented =
        Sim::try_from(SimConfig::new([ModelConfig { output_tokens: 12, ..ModelConfig::chat("rented-model") }]))?;
    let providers = Dispatch::new()
        .provider("house", House, ["house-model"])
        .provider("rented", rented, ["rented-model"])
        .local("house");

    let question = |model: &str| LlmRequest::chat(model).user("Why is the sky blue?").stream();
    ask(&providers, question("house-model").build()).await?;
    ask(&providers, question("rented-model").build()).await?;

    // What must not leave the house goes to a provider that was marked local, or nowhere.
    for model in ["house-model", "rented-model"] {
        let mut request = question(model).build();
        request.context_mut().raise_sensitivity(Sensitivity::Sensitive);
        if let Err(error) = ask(&providers, request).await {
            println!("refused: {error}");
        }
    }
    Ok(())
}
