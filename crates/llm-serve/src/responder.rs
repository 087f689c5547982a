//! Response heads: what an answer or a refusal tells besides its body.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use llm_core::{CacheStatus, CallId, Context, Head, LlmRequest, NanoUsd, Served, Target};

use crate::{
    DoorBody, DoorOptions,
    dialect::CallerDialect,
    refusal::{Refusal, origin},
    remaining::Teller,
    told::{Attempts, Name},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Anthropic's name for it.
const BARE_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const ERROR_KIND: HeaderName = HeaderName::from_static("x-llm-error-kind");
const ERROR_ORIGIN: HeaderName = HeaderName::from_static("x-llm-error-origin");
const CALL_ID: HeaderName = HeaderName::from_static("x-llm-call-id");
const TARGET: HeaderName = HeaderName::from_static("x-llm-target");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-llm-attempts");
const TRAIL: HeaderName = HeaderName::from_static("x-llm-trail");
const SERVED: HeaderName = HeaderName::from_static("x-llm-served");
const CACHE: HeaderName = HeaderName::from_static("x-llm-cache");
const COST: HeaderName = HeaderName::from_static("x-llm-cost-usd");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How many headers an answer has, with those that http servers add: a map that has to grow is built anew.
const USUAL_HEADERS: usize = 12;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// Makes the response of one exchange out of whatever became of it.
#[derive(Clone, Debug)]
pub(crate) struct Responder {
    dialect: CallerDialect,
    /// The id that the caller, or a layer of the host's, gave the request.
    request_id: Option<HeaderValue>,
    /// The call, once the request is understood.
    context: Option<Context>,
    provenance: bool,
    /// Who knows what is left, and the request that it is told of.
    remaining: Option<(Teller, LlmRequest)>,
}

impl Responder {
    pub(crate) fn new(dialect: CallerDialect, headers: &HeaderMap, options: &DoorOptions) -> Self {
        // An id is a word, not a letter: a longer one is not sent back.
        const LONGEST_ID: usize = 128;
        let request_id = headers.get(REQUEST_ID).filter(|id| !id.is_empty() && id.len() <= LONGEST_ID).cloned();
        Self { dialect, request_id, context: None, provenance: options.provenance_headers, remaining: None }
    }

    pub(crate) fn of_call(self, request: &LlmRequest, remaining: Option<Teller>) -> Self {
        let remaining = remaining.map(|teller| (teller, request.clone()));
        Self { context: Some(request.context().clone()), remaining, ..self }
    }

    /// What is told without a call.
    pub(crate) fn tell(&self, body: Bytes) -> Response<DoorBody> {
        self.json(StatusCode::OK, self.request_id(), body)
    }

    /// A whole answer.
    pub(crate) fn answer(&self, head: &Head, body: Bytes) -> Response<DoorBody> {
        let mut response = self.tell(body);
        if let Some((context, attempts)) = self.provenance() {
            tell_provenance(response.headers_mut(), context, &attempts, Some(head));
            tell_cost(response.headers_mut(), &attempts, Some(head));
        }
        self.tell_remaining(response.headers_mut());
        response
    }

    /// The beginning of a stream; `head` is absent when the answer is still awaited.
    pub(crate) fn stream(&self, head: Option<&Head>, body: DoorBody) -> Response<DoorBody> {
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.reserve(USUAL_HEADERS);
        headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // nginx holds back what it proxies unless it is told not to.
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
        self.name_request(headers, self.request_id());
        if let Some((context, attempts)) = self.provenance() {
            tell_provenance(headers, context, &attempts, head);
        }
        self.tell_remaining(headers);
        response
    }

    /// A failure before the answer began.
    pub(crate) fn refuse(&self, refusal: &Refusal) -> Response<DoorBody> {
        let error = &refusal.error;
        let origin = origin(error);
        let allowance_is_spent = self.context.as_ref().is_some_and(|context| {
            let was_attempted = || origin == "upstream" || Attempts::of(&context.trail()).made() > 0;
            context.calls_left() == 0 && was_attempted()
        });
        let id = self.request_id();
        let provenance = self.provenance();
        let told = provenance.as_ref().and_then(|(_, attempts)| attempts.tell(error));
        let body = self.dialect.encode_error(told.as_ref().unwrap_or(error), id.to_str().ok());
        let status = refusal.status.unwrap_or_else(|| self.dialect.status(error.kind()));
        let mut response = self.json(status, id, body);
        let headers = response.headers_mut();
        headers.insert(ERROR_KIND, HeaderValue::from_static(error.kind().as_str()));
        headers.insert(ERROR_ORIGIN, HeaderValue::from_static(origin));
        let should_retry = refusal.should_retry(allowance_is_spent);
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if should_retry { "true" } else { "false" }));
        if let Some(allow) = refusal.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        // Clients take a wait of zero for advice that is missing.
        if let Some(wait) = error.retry_after().filter(|wait| !wait.is_zero()) {
            headers.insert(header::RETRY_AFTER, round_up(wait, Duration::from_secs(1)).into());
            headers.insert(RETRY_AFTER_MS, round_up(wait, Duration::from_millis(1)).into());
        }
        if let Some((context, attempts)) = &provenance {
            tell_provenance(headers, context, attempts, None);
            tell_cost(headers, attempts, None);
        }
        if self.provenance
            && let Some(target) = error.target().map(target_name)
        {
            headers.insert(TARGET, target);
        }
        self.tell_remaining(headers);
        response
    }

    fn json(&self, status: StatusCode, id: HeaderValue, body: Bytes) -> Response<DoorBody> {
        let mut response = Response::new(DoorBody::full(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.reserve(USUAL_HEADERS);
        headers.insert(header::CONTENT_TYPE, JSON);
        self.name_request(headers, id);
        response
    }

    fn request_id(&self) -> HeaderValue {
        let own_id = || call_id(self.context.as_ref().map_or_else(CallId::random, Context::id));
        self.request_id.clone().unwrap_or_else(own_id)
    }

    fn name_request(&self, headers: &mut HeaderMap, id: HeaderValue) {
        match self.dialect {
            CallerDialect::OpenAi => {}
            CallerDialect::Anthropic => _ = headers.insert(BARE_REQUEST_ID, id.clone()),
        }
        headers.insert(REQUEST_ID, id);
    }

    fn tell_remaining(&self, headers: &mut HeaderMap) {
        if let Some((teller, request)) = &self.remaining {
            teller.write(request, self.dialect, headers);
        }
    }

    /// The call and its attempts so far, if callers are told of them.
    fn provenance(&self) -> Option<(&Context, Attempts)> {
        let context = self.context.as_ref().filter(|_| self.provenance)?;
        Some((context, Attempts::of(&context.trail())))
    }
}

fn tell_provenance(headers: &mut HeaderMap, context: &Context, attempts: &Attempts, head: Option<&Head>) {
    headers.insert(CALL_ID, call_id(context.id()));
    headers.insert(ATTEMPTS, attempts.made().into());
    if let Some(trail) = attempts.header() {
        headers.insert(TRAIL, trail);
    }
    let Some(head) = head else { return };
    if let Some(target) = head.target.as_ref().map(target_name) {
        headers.insert(TARGET, target);
    }
    let served = match head.served {
        Served::FirstChoice => "first-choice",
        Served::Substitute => "substitute",
        Served::Degraded => "degraded",
    };
    headers.insert(SERVED, HeaderValue::from_static(served));
    let (cache, age) = match head.cache {
        CacheStatus::None => return,
        CacheStatus::Miss => ("miss", None),
        CacheStatus::Hit { age } => ("hit", Some(age)),
        CacheStatus::Joined => ("joined", None),
        CacheStatus::Stale { age } => ("stale", Some(age)),
    };
    headers.insert(CACHE, HeaderValue::from_static(cache));
    if let Some(age) = age {
        headers.insert(header::AGE, age.as_secs().into());
    }
}

fn tell_cost(headers: &mut HeaderMap, attempts: &Attempts, head: Option<&Head>) {
    let is_cached = |head: &Head| match head.cache {
        CacheStatus::Hit { .. } | CacheStatus::Stale { .. } | CacheStatus::Joined => true,
        CacheStatus::None | CacheStatus::Miss => false,
    };
    // Before an expired answer there may have been attempts of which nobody knows what they cost.
    let is_unpaid = attempts.made() == 0 && head.is_some_and(is_cached);
    let cost = attempts.cost().or(is_unpaid.then_some(NanoUsd::ZERO));
    if let Some(cost) = cost {
        let cost = HeaderValue::try_from(cost.decimal()).expect("a decimal number makes a header value");
        headers.insert(COST, cost);
    }
}

fn call_id(id: CallId) -> HeaderValue {
    HeaderValue::try_from(id.to_string()).expect("hexadecimal digits make a header value")
}

fn target_name(target: &Target) -> HeaderValue {
    HeaderValue::try_from(Name(target).to_string()).expect("the name is made printable")
}

fn round_up(wait: Duration, unit: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(unit.as_nanos())).unwrap_or(u64::MAX)
}
