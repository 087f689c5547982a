//! Requests in OpenAI's dialect, and what they get.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use llm_core::{Error, Head, LlmRequest, Output};
use llm_wire::openai::{self, ModelInfo, StreamEncoder};

use super::{
    body::{Broken, SimBody},
    head::{self, Told},
    line::Switch,
};
use crate::{
    FaultScript, Sim,
    answer::CREATED,
    log::{Arrival, Ended, Entry, Log},
    plan::{Act, Asked, Happening, Step},
    player::{self, Player},
    refusal::Refusal,
    sim::{Begun, Call},
};

/// The largest request body: as much as providers take.
const MAX_BODY: usize = 32 << 20;
/// The header that carries a [`FaultScript`].
const FAULT_HEADER: &str = "x-sim-fault";

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// Everything that the server answers.
#[derive(Clone)]
pub(super) struct Routes {
    sim: Sim,
    log: Arc<Log>,
}

impl Routes {
    pub(super) fn new(sim: Sim, log: Arc<Log>) -> Self {
        Self { sim, log }
    }

    pub(super) async fn answer(self, request: Request<Incoming>, switch: Switch) -> Result<Response<SimBody>, Broken> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await.map(|body| body.to_bytes());
        let key = self.key(&parts.headers);
        let asked = match (&key, body.is_err()) {
            (Err(refusal), _) => Err(refusal.clone()),
            (_, true) => Err(Refusal::of_code("request_too_large", "the request body is too large or broken", None)),
            _ => self.route(
                &parts.method,
                parts.uri.path(),
                &parts.headers,
                body.as_ref().map_or(&Bytes::new(), |body| body),
            ),
        };
        let model = match &asked {
            Ok(Asks::Call(request, _)) => Some(request.model()),
            Ok(Asks::Answer(_)) | Err(_) => None,
        };
        let key = key.ok().flatten();
        let entry = self.log.begin(Arrival {
            path: parts.uri.path(),
            model,
            headers: parts.headers,
            key: key.clone(),
            body: body.unwrap_or_default(),
        });
        match asked {
            Err(refusal) => Ok(refused(refusal, "req_refused", Default::default(), Ended::Complete, entry, switch)),
            Ok(Asks::Answer(bytes)) => {
                let told = Told { content_type: JSON, request_id: "req_models", ..Told::default() };
                let body = SimBody::bytes(bytes, 0, Ended::Complete, entry, switch);
                Ok(head::response(StatusCode::OK, told, body))
            }
            Ok(Asks::Call(request, script)) => {
                let begun = self.sim.begin(Call {
                    model: request.model(),
                    asked: Asked { payload: request.payload(), output_ceiling: None },
                    key: key.as_deref(),
                    script,
                });
                perform(*request, begun, entry, switch).await
            }
        }
    }

    /// The name of the key that was sent; `None` where keys are not asked for.
    fn key(&self, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
        let keys = &self.sim.config().keys;
        if keys.is_empty() {
            return Ok(None);
        }
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = sent.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let known = keys.iter().find(|key| Some(key.secret.as_str()) == secret);
        known
            .map(|key| Some(Arc::from(key.name.as_str())))
            .ok_or_else(|| Refusal::of_code("invalid_api_key", "incorrect API key provided", None))
    }

    fn route(&self, method: &Method, path: &str, headers: &HeaderMap, body: &Bytes) -> Result<Asks, Refusal> {
        let call = |decode: fn(Bytes) -> Result<LlmRequest, Error>| {
            let script = script(headers)?;
            let request = decode(body.clone()).map_err(|error| Refusal::of_error(&error))?;
            Ok(Asks::Call(Box::new(request), script))
        };
        match (method, path) {
            (&Method::POST, "/v1/chat/completions") => call(openai::decode_chat),
            (&Method::POST, "/v1/embeddings") => call(openai::decode_embed),
            (&Method::GET, "/v1/models") => Ok(Asks::Answer(openai::encode_models(&self.models()))),
            (&Method::GET, path) if path.starts_with("/v1/models/") => {
                let name = &path["/v1/models/".len()..];
                let model = self.models().into_iter().find(|model| model.id == name);
                let model = model.ok_or_else(|| Refusal::unknown_model(name))?;
                Ok(Asks::Answer(openai::encode_model(&model)))
            }
            (_, "/v1/chat/completions" | "/v1/embeddings" | "/v1/models") => {
                Err(Refusal::of_code("method_not_allowed", "this address does not take this method", None))
            }
            _ => Err(Refusal::of_code("not_found", "there is nothing at this address", None)),
        }
    }

    fn models(&self) -> Vec<ModelInfo> {
        let models = self.sim.config().models.iter();
        models.map(|model| ModelInfo { id: model.name.clone(), created: CREATED, owned_by: "llm-sim".into() }).collect()
    }
}

