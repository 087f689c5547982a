//! One request, and what it gets over the wire.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use llm_core::{Dialect, Head, LlmRequest, Output, RateLimits};

use super::{
    body::{Broken, SimBody},
    dialect::{self, StreamWriter},
    head::{self, Told},
    line::Switch,
};
use crate::{
    answer::CREATED,
    log::{Ended, Entry},
    plan::{Act, Happening, Step},
    player::{self, Player},
    refusal::Refusal,
    sim::Begun,
};

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// A request that has arrived and is not answered yet.
pub(super) struct Exchange {
    pub(super) dialect: Dialect,
    pub(super) entry: Entry,
    pub(super) switch: Switch,
}

impl Exchange {
    /// Refuses what never became a call.
    pub(super) fn refuse(self, refusal: &Refusal) -> Response<SimBody> {
        self.refuse_as("req_refused", RateLimits::default(), Ended::Complete, refusal)
    }

    /// Tells something that needs no model.
    pub(super) fn tell(self, bytes: Bytes) -> Response<SimBody> {
        let told = self.told(JSON, "req_models", RateLimits::default());
        head::response(StatusCode::OK, told, SimBody::bytes(bytes, 0, Ended::Complete, self.entry, self.switch))
    }

    /// Answers a call as planned.
    pub(super) async fn perform(self, request: LlmRequest, begun: Begun) -> Result<Response<SimBody>, Broken> {
        let Begun { plan, limits, request_id, is_faulted } = begun;
        self.entry.answers(plan.usage());
        player::wait(plan.wait).await;
        match plan.act {
            // The entry lives until the caller leaves.
            Act::Hang => std::future::pending().await,
            Act::Cut => {
                self.entry.end(Ended::Faulted);
                Err(Broken)
            }
            Act::Reset => {
                self.entry.end(Ended::Faulted);
                self.switch.throw();
                Err(Broken)
            }
            Act::Refuse(refusal) => {
                let ended = if is_faulted { Ended::Faulted } else { Ended::Complete };
                let response = self.refuse_as(&request_id, limits, ended, &refusal);
                Ok(response.map(|body| body.one_byte_writes(plan.one_byte_writes)))
            }
            Act::Stream { start, usage, steps } => {
                let head = Head { id: start.id, model: start.model, created: start.created, ..Head::default() };
                let writer = StreamWriter::new(self.dialect, &head, &request, usage, &request_id);
                let told = self.told(EVENT_STREAM, &request_id, limits);
                let body = SimBody::frames(Player::new(steps), writer, self.entry, self.switch);
                Ok(head::response(StatusCode::OK, told, body.one_byte_writes(plan.one_byte_writes)))
            }
            Act::Whole { output, steps } => {
                let bytes = whole(self.dialect, &output, &request);
                let told = self.told(JSON, &request_id, limits);
                let body = match steps[..] {
                    // Nothing goes wrong on the way: the length is known beforehand.
                    [Step::Do(Happening::UpTo { tokens, of })] if tokens == of && !plan.one_byte_writes => {
                        SimBody::bytes(bytes, tokens, Ended::Complete, self.entry, self.switch)
                    }
                    _ => SimBody::parts(Player::new(steps), bytes, self.entry, self.switch),
                };
                Ok(head::response(StatusCode::OK, told, body.one_byte_writes(plan.one_byte_writes)))
            }
        }
    }

    fn refuse_as(self, request_id: &str, limits: RateLimits, ended: Ended, refusal: &Refusal) -> Response<SimBody> {
        let body = refusal.body(self.dialect, request_id);
        let told = Told {
            should_retry: refusal.should_retry(self.dialect),
            more: refusal.headers().clone(),
            ..self.told(JSON, request_id, limits)
        };
        let body = SimBody::bytes(body, 0, ended, self.entry, self.switch);
        head::response(refusal.status(told.dialect), told, body)
    }

    fn told<'a>(&self, content_type: &'static str, request_id: &'a str, limits: RateLimits) -> Told<'a> {
        Told { dialect: self.dialect, content_type, request_id, limits, should_retry: None, more: HeaderMap::new() }
    }
}

fn whole(dialect: Dialect, output: &Output, request: &LlmRequest) -> Bytes {
    let mut head = Head { model: Some(Arc::from(request.model())), created: Some(CREATED), ..Head::default() };
    if let Output::Chat(chat) = output {
        (head.id, head.created) = (chat.start.id.clone(), chat.start.created);
    }
    dialect::encode_answer(dialect, output, &head, request)
}
