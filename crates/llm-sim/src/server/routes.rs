//! What is at which path, in which dialect.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use llm_core::{Dialect, Error, LlmRequest};
use llm_wire::{ModelInfo, anthropic, openai};

use super::{
    body::{Broken, SimBody},
    dialect,
    exchange::Exchange,
    line::Switch,
    strict,
};
use crate::{
    FaultScript, Sim,
    answer::CREATED,
    log::{Arrival, Log},
    plan::Asked,
    refusal::Refusal,
    sim::Call,
};

/// The largest request body: as much as providers take.
const MAX_BODY: usize = 32 << 20;
/// The header that carries a [`FaultScript`].
const FAULT_HEADER: &str = "x-sim-fault";

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
        let (path, headers) = (parts.uri.path(), parts.headers);
        let dialect = dialect::of(path, &headers);
        let key = self.key(dialect, &headers);
        let asked = match (&key, &body) {
            (Err(refusal), _) => Err(refusal.clone()),
            (_, Err(_)) => Err(Refusal::of_code("request_too_large", "the request body is too large or broken", None)),
            (Ok(_), Ok(body)) => self.route(dialect, &parts.method, path, &headers, body),
        };
        let model = match &asked {
            Ok(Asks::Call(request, _)) => Some(request.model()),
            Ok(Asks::Answer(_)) | Err(_) => None,
        };
        let key = key.ok().flatten();
        let entry = self.log.begin(Arrival { path, model, headers, key: key.clone(), body: body.unwrap_or_default() });
        let exchange = Exchange { dialect, entry, switch };
        match asked {
            Err(refusal) => Ok(exchange.refuse(&refusal)),
            Ok(Asks::Answer(bytes)) => Ok(exchange.tell(bytes)),
            Ok(Asks::Call(request, script)) => {
                let begun = self.sim.begin(Call {
                    model: request.model(),
                    asked: Asked { payload: request.payload(), output_ceiling: None },
                    key: key.as_deref(),
                    script,
                });
                exchange.perform(*request, begun).await
            }
        }
    }

    /// The name of the key that was sent; `None` where keys are not asked for.
    fn key(&self, dialect: Dialect, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
        let keys = &self.sim.config().keys;
        if keys.is_empty() {
            return Ok(None);
        }
        let secret = dialect::secret(dialect, headers);
        let known = keys.iter().find(|key| Some(key.secret.as_str()) == secret);
        known
            .map(|key| Some(Arc::from(key.name.as_str())))
            .ok_or_else(|| Refusal::of_code("invalid_api_key", "incorrect API key provided", None))
    }

    fn route(
        &self,
        dialect: Dialect,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Asks, Refusal> {
        let call = |decode: fn(Bytes) -> Result<LlmRequest, Error>| {
            let script = script(headers)?;
            if dialect == Dialect::Anthropic {
                strict::check_version(headers)?;
            }
            let request = decode(body.clone()).map_err(Refusal::of_error)?;
            if dialect == Dialect::Anthropic {
                strict::check(&request, headers)?;
            }
            Ok(Asks::Call(Box::new(request), script))
        };
        match (method, path) {
            (&Method::POST, "/v1/chat/completions") => call(openai::decode_chat),
            (&Method::POST, "/v1/embeddings") => call(openai::decode_embed),
            (&Method::POST, "/v1/messages") => call(anthropic::decode_messages),
            (&Method::POST, "/v1/messages/count_tokens") => call(anthropic::decode_count_tokens),
            (&Method::GET, "/v1/models") => Ok(Asks::Answer(dialect::encode_models(dialect, &self.models()))),
            (&Method::GET, path) if path.starts_with("/v1/models/") => {
                let name = &path["/v1/models/".len()..];
                let model = self.models().into_iter().find(|model| model.id == name);
                let model = model.ok_or_else(|| Refusal::unknown_model(name))?;
                Ok(Asks::Answer(dialect::encode_model(dialect, &model)))
            }
            (
                _,
                "/v1/chat/completions" | "/v1/embeddings" | "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models",
            ) => Err(Refusal::of_code("method_not_allowed", "this address does not take this method", None)),
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