/// What a request wants.
enum Asks {
    /// A call to a model, with what is to go wrong.
    Call(Box<LlmRequest>, Option<FaultScript>),
    /// Something that is known already.
    Answer(Bytes),
}

fn script(headers: &HeaderMap) -> Result<Option<FaultScript>, Refusal> {
    let Some(value) = headers.get(FAULT_HEADER) else { return Ok(None) };
    let bad = |message: &str| Refusal::of_code("invalid_value", message, Some(FAULT_HEADER));
    let text = value.to_str().map_err(|_| bad("the fault script is not ASCII text"))?;
    text.parse().map(Some).map_err(|error: crate::ScriptError| bad(&error.to_string()))
}

async fn perform(request: LlmRequest, begun: Begun, entry: Entry, switch: Switch) -> Result<Response<SimBody>, Broken> {
    let Begun { plan, limits, request_id, is_faulted } = begun;
    let told = |content_type| Told { content_type, request_id: &request_id, limits, ..Told::default() };
    player::wait(plan.wait).await;
    let body = match plan.act {
        // The entry lives until the caller leaves.
        Act::Hang => return std::future::pending().await,
        Act::Cut => {
            entry.end(Ended::Faulted);
            return Err(Broken);
        }
        Act::Reset => {
            entry.end(Ended::Faulted);
            switch.throw();
            return Err(Broken);
        }
        Act::Refuse(refusal) => {
            let ended = if is_faulted { Ended::Faulted } else { Ended::Complete };
            return Ok(refused(refusal, &request_id, limits, ended, entry, switch)
                .map(|body| body.one_byte_writes(plan.one_byte_writes)));
        }
        Act::Stream { start, steps } => {
            let head = Head { id: start.id, model: start.model, created: start.created, ..Head::default() };
            let encoder = StreamEncoder::new(&head, &request);
            let body =
                SimBody::frames(Player::new(steps), encoder, entry, switch).one_byte_writes(plan.one_byte_writes);
            return Ok(head::response(StatusCode::OK, told(EVENT_STREAM), body));
        }
        Act::Whole { output, steps } => {
            let mut head = Head { model: Some(Arc::from(request.model())), created: Some(CREATED), ..Head::default() };
            if let Output::Chat(chat) = &*output {
                (head.id, head.created) = (chat.start.id.clone(), chat.start.created);
            }
            let bytes = openai::encode_answer(&output, &head, &request);
            match steps[..] {
                // Nothing goes wrong on the way: the length is known beforehand.
                [Step::Do(Happening::UpTo { tokens, of })] if tokens == of && !plan.one_byte_writes => {
                    SimBody::bytes(bytes, tokens, Ended::Complete, entry, switch)
                }
                _ => SimBody::parts(Player::new(steps), bytes, entry, switch),
            }
        }
    };
    Ok(head::response(StatusCode::OK, told(JSON), body.one_byte_writes(plan.one_byte_writes)))
}

fn refused(
    refusal: Refusal,
    request_id: &str,
    limits: llm_core::RateLimits,
    ended: Ended,
    entry: Entry,
    switch: Switch,
) -> Response<SimBody> {
    let Refusal { status, headers, body } = refusal;
    let told = Told { content_type: JSON, request_id, limits, more: *headers };
    head::response(status, told, SimBody::bytes(body, 0, ended, entry, switch))
}
