//! What is answered instead.

use std::{fmt, sync::Arc};

use llm_core::{BoxLlmService, Error, LlmRequest, LlmResponse, Output, Payload};
use tower::{Service, ServiceExt};

/// A rule of your own that answers instead of a model. Closures do.
///
/// ```
/// use llm_core::{Error, LlmRequest, Output};
/// use llm_fallback::Answer;
///
/// let opening_hours = |request: &LlmRequest, _: &Error| {
///     (request.context().intent() == Some("opening-hours")).then(|| Output::text("We are open from nine to five."))
/// };
/// let answer = Answer::function(opening_hours);
/// # let _ = answer;
/// ```
pub trait LastResort: Send + Sync {
    /// What to answer to `request`, which failed with `failure`; `None` to leave it to the next case. What is no answer
    /// to such a request, as a text is none to one for embeddings, counts as `None`. Must not block.
    fn answer(&self, request: &LlmRequest, failure: &Error) -> Option<Output>;
}

impl<F> LastResort for F
where
    F: Fn(&LlmRequest, &Error) -> Option<Output> + Send + Sync,
{
    fn answer(&self, request: &LlmRequest, failure: &Error) -> Option<Output> {
        self(request, failure)
    }
}

/// What a case answers.
#[derive(Clone)]
pub struct Answer(pub(crate) Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Message(Arc<str>),
    Function(Arc<dyn LastResort>),
    Service { service: BoxLlmService, is_local: bool },
}

impl Answer {
    /// This text, as a whole answer or as a stream. Only chats are answered so: a text is no embedding and no count.
    pub fn message(text: impl Into<Arc<str>>) -> Self {
        Self(Kind::Message(text.into()))
    }

    /// What the function says.
    pub fn function(function: impl LastResort + 'static) -> Self {
        Self(Kind::Function(Arc::new(function)))
    }

    /// What another service answers. It is asked once, with the call as it came, and beyond the call's allowance.
    /// Sensitive calls do not go there.
    pub fn service<S>(service: S) -> Self
    where
        S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + Sync + 'static,
        S::Error: Into<Error>,
        S::Future: Send + 'static,
    {
        Self(Kind::Service { service: BoxLlmService::new(service.map_err(Into::into)), is_local: false })
    }

    /// The same for a service that sensitive calls may go to.
    pub fn local_service<S>(service: S) -> Self
    where
        S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + Sync + 'static,
        S::Error: Into<Error>,
        S::Future: Send + 'static,
    {
        Self(Kind::Service { service: BoxLlmService::new(service.map_err(Into::into)), is_local: true })
    }

    /// Whether this one has nothing to answer where the `earlier` one had nothing.
    pub(crate) fn is_in_vain_after(&self, earlier: &Self) -> bool {
        match (&self.0, &earlier.0) {
            (Kind::Message(_), Kind::Message(_)) => true,
            // One call is all that a fallback has.
            (Kind::Service { is_local, .. }, Kind::Service { is_local: was_local, .. }) => *was_local || !*is_local,
            (Kind::Message(_) | Kind::Function(_) | Kind::Service { .. }, _) => false,
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Message(text) => write!(f, "Message({} bytes)", text.len()),
            Kind::Function(_) => f.write_str("Function"),
            Kind::Service { is_local: true, .. } => f.write_str("LocalService"),
            Kind::Service { is_local: false, .. } => f.write_str("Service"),
        }
    }
}

/// Whether `output` is an answer to such a request.
pub(crate) fn fits(output: &Output, payload: &Payload) -> bool {
    match payload {
        Payload::Chat(_) => matches!(output, Output::Chat(_)),
        Payload::Embed(_) => matches!(output, Output::Embed(_)),
        Payload::CountTokens(_) => matches!(output, Output::TokenCount(_)),
    }
}
