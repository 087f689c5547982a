//! Refusals for layers of the host's.

use http::{Request, Response};
use llm_core::Error;

use crate::{DoorBody, DoorOptions, dialect::CallerDialect, responder::Responder};

/// Turns a request away as a door would: for layers of the host's before the doors, such as one that checks keys.
///
/// It answers in the dialect that belongs to the request's path, else to its headers, as
/// [`Door::new`](crate::Door::new) does, and sends the request's `x-request-id` back. What else a refusal says is in the
/// [crate docs](crate#headers).
///
/// ```
/// use http::Request;
/// use llm_core::{Error, ErrorKind};
/// use llm_serve::Refuser;
///
/// let request = Request::post("/v1/messages").body(()).unwrap();
/// let refuser = Refuser::new(&request);
///
/// // The request itself may be gone by now.
/// let response = refuser.refuse(&Error::new(ErrorKind::Unauthenticated, "there is no such key"));
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["x-should-retry"], "false");
/// assert!(response.headers().contains_key("request-id"), "which is a header of Anthropic's");
/// ```
#[derive(Clone, Debug)]
pub struct Refuser(Responder);

impl Refuser {
    /// Keeps of a request what it takes to refuse it.
    pub fn new<B>(request: &Request<B>) -> Self {
        let dialect = CallerDialect::of(request.uri(), request.headers());
        Self(Responder::new(dialect, request.headers(), &DoorOptions::new()))
    }

    /// The answer to who sent the request.
    pub fn refuse(&self, error: &Error) -> Response<DoorBody> {
        self.0.refuse(&error.clone().into())
    }
}
