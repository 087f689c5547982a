//! One http exchange from request to response: the same for every door.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body as HttpBody;
use llm_core::{Error, HoldBack, LlmRequest, LlmResponse};
use tokio::time::timeout;
use tower::{BoxError, ServiceExt};
use tower_service::Service;

use crate::{
    DoorBody, DoorOptions, ResponseFuture,
    dialect::CallerDialect,
    endpoint::Endpoint,
    intake::take_in,
    refusal::Refusal,
    remaining::Teller,
    responder::Responder,
    stream::{Awaited, EventStream},
};

/// Answers a `POST` to an endpoint with the help of a clone of `service`, which is readied when the request has been
/// understood.
pub(crate) fn post<S, B>(
    service: &S,
    endpoint: Endpoint,
    options: DoorOptions,
    remaining: &Option<Teller>,
    request: Request<B>,
) -> ResponseFuture
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
    B: HttpBody + Send + 'static,
    B::Error: Into<BoxError>,
{
    if request.method() != Method::POST {
        let responder = Responder::new(endpoint.dialect(), request.headers(), &options);
        return ResponseFuture::ready(responder.refuse(&Refusal::wrong_method("POST")));
    }
    ResponseFuture::call(exchange(service.clone(), endpoint, options, remaining.clone(), request))
}

/// Takes the request in, calls the service, and answers whatever comes of it.
async fn exchange<S, B>(
    service: S,
    endpoint: Endpoint,
    options: DoorOptions,
    remaining: Option<Teller>,
    request: Request<B>,
) -> Response<DoorBody>
where
    S: Service<LlmRequest, Response = LlmResponse> + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send,
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let dialect = endpoint.dialect();
    let responder = Responder::new(dialect, &parts.headers, &options);
    let request = match take_in(parts, body, endpoint, &options).await {
        Ok(request) => request,
        Err(refusal) => return responder.refuse(&refusal),
    };
    let responder = responder.of_call(&request, remaining);
    let answered = if request.is_stream() {
        stream(service, request, dialect, &options, &responder).await
    } else {
        whole(service, request, dialect, &responder).await
    };
    answered.unwrap_or_else(|error| responder.refuse(&error.into()))
}

async fn whole<S>(
    service: S,
    request: LlmRequest,
    dialect: CallerDialect,
    responder: &Responder,
) -> Result<Response<DoorBody>, Error>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    let LlmResponse { head, body } = service.oneshot(request.clone()).await.map_err(Into::into)?;
    let own_bytes: Option<Bytes> =
        body.wire().filter(|wire| wire.dialect == dialect.wire()).map(|wire| wire.bytes.clone());
    let bytes = match own_bytes {
        Some(bytes) => bytes,
        None => dialect.encode_answer(&body.collect().await?, &head, &request),
    };
    Ok(responder.answer(&head, bytes))
}

async fn stream<S>(
    service: S,
    request: LlmRequest,
    dialect: CallerDialect,
    options: &DoorOptions,
    responder: &Responder,
) -> Result<Response<DoorBody>, Error>
where
    S: Service<LlmRequest, Response = LlmResponse> + Send + 'static,
    S::Error: Into<Error>,
    S::Future: Send,
{
    let mut answer: Awaited = Box::pin(until_content(service, request.clone()));
    let answered = match options.head_after {
        Some(head_after) => timeout(head_after, &mut answer).await.ok(),
        None => Some(answer.as_mut().await),
    };
    let (head, events) = match answered {
        Some(answered) => {
            let response = answered?;
            (Some(response.head.clone()), EventStream::answer(response, &request, dialect, options))
        }
        None => (None, EventStream::awaited(answer, &request, dialect, options)),
    };
    Ok(responder.stream(head.as_ref(), DoorBody::stream(events)))
}

/// The answer, once it has content: a failure before that can still be a status. Where a layer below has waited
/// already, this costs nothing.
async fn until_content<S>(service: S, request: LlmRequest) -> Result<LlmResponse, Error>
where
    S: Service<LlmRequest, Response = LlmResponse>,
    S::Error: Into<Error>,
{
    let LlmResponse { head, body } = service.oneshot(request).await.map_err(Into::into)?;
    Ok(LlmResponse::new(head, body.until_content(HoldBack::default()).await?))
}
