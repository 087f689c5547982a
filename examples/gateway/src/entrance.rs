//! The way in: what every request has to pass before it reaches the doors.

use std::convert::Infallible;

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body as HttpBody;
use llm_core::{Error, ErrorKind};
use llm_serve::{DoorBody, Refuser};
use tower::{BoxError, Service, ServiceExt};
use tracing::Span;

use crate::{
    hosts::Hosts,
    keys::{self, Keys, Known},
    plain::find_ambiguity,
};

/// The doors, and who may come to them. One function asks everything, because each middleware of a router costs a
/// request more than the questions do.
#[derive(Debug)]
pub(crate) struct Entrance<D> {
    pub(crate) doors: D,
    /// What `/healthz` and `/readyz` answer to everybody.
    pub(crate) health: Router,
    pub(crate) keys: Keys,
    /// Matters where no key is needed.
    pub(crate) names: Names,
}

/// What a door that asks for no key calls itself.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) hosts: Hosts,
    /// False on a public address without configured names: it can be reached under any.
    pub(crate) are_known: bool,
}

impl<D> Entrance<D> {
    /// Answers one request.
    pub(crate) async fn answer<B>(&self, mut request: Request<B>) -> Response<Body>
    where
        D: Service<Request<B>, Response = Response<DoorBody>, Error = Infallible> + Clone,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // Whatever a proxy before the gateway may have understood otherwise: nothing more is taken on its connection.
        if let Some(ambiguity) = find_ambiguity(&request) {
            let mut response = refuse(&request, &Error::invalid_request(ambiguity));
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        if matches!(request.uri().path(), "/healthz" | "/readyz") {
            let Ok(response) = self.health.clone().oneshot(request).await;
            return response;
        }
        if let Err(error) = self.admit(&mut request) {
            return refuse(&request, &error);
        }
        let Ok(response) = self.doors.clone().oneshot(request).await;
        response.map(Body::new)
    }

    /// Lets callers with a key in, as whoever the key stands for. Without any configured keys everybody may come in
    /// who is no stranger's web page.
    fn admit<B>(&self, request: &mut Request<B>) -> Result<(), Error> {
        if self.keys.is_empty() {
            return self.names.check(request);
        }
        let presented = keys::presented(request.headers());
        let Some(Known { caller, allowed, sensitivity }) = presented.and_then(|key| self.keys.find(key)) else {
            let message = match presented {
                Some(_) => "the api key is not known here",
                None => "an api key is needed: send it as `Authorization: Bearer <key>`",
            };
            return Err(Error::new(ErrorKind::Unauthenticated, message));
        };
        let names = [("tenant", &caller.tenant), ("user", &caller.user), ("workflow", &caller.workflow)];
        for (field, name) in names {
            if let Some(name) = name {
                Span::current().record(field, &**name);
            }
        }
        let extensions = request.extensions_mut();
        extensions.insert(caller.clone());
        extensions.insert(*sensitivity);
        if let Some(allowed) = allowed {
            extensions.insert(allowed.clone());
        }
        Ok(())
    }
}

impl Names {
    /// Turns away what a web page sends without its reader's knowledge. Where keys are needed, no page has one to send.
    fn check<B>(&self, request: &Request<B>) -> Result<(), Error> {
        let message = if self.are_known && !self.hosts.is_addressed(request) {
            "the gateway has no such name: address it as it listens, or tell it the name in `server.hosts`"
        } else if !self.hosts.is_own_page(request) {
            "this web page may not call the gateway: tell it the page's host in `server.hosts`, or ask callers for keys"
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Forbidden, message))
    }
}

/// Refuses in the caller's dialect.
fn refuse<B>(request: &Request<B>, error: &Error) -> Response<Body> {
    Refuser::new(request).refuse(error).map(Body::new)
}
