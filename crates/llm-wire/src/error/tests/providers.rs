//! One row for each way in which a provider says that something failed.

use llm_core::{
    ErrorKind::{self, *},
    Phase,
};

use super::{headers, now};
use crate::error::{decode, decode_in_band};

struct Case {
    who: &'static str,
    /// `None` for an error object inside a 200 or a stream.
    status: Option<u16>,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    kind: ErrorKind,
    is_retryable: bool,
    wait_ms: Option<u64>,
}

impl Case {
    const fn headers(mut self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.headers = headers;
        self
    }

    const fn wait(mut self, milliseconds: u64) -> Self {
        self.wait_ms = Some(milliseconds);
        self
    }
}

const fn case(who: &'static str, status: Option<u16>, body: &'static str, kind: ErrorKind, is_retryable: bool) -> Case {
    Case { who, status, headers: &[], body, kind, is_retryable, wait_ms: None }
}

/// A failure that may be tried again.
const fn again(who: &'static str, status: u16, body: &'static str, kind: ErrorKind) -> Case {
    case(who, Some(status), body, kind, true)
}

/// A failure that would happen again.
const fn never(who: &'static str, status: u16, body: &'static str, kind: ErrorKind) -> Case {
    case(who, Some(status), body, kind, false)
}

fn check(cases: &[Case]) {
    for case in cases {
        let error = match case.status {
            Some(status) => decode(status, &headers(case.headers), case.body.as_bytes(), now()),
            None => decode_in_band(case.body.as_bytes()).unwrap_or_else(|| panic!("{}: no error found", case.who)),
        };
        let wait = error.retry_after().map(|wait| u64::try_from(wait.as_millis()).unwrap());
        let found = (error.kind(), error.is_retryable(), wait, error.status());
        assert_eq!(found, (case.kind, case.is_retryable, case.wait_ms, case.status), "{}: {}", case.who, case.body);
    }
}

