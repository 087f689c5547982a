//! Rule 10: nobody reads along.

use futures_util::{FutureExt, StreamExt};
use llm_core::{EmbedInput, Error, ErrorKind, LlmRequest, Message, Output, Payload, Role};

use super::{
    Ruling,
    stage::{Stage, call, caught, read_to_content, within},
};
use crate::{Answer, CapturedLogs, Frames, Probe, Subject};

const PROMPT: &str = "canary-in-the-prompt-5d1f";
const ANSWER: &str = "canary-in-the-answer-a27c";

/// No prompt, no answer and no secret is in `Debug`, logs, spans, notices or errors, however a call ends.
pub async fn no_content_in_debug_or_logs(subject: &dyn Fn() -> Subject) -> Ruling {
    let captured = CapturedLogs::start();
    let answers = [
        Answer::whole(Output::text(ANSWER)),
        Answer::stream(Frames::answer(ANSWER)),
        Answer::stream(Frames::cut(ANSWER)),
        Answer::stream(Frames::cut(ANSWER).fail(Error::new(ErrorKind::Server, "the scripted failure"))),
        Answer::stream(Frames::cut(ANSWER).hang()),
        Answer::fail(Error::new(ErrorKind::Overloaded, "the scripted failure")),
        Answer::fail(Error::new(ErrorKind::InvalidRequest, "the scripted failure")),
        Answer::panic_in_future(),
    ];
    let mut shown = Vec::new();
    for answer in answers {
        for streamed in [false, true] {
            let probe = Probe::answering(answer.clone());
            let mut stage = Stage::new(subject, probe);
            let mut notices = stage.subject.listen.as_ref().map(|listen| listen());
            for number in 0..2 {
                let request = with_canary(stage.subject.request(number, streamed));
                shown.extend(caught(show_call(&mut stage, request)).await);
            }
            if let Some(rejecting) = stage.subject.wrap_rejecting(super::stage::boxed(Probe::new())) {
                stage.service = rejecting;
                let request = with_canary(stage.subject.request(2, streamed));
                shown.extend(caught(show_call(&mut stage, request)).await);
            }
            shown.extend(stage.subject.shows.iter().map(|(_, show)| show()));
            if let Some(notices) = &mut notices {
                while let Some(Some(notice)) = notices.next().now_or_never() {
                    shown.push(format!("{notice:?}"));
                }
            }
        }
    }
    let secrets = subject().secrets;
    let canaries = [("a prompt", PROMPT), ("an answer", ANSWER)];
    let canaries = canaries.into_iter().chain(secrets.iter().map(|secret| ("a secret", secret.as_str())));
    let (logs, shown) = (captured.text(), shown.join("\n"));
    for (what, canary) in canaries {
        assert!(!logs.contains(canary), "{what} was written into the logs");
        assert!(!shown.contains(canary), "{what} was shown by `Debug`, an error or a notice");
    }
    Ruling::Kept
}

fn with_canary(mut request: LlmRequest) -> LlmRequest {
    match request.payload_mut() {
        Payload::Chat(chat) | Payload::CountTokens(chat) => chat.messages.push(Message::text(Role::User, PROMPT)),
        Payload::Embed(embed) => embed.input.push(EmbedInput::Text(PROMPT.to_owned())),
    }
    request
}

/// Makes a call, reads some of its stream, drops the rest, and collects all that can be shown on the way.
async fn show_call(stage: &mut Stage, request: LlmRequest) -> String {
    let response = call(&mut stage.service, request).await;
    let mut shown = format!("{response:?} {:?}", stage.service);
    match response {
        Err(error) => shown.push_str(&format!(" {error}")),
        Ok(mut response) if response.body.is_full() => drop(response.body.next().await),
        Ok(mut response) => {
            read_to_content(&mut response.body).await;
            shown.push_str(&format!(" {response:?}"));
            if let Some(Some(Err(error))) = within(response.body.next(), "a stream never went on").now_or_never() {
                shown.push_str(&format!(" {error} {error:?}"));
            }
        }
    }
    shown
}
