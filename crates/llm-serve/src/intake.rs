//! Takes a request in: its body within limits, its headers as context.

use std::{pin::pin, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError};
use llm_core::{
    AllowedModels, CacheDirective, Caller, Context, Error, ErrorKind, LlmRequest, Sensitivity, TraceParent,
};
use llm_wire::anthropic::Betas;
use tokio::time::{Instant, timeout};
use tower::BoxError;

use crate::{DoorOptions, dialect::CallerDialect, directive, endpoint::Endpoint, hints, refusal::Refusal};

/// The most bytes of headers that are worth reading. Clients of models send under 2 KiB, and http servers allow
/// hundreds.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How much longer than its client a caller is waited for. The client gives up by itself, and its own error is what its
/// user expects then; the bound is for clients whose end is not seen.
const GRACE: Duration = Duration::from_secs(1);

/// Reads one request. Nothing of the head but what is named here goes on, so that no host, address or key of the
/// caller's can reach a provider.
pub(crate) async fn take_in<B>(
    parts: Parts,
    body: B,
    endpoint: Endpoint,
    options: &DoorOptions,
) -> Result<LlmRequest, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    check_head(&parts.headers)?;
    let betas = match endpoint.dialect() {
        CallerDialect::OpenAi => None,
        CallerDialect::Anthropic => Betas::from_headers(&parts.headers)?,
    };
    let body = timeout(options.body_timeout, read(body, options.max_body_bytes))
        .await
        .unwrap_or_else(|_| Err(Refusal::slow_body()))?;
    let mut request = endpoint.decode(body)?;
    request.context().set_allowance(options.attempts.get() - 1);
    fill_context(request.context_mut(), &parts);
    hints::fill(request.context_mut(), &parts.headers)?;
    let mut cache = *request.context().cache();
    directive::add(&mut cache, &parts.headers)?;
    request.context_mut().set_cache(cache);
    if let Some(parent) = parts.headers.get("traceparent").and_then(TraceParent::parse) {
        request.extensions_mut().insert(parent);
    }
    if let Some(betas) = betas {
        request.extensions_mut().insert(betas);
    }
    Ok(request)
}

fn check_head(headers: &HeaderMap) -> Result<(), Refusal> {
    let head_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if head_bytes > MAX_HEAD_BYTES {
        return Err(Refusal::large_head());
    }
    if let Some(media_type) = headers.get(header::CONTENT_TYPE)
        && !media_type.to_str().is_ok_and(is_json)
    {
        return Err(Refusal::wrong_media_type("the content type must be application/json"));
    }
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Refusal::wrong_media_type("the request body must not be compressed"));
    }
    Ok(())
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads a body of at most `limit` bytes. Memory grows with what has come, never with what was announced.
async fn read<B>(body: B, limit: usize) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let too_large =
        || Refusal::from(Error::new(ErrorKind::TooLarge, format!("the request body is over {limit} bytes")));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let error = error.into();
            // A limit that the host set outside this door.
            if is_length_limit(&*error) { too_large() } else { unreadable(error) }
        })?;
        // Trailers say nothing that a call needs.
        let Ok(mut data) = frame.into_data() else { continue };
        if data.remaining() > limit - first.len() - rest.len() {
            return Err(too_large());
        }
        if first.is_empty() && rest.is_empty() {
            first = data.copy_to_bytes(data.remaining());
        } else {
            if rest.is_empty() {
                rest = BytesMut::from(std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn unreadable(error: BoxError) -> Refusal {
    Error::invalid_request("the request body could not be read").with_source(error).into()
}

fn is_length_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// What the host found out about the caller, and what the caller's client says about its patience.
fn fill_context(context: &mut Context, parts: &Parts) {
    let Parts { headers, extensions, .. } = parts;
    if let Some(caller) = extensions.get::<Caller>() {
        context.set_caller(caller.clone());
    }
    if let Some(sensitivity) = extensions.get::<Sensitivity>() {
        context.raise_sensitivity(*sensitivity);
    }
    if let Some(allowed) = extensions.get::<AllowedModels>() {
        context.set_allowed_models(allowed.clone());
    }
    if let Some(directive) = extensions.get::<CacheDirective>() {
        context.set_cache(*directive);
    }
    if let Some(retries) = text(headers, STAINLESS_RETRY_COUNT).and_then(|text| text.parse::<u32>().ok()) {
        context.lower_allowance_to(context.calls_left().saturating_sub(retries));
    }
    let patience = [STAINLESS_READ_TIMEOUT, STAINLESS_TIMEOUT].into_iter().find_map(|name| seconds(headers, name));
    if let Some(patience) = patience {
        context.set_read_timeout(patience.saturating_add(GRACE));
    }
    let deadline = text(headers, GRPC_TIMEOUT).and_then(grpc_timeout);
    if let Some(deadline) = deadline.and_then(|timeout| Instant::now().checked_add(timeout)) {
        context.set_deadline(deadline);
    }
}

const STAINLESS_RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");
const STAINLESS_READ_TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-read-timeout");
const STAINLESS_TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-timeout");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn seconds(headers: &HeaderMap, name: HeaderName) -> Option<Duration> {
    let seconds: f64 = text(headers, name)?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|timeout| !timeout.is_zero())
}

/// At most eight digits and a unit, as the gRPC protocol over HTTP/2 writes it.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_timeout_is_eight_digits_and_a_unit() {
        assert_eq!(grpc_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(grpc_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for broken in ["", "S", "5", "5s", "-5S", "1.5S", "999999999S", "5é"] {
            assert_eq!(grpc_timeout(broken), None, "{broken}");
        }
    }

    #[test]
    fn json_is_recognised_by_its_essence() {
        for json in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"] {
            assert!(is_json(json), "{json}");
        }
        for other in ["text/plain", "application/x-www-form-urlencoded", "", "text/json"] {
            assert!(!is_json(other), "{other}");
        }
    }

    #[test]
    fn a_timeout_in_seconds_must_make_sense() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(STAINLESS_READ_TIMEOUT, value.parse().unwrap());
            seconds(&headers, STAINLESS_READ_TIMEOUT)
        };
        assert_eq!(read("1.5"), Some(Duration::from_millis(1500)));
        for broken in ["0", "-1", "NaN", "inf", "1e300", "soon"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