#[test]
fn openai() {
    check(&[
        never(
            "context, chat",
            400,
            r#"{"error":{"message":"This model's maximum context length is 128000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
            ContextLength,
        ),
        never(
            "context, by its words",
            400,
            r#"{"error":{"message":"Your input exceeds the context window of this model.","type":"invalid_request_error","param":"input","code":null}}"#,
            ContextLength,
        ),
        never(
            "invalid value",
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error","param":"n","code":"invalid_value"}}"#,
            InvalidRequest,
        ),
        never(
            "unsupported value",
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error","code":"unsupported_value"}}"#,
            InvalidRequest,
        ),
        never(
            "unknown parameter",
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error","code":"unknown_parameter"}}"#,
            InvalidRequest,
        ),
        never(
            "below minimum",
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error","code":"decimal_below_min_value"}}"#,
            InvalidRequest,
        ),
        never(
            "image url",
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error","code":"invalid_image_url"}}"#,
            InvalidRequest,
        ),
        never(
            "file",
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error","code":"unsupported_file"}}"#,
            InvalidRequest,
        ),
        never(
            "policy",
            400,
            r#"{"error":{"message":"no","type":"invalid_request_error","code":"content_policy_violation"}}"#,
            ContentPolicy,
        ),
        never(
            "policy, by its words",
            400,
            r#"{"error":{"message":"Your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","code":"invalid_prompt"}}"#,
            ContentPolicy,
        ),
        never(
            "model, responses",
            400,
            r#"{"error":{"message":"no","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
            ModelNotFound,
        ),
        never(
            "model, chat",
            404,
            r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
            ModelNotFound,
        ),
        never(
            "a file that is missing",
            404,
            r#"{"error":{"message":"No such File object","type":"invalid_request_error","param":"id","code":null}}"#,
            InvalidRequest,
        ),
        never(
            "a user field that is too long",
            400,
            r#"{"error":{"message":"Invalid 'user': the maximum input length is 64","type":"invalid_request_error","param":"user","code":null}}"#,
            InvalidRequest,
        ),
        never(
            "a string that is too long",
            400,
            r#"{"error":{"message":"string exceeds the maximum number of tokens allowed","type":"invalid_request_error","param":"metadata","code":"string_above_max_length"}}"#,
            InvalidRequest,
        ),
        never(
            "key",
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-ab***","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            ProviderCredentials,
        ),
        never(
            "address",
            401,
            r#"{"error":{"message":"no","type":"invalid_request_error","code":"ip_not_authorized"}}"#,
            ProviderCredentials,
        ),
        never(
            "country",
            403,
            r#"{"error":{"message":"Country, region, or territory not supported","type":"request_forbidden","code":"unsupported_country_region_territory"}}"#,
            ProviderCredentials,
        ),
        never("unprocessable", 422, r#"{"error":{"message":"no","type":"invalid_request_error"}}"#, InvalidRequest),
        again("timeout", 408, r#"{"error":{"message":"slow","type":"server_error"}}"#, Timeout(Phase::Head)),
        again("conflict", 409, r#"{"error":{"message":"conflict","type":"invalid_request_error"}}"#, Server),
        again(
            "requests a minute",
            429,
            r#"{"error":{"message":"Rate limit reached for m on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit the site.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            RateLimited,
        )
        .wait(20_000),
        again(
            "tokens a minute",
            429,
            r#"{"error":{"message":"Rate limit reached. Please try again in 6m0s.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            RateLimited,
        )
        .wait(360_000),
        again(
            "milliseconds in words",
            429,
            r#"{"error":{"message":"Please try again in 20ms.","type":"rate_limit_error"}}"#,
            RateLimited,
        )
        .wait(20),
        again("slow down", 429, r#"{"error":{"message":"slow","code":"slow_down"}}"#, RateLimited),
        again("slow down", 503, r#"{"error":{"message":"slow","code":"slow_down"}}"#, Overloaded),
        again("flex", 429, r#"{"error":{"message":"Resource Unavailable","code":"resource_unavailable"}}"#, RateLimited),
        never(
            "no money",
            429,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            QuotaExhausted,
        ),
        never("no money, by type", 429, r#"{"error":{"type":"insufficient_quota","code":null}}"#, QuotaExhausted),
        never("no money, by code", 429, r#"{"error":{"type":"requests","code":"insufficient_quota"}}"#, QuotaExhausted),
        never("credit", 429, r#"{"error":{"code":"credit_balance_exhausted"}}"#, QuotaExhausted),
        never("organization's cap", 429, r#"{"error":{"code":"organization_spend_limit_exceeded"}}"#, QuotaExhausted),
        never("project's cap", 429, r#"{"error":{"code":"project_spend_limit_exceeded"}}"#, QuotaExhausted),
        never("usage cap", 429, r#"{"error":{"code":"organization_usage_limit_exceeded"}}"#, QuotaExhausted),
        never(
            "one request above the limit",
            429,
            r#"{"error":{"message":"Request too large for m in organization org-abc on tokens per min (TPM): Limit 30000, Requested 50124.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            TooLarge,
        ),
        again("server", 500, r#"{"error":{"message":"oops","type":"server_error"}}"#, Server),
        again("server, full", 500, r#"{"error":{"message":"The model is overloaded","type":"server_error"}}"#, Overloaded),
        again(
            "unavailable",
            503,
            r#"{"error":{"message":"busy","type":"service_unavailable_error","code":"server_is_overloaded"}}"#,
            Overloaded,
        ),
    ]);
}

#[test]
fn openai_in_band() {
    check(&[
        case(
            "quota in a stream, nested",
            None,
            r#"{"type":"error","sequence_number":2,"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"no","param":null}}"#,
            QuotaExhausted,
            false,
        ),
        case(
            "flat",
            None,
            r#"{"type":"error","code":"server_error","message":"oops","param":null,"sequence_number":3}"#,
            Server,
            true,
        ),
        case(
            "failed response",
            None,
            r#"{"type":"response.failed","response":{"id":"r","error":{"code":"rate_limit_exceeded","message":"Please try again in 1.2s."}}}"#,
            RateLimited,
            true,
        )
        .wait(1200),
        case("prompt", None, r#"{"error":{"code":"invalid_prompt","message":"no"}}"#, InvalidRequest, false),
        case("residency", None, r#"{"error":{"code":"data_residency_mismatch"}}"#, InvalidRequest, false),
        case("bio", None, r#"{"error":{"code":"bio_policy"}}"#, ContentPolicy, false),
        case("vector store", None, r#"{"error":{"code":"vector_store_timeout"}}"#, Timeout(Phase::Total), true),
        case("image", None, r#"{"error":{"code":"image_parse_error"}}"#, InvalidRequest, false),
        case("nothing known", None, r#"{"error":{"message":"hm"}}"#, Server, true),
        case("vague type, plain words", None, r#"{"error":{"type":"invalid_request_error","message":"prompt is too long"}}"#, ContextLength, false),
    ]);
}

#[test]
fn anthropic() {
    const WAIT: &[(&str, &str)] = &[("retry-after", "12")];
    check(&[
        never(
            "invalid",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages: at least one message is required"},"request_id":"req_1"}"#,
            InvalidRequest,
        )
        .headers(&[("x-should-retry", "false")]),
        never(
            "context",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            ContextLength,
        ),
        never(
            "context with the ceiling",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and max_tokens exceed context limit: 190000 + 20000 > 200000"}}"#,
            ContextLength,
        ),
        never(
            "a spend limit of the user",
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-01-01."}}"#,
            QuotaExhausted,
        ),
        never("key", 401, r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#, ProviderCredentials),
        never("billing", 402, r#"{"type":"error","error":{"type":"billing_error","message":"pay"}}"#, QuotaExhausted),
        never("permission", 403, r#"{"type":"error","error":{"type":"permission_error","message":"no"}}"#, ProviderCredentials),
        never("model", 404, r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}"#, ModelNotFound),
        again("conflict", 409, r#"{"type":"error","error":{"type":"conflict_error","message":"c"}}"#, Server),
        never("too large", 413, r#"{"type":"error","error":{"type":"request_too_large","message":"32 MB"}}"#, TooLarge),
        again("rate", 429, r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#, RateLimited)
            .headers(WAIT)
            .wait(12_000),
        never(
            "enforced spend limit",
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"no","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
            QuotaExhausted,
        ),
        again("api", 500, r#"{"type":"error","error":{"type":"api_error","message":"oops"}}"#, Server),
        again("timeout", 504, r#"{"type":"error","error":{"type":"timeout_error","message":"slow"}}"#, Timeout(Phase::Head)),
        again("overloaded", 529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Overloaded),
        case(
            "overloaded in a stream",
            None,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
            Overloaded,
            true,
        ),
    ]);
}

#[test]
fn gemini() {
    check(&[
        never("invalid", 400, r#"{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}"#, InvalidRequest),
        never(
            "key, which is a 400",
            400,
            r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#,
            ProviderCredentials,
        ),
        never(
            "context",
            400,
            r#"{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
            ContextLength,
        ),
        never(
            "region",
            400,
            r#"{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#,
            ProviderCredentials,
        ),
        never(
            "billing off",
            400,
            r#"{"error":{"code":400,"message":"Please enable billing on your project.","status":"FAILED_PRECONDITION"}}"#,
            ProviderCredentials,
        ),
        never(
            "a file that is not ready",
            400,
            r#"{"error":{"code":400,"message":"The file is not in an ACTIVE state.","status":"FAILED_PRECONDITION"}}"#,
            InvalidRequest,
        ),
        never("permission", 403, r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#, ProviderCredentials),
        never("model", 404, r#"{"error":{"code":404,"message":"models/x is not found","status":"NOT_FOUND"}}"#, ModelNotFound),
        again(
            "a minute's quota, in an array",
            429,
            r#"[{"error":{"code":429,"message":"You exceeded your current quota. limit: 15, model: g\nPlease retry in 48.93s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProject","quotaValue":"15"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}]"#,
            RateLimited,
        )
        .wait(34_400),
        again(
            "a delay in words alone",
            429,
            r#"{"error":{"code":429,"message":"Quota exceeded. Please retry in 48.93s.","status":"RESOURCE_EXHAUSTED"}}"#,
            RateLimited,
        )
        .wait(48_930),
        never(
            "a day's quota, though RetryInfo says seconds",
            429,
            r#"{"error":{"code":429,"message":"quota. Please retry in 12s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"50"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}}"#,
            QuotaExhausted,
        ),
        never(
            "a limit of zero",
            429,
            r#"{"error":{"code":429,"message":"q","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"TokensPerMinute","quotaValue":"0"}]}]}}"#,
            QuotaExhausted,
        ),
        never(
            "a limit of zero, left out",
            429,
            r#"{"error":{"code":429,"message":"q","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"TokensPerMinute"}]}]}}"#,
            QuotaExhausted,
        ),
        never(
            "a limit of zero, in words",
            429,
            r#"{"error":{"code":429,"message":"Quota exceeded for metric: m, limit: 0, model: g","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"subject":"s"}]}]}}"#,
            QuotaExhausted,
        ),
        again(
            "a limit left out but told",
            429,
            r#"{"error":{"code":429,"message":"Quota exceeded for metric: m, limit: 20","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"TokensPerMinute"}]}]}}"#,
            RateLimited,
        ),
        again(
            "no details",
            429,
            r#"{"error":{"code":429,"message":"Resource has been exhausted (e.g. check quota).","status":"RESOURCE_EXHAUSTED"}}"#,
            RateLimited,
        ),
        again(
            "Vertex",
            429,
            r#"[{"error":{"code":429,"message":"Resource exhausted. Please try again later.","status":"RESOURCE_EXHAUSTED"}}]"#,
            RateLimited,
        ),
        again(
            "a message that is the body",
            429,
            r#"{"error":{"message":"{\"error\":{\"code\":429,\"message\":\"q\",\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"48s\"}]}}","code":429,"status":"Too Many Requests"}}"#,
            RateLimited,
        )
        .wait(48_000),
        again("cancelled", 499, r#"{"error":{"code":499,"status":"CANCELLED"}}"#, Interrupted),
        again("internal", 500, r#"{"error":{"code":500,"message":"An internal error","status":"INTERNAL"}}"#, Server),
        again("busy", 503, r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#, Overloaded),
        again("deadline", 504, r#"{"error":{"code":504,"status":"DEADLINE_EXCEEDED"}}"#, Timeout(Phase::Head)),
        case(
            "in a stream",
            None,
            r#"{"error":{"code":503,"message":"high demand","status":"UNAVAILABLE","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2s"}]}}"#,
            Overloaded,
            true,
        )
        .wait(2000),
        case(
            "in a stream, by its word alone",
            None,
            r#"[{"error":{"message":"q","status":"RESOURCE_EXHAUSTED"}}]"#,
            RateLimited,
            true,
        ),
    ]);
}

#[test]
fn azure() {
    check(&[
        never(
            "gateway",
            401,
            r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key"}}"#,
            ProviderCredentials,
        ),
        never("deployment", 404, r#"{"error":{"code":"DeploymentNotFound","message":"none"}}"#, ModelNotFound),
        never(
            "filter",
            400,
            r#"{"error":{"code":"content_filter","message":"filtered","param":"prompt","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{}}}}"#,
            ContentPolicy,
        ),
        never(
            "filter, by the inner code",
            400,
            r#"{"error":{"code":null,"message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ContentPolicy,
        ),
        never(
            "filter, by its words",
            400,
            r#"{"error":{"code":null,"message":"triggering Azure OpenAI's content management policy"}}"#,
            ContentPolicy,
        ),
        again("rate", 429, r#"{"error":{"code":"RateLimitReached","message":"slow"}}"#, RateLimited)
            .headers(&[("retry-after", "26"), ("retry-after-ms", "25500")])
            .wait(25_500),
        again("rate, no milliseconds", 429, r#"{"error":{"code":"429","message":"slow"}}"#, RateLimited)
            .headers(&[("retry-after", "1"), ("retry-after-ms", "0")])
            .wait(1000),
        again("management", 429, r#"{"statusCode":429,"message":"Rate limit is exceeded."}"#, RateLimited),
        again("timeout", 408, r#"{"error":{"code":"408"}}"#, Timeout(Phase::Head)),
        never("dependency", 424, r#"{"error":{"code":"424"}}"#, InvalidRequest),
        again("server", 500, r#"{"error":{"code":"InternalServerError"}}"#, Server),
        again("unavailable", 503, r#"{"error":{"code":"ServiceUnavailable"}}"#, Overloaded),
        case("gateway's code in a stream", None, r#"{"error":{"code":"429","message":"slow"}}"#, RateLimited, true),
    ]);
}

#[test]
fn openrouter() {
    check(&[
        never("invalid", 400, r#"{"error":{"code":400,"message":"bad"},"user_id":"u"}"#, InvalidRequest),
        never("key", 401, r#"{"error":{"code":401,"message":"No auth credentials found"}}"#, ProviderCredentials),
        never(
            "credits",
            402,
            r#"{"error":{"code":402,"message":"You requested up to 64000 tokens, but can only afford 2666"}}"#,
            QuotaExhausted,
        ),
        never(
            "moderation",
            403,
            r#"{"error":{"code":403,"message":"Your input was flagged","metadata":{"reasons":["violence"],"flagged_input":"secret prompt","provider_name":"p"}}}"#,
            ContentPolicy,
        ),
        never("permission", 403, r#"{"error":{"code":403,"message":"Only management keys"}}"#, ProviderCredentials),
        never("no provider fits", 404, r#"{"error":{"code":404,"message":"No endpoints found"}}"#, ModelNotFound),
        again("timeout", 408, r#"{"error":{"code":408,"message":"slow"}}"#, Timeout(Phase::Head)),
        never("too large", 413, r#"{"error":{"code":413,"message":"big"}}"#, TooLarge),
        never("unprocessable", 422, r#"{"error":{"code":422,"message":"no"}}"#, InvalidRequest),
        again("rate", 429, r#"{"error":{"code":429,"message":"slow"}}"#, RateLimited),
        again(
            "rate, with headers inside",
            429,
            // 1755614081000 is ten seconds after the tests' now.
            r#"{"error":{"code":429,"message":"Rate limit exceeded","metadata":{"headers":{"X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1755614081000"}}}}"#,
            RateLimited,
        )
        .wait(10_000),
        never(
            "free models a day",
            429,
            r#"{"error":{"code":429,"message":"Rate limit exceeded: free-models-per-day. Add 10 credits"}}"#,
            QuotaExhausted,
        ),
        again("server", 500, r#"{"error":{"code":500,"message":"oops"}}"#, Server),
        again("down", 502, r#"{"error":{"code":502,"message":"Provider returned error"}}"#, Server),
        again("none", 503, r#"{"error":{"code":503,"message":"none"}}"#, Overloaded),
        again("edge timeout", 524, "", Timeout(Phase::Head)),
        again("overloaded", 529, r#"{"error":{"code":529,"message":"busy"}}"#, Overloaded),
        never(
            "the raw body of the provider",
            400,
            r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"provider_name":"p","raw":"{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\"}}"}}}"#,
            ContextLength,
        ),
        never(
            "the raw words of the provider",
            400,
            r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"prompt is too long: 3 > 2"}}}"#,
            ContextLength,
        ),
        again(
            "the account of the provider is not ours",
            429,
            r#"{"error":{"code":429,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"code\":\"insufficient_quota\"}}","provider_code":"insufficient_quota"}}}"#,
            RateLimited,
        ),
    ]);
}

#[test]
fn openrouter_error_types_in_a_stream() {
    let kinds = [
        ("context_length_exceeded", ContextLength),
        ("max_tokens_exceeded", ContextLength),
        ("token_limit_exceeded", ContextLength),
        ("string_too_long", InvalidRequest),
        ("authentication", ProviderCredentials),
        ("permission_denied", ProviderCredentials),
        ("payment_required", QuotaExhausted),
        ("rate_limit_exceeded", RateLimited),
        ("provider_overloaded", Overloaded),
        ("provider_unavailable", Server),
        ("invalid_request", InvalidRequest),
        ("invalid_prompt", InvalidRequest),
        ("not_found", ModelNotFound),
        ("precondition_failed", InvalidRequest),
        ("payload_too_large", TooLarge),
        ("unprocessable", InvalidRequest),
        ("content_policy_violation", ContentPolicy),
        ("refusal", ContentPolicy),
        ("server", Server),
        ("timeout", Timeout(Phase::Total)),
        ("unmapped", Server),
    ];
    for (word, kind) in kinds {
        let body = format!(
            r#"{{"id":"g","choices":[{{"finish_reason":"error"}}],"error":{{"message":"m","metadata":{{"error_type":"{word}"}}}}}}"#
        );
        assert_eq!(decode_in_band(body.as_bytes()).map(|error| error.kind()), Some(kind), "{word}");
    }
    let chunk = r#"{"id":"g","choices":[],"error":{"code":502,"message":"m","metadata":{"error_type":"unmapped"}}}"#;
    assert_eq!(decode_in_band(chunk.as_bytes()).map(|error| error.kind()), Some(Server));
}

#[test]
fn groq() {
    check(&[
        again(
            "a bad call",
            400,
            r#"{"error":{"message":"Failed to call a function.","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"<tool>"}}"#,
            InvalidRequest,
        ),
        never(
            "bad JSON",
            400,
            r#"{"error":{"message":"Failed to validate JSON.","type":"invalid_request_error","code":"json_validate_failed"}}"#,
            InvalidRequest,
        ),
        never(
            "model",
            404,
            r#"{"error":{"message":"no","type":"invalid_request_error","code":"model_not_found"}}"#,
            ModelNotFound,
        ),
        never(
            "above the tokens a minute",
            413,
            r#"{"error":{"message":"Request too large for model `m` in organization `org_01` on tokens per minute (TPM): Limit 6000, Requested 7000","type":"tokens","code":"rate_limit_exceeded"}}"#,
            TooLarge,
        ),
        never("unprocessable", 422, r#"{"error":{"message":"no"}}"#, InvalidRequest),
        never("dependency", 424, r#"{"error":{"message":"no"}}"#, InvalidRequest),
        again(
            "rate",
            429,
            r#"{"error":{"message":"Please try again in 7.66s.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            RateLimited,
        )
        .headers(&[("retry-after", "8")])
        .wait(8000),
        again("flex", 498, r#"{"error":{"message":"capacity"}}"#, Overloaded),
        again("cancelled", 499, r#"{"error":{"message":"gone"}}"#, Interrupted),
        again("server", 500, r#"{"error":{"message":"oops"}}"#, Server),
        again("gateway", 502, "<html>Bad gateway</html>", Server),
        again("unavailable", 503, r#"{"error":{"message":"no"}}"#, Overloaded),
        case(
            "a bad call in a stream",
            None,
            r#"{"error":{"message":"m","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"<tool>","status_code":400}}"#,
            InvalidRequest,
            true,
        ),
    ]);
}

#[test]
fn mistral() {
    check(&[
        never("key", 401, r#"{"detail":"Invalid API Key"}"#, ProviderCredentials),
        never(
            "validation",
            422,
            r#"{"detail":[{"loc":["body","messages",0,"role"],"msg":"field required","type":"missing","input":"secret prompt"}]}"#,
            InvalidRequest,
        ),
        never(
            "invalid",
            400,
            r#"{"object":"error","message":"bad","type":"invalid_request_error","param":null,"code":"1500"}"#,
            InvalidRequest,
        ),
        never("money", 402, r#"{"detail":"pay"}"#, QuotaExhausted),
        never("permission", 403, r#"{"detail":"no"}"#, ProviderCredentials),
        never("model", 404, r#"{"object":"error","message":"no","type":"invalid_model","code":"1500"}"#, ModelNotFound),
        again(
            "capacity",
            429,
            r#"{"object":"error","message":"Service tier capacity exceeded for this model.","type":"service_tier_capacity_exceeded","param":null,"code":"3505"}"#,
            RateLimited,
        ),
        again(
            "server",
            500,
            r#"{"object":"error","message":"oops","type":"internal_server_error","code":"1000"}"#,
            Server,
        ),
        again("gateway", 502, "", Server),
        again("unavailable", 503, "", Overloaded),
        again("timeout", 504, "", Timeout(Phase::Head)),
        case(
            "in a 200",
            None,
            r#"{"object":"error","message":"m","type":"rate_limit_error","code":null}"#,
            RateLimited,
            true,
        ),
    ]);
}

#[test]
fn deepseek_xai_ollama_and_vllm() {
    check(&[
        never(
            "deepseek: invalid",
            400,
            r#"{"error":{"message":"bad","type":"invalid_request_error","code":"invalid_request_error"}}"#,
            InvalidRequest,
        ),
        never(
            "deepseek: key, type and code at odds",
            401,
            r#"{"error":{"message":"Authentication Fails","type":"authentication_error","param":null,"code":"invalid_request_error"}}"#,
            ProviderCredentials,
        ),
        case(
            "the same in a stream",
            None,
            r#"{"error":{"message":"Authentication Fails","type":"authentication_error","code":"invalid_request_error"}}"#,
            ProviderCredentials,
            false,
        ),
        never(
            "deepseek: balance",
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#,
            QuotaExhausted,
        ),
        never("deepseek: parameters", 422, r#"{"error":{"message":"bad"}}"#, InvalidRequest),
        again("deepseek: rate", 429, r#"{"error":{"message":"slow"}}"#, RateLimited),
        again("deepseek: server", 500, r#"{"error":{"message":"oops"}}"#, Server),
        again("deepseek: overloaded", 503, r#"{"error":{"message":"busy"}}"#, Overloaded),
        never(
            "deepseek: context",
            400,
            r#"{"error":{"message":"This model's maximum context length is 65536 tokens.","type":"invalid_request_error"}}"#,
            ContextLength,
        ),
        never(
            "xai: key, which is a 400",
            400,
            r#"{"code":"invalid-argument","error":"Incorrect API key provided: ab***yz."}"#,
            ProviderCredentials,
        ),
        never("xai: invalid", 400, r#"{"code":"invalid-argument","error":"bad field"}"#, InvalidRequest),
        never("xai: key", 401, r#"{"code":"unauthenticated","error":"no"}"#, ProviderCredentials),
        never("xai: permission", 403, r#"{"code":"permission-denied","error":"no"}"#, ProviderCredentials),
        never("xai: model", 404, r#"{"code":"not-found","error":"no"}"#, ModelNotFound),
        never("xai: unprocessable", 422, r#"{"code":"x","error":"no"}"#, InvalidRequest),
        again("xai: rate", 429, r#"{"code":"resource-exhausted","error":"slow"}"#, RateLimited),
        again("xai: server", 500, r#"{"code":"internal","error":"oops"}"#, Server),
        case("xai: in a stream", None, r#"{"code":"resource-exhausted","error":"slow"}"#, RateLimited, true),
        never("ollama: invalid", 400, r#"{"error":"bad"}"#, InvalidRequest),
        never("ollama: cloud key", 401, r#"{"error":"unauthorized"}"#, ProviderCredentials),
        never(
            "ollama: model",
            404,
            r#"{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error","param":null,"code":null}}"#,
            ModelNotFound,
        ),
        again("ollama: rate", 429, r#"{"error":"slow"}"#, RateLimited),
        again("ollama: server", 500, r#"{"error":"oops"}"#, Server),
        again("ollama: gateway", 502, r#"{"error":"oops"}"#, Server),
        never(
            "ollama: context",
            400,
            r#"{"error":"prompt too long; exceeded max context length by 5 tokens"}"#,
            ContextLength,
        ),
        never(
            "ollama: context as a 500",
            500,
            r#"{"error":"the request exceeds the available context size"}"#,
            ContextLength,
        ),
        case("ollama: a line of a stream", None, r#"{"error":"an error was encountered"}"#, Server, true),
        never(
            "vllm: invalid",
            400,
            r#"{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}"#,
            InvalidRequest,
        ),
        never(
            "vllm: context",
            400,
            r#"{"error":{"message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}}"#,
            ContextLength,
        ),
        never("vllm: key", 401, r#"{"error":"Unauthorized"}"#, ProviderCredentials),
        never(
            "vllm: model",
            404,
            r#"{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}"#,
            ModelNotFound,
        ),
        again(
            "vllm: server",
            500,
            r#"{"object":"error","message":"oops","type":"InternalServerError","param":null,"code":500}"#,
            Server,
        ),
        again("vllm: unavailable", 503, r#"{"error":{"message":"no","code":503}}"#, Overloaded),
        case(
            "vllm: in a stream",
            None,
            r#"{"error":{"message":"bad","type":"BadRequestError","param":null,"code":400}}"#,
            InvalidRequest,
            false,
        ),
    ]);
}

#[test]
fn a_status_alone_decides_when_the_body_says_nothing() {
    let kinds = [
        (400, InvalidRequest),
        (401, ProviderCredentials),
        (402, QuotaExhausted),
        (403, ProviderCredentials),
        (404, ModelNotFound),
        (405, InvalidRequest),
        (408, Timeout(Phase::Head)),
        (409, Server),
        (413, TooLarge),
        (422, InvalidRequest),
        (429, RateLimited),
        (498, Overloaded),
        (499, Interrupted),
        (500, Server),
        (502, Server),
        (503, Overloaded),
        (504, Timeout(Phase::Head)),
        (520, Server),
        (524, Timeout(Phase::Head)),
        (529, Overloaded),
        (302, Undecodable),
    ];
    for (status, kind) in kinds {
        for body in ["", "<html><body>overloaded maximum context length</body></html>", "null", "[]", "{", "\"\""] {
            let error = decode(status, &headers(&[]), body.as_bytes(), now());
            assert_eq!(error.kind(), kind, "{status} {body}");
        }
    }
}

#[test]
fn every_phrase_of_a_prompt_that_does_not_fit_is_known() {
    let messages = [
        "This model's maximum context length is 8192 tokens",
        "Context length exceeded",
        "Your input exceeds the context window",
        "input length and `max_tokens` exceed context limit",
        "prompt is too long: 5 tokens > 4 maximum",
        "prompt too long; exceeded max context length",
        "Input token count of 5 exceeds the maximum of 4",
        "input tokens exceed the configured limit of 4 tokens",
        "(5) exceeds the maximum number of tokens allowed (4)",
        "exceeds the model's maximum context limit",
        "The input (5 tokens) is longer than the model's context length (4 tokens)",
        "request exceeds the available context size",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4",
        "the maximum input length is 4 tokens",
        "Too many input tokens",
    ];
    for message in messages {
        let body = serde_json::json!({ "error": { "message": message } }).to_string();
        for status in [400, 413, 422, 500] {
            assert_eq!(
                decode(status, &headers(&[]), body.as_bytes(), now()).kind(),
                ContextLength,
                "{status} {message}"
            );
        }
        assert_eq!(decode(503, &headers(&[]), body.as_bytes(), now()).kind(), Overloaded, "{message}");
    }
}
