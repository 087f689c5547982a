//! What another dialect can say and this one, or this server, cannot: refused where it would change the answer, left
//! out where it would not.

use llm_core::{Chat, Dialect, Error, Extra, Json, LlmRequest, ResponseFormat, Sampling, Thinking, ToolChoice, Trail};

use super::Variant;
use crate::{EncodeOptions, json::fields_of, refusal::refuse};

/// Unknown fields of Anthropic's dialect without which the answer would be another one, or made elsewhere.
const MEANINGFUL: [&str; 3] = ["container", "mcp_servers", "inference_geo"];

/// The longest name of an end user that is taken (OpenAI API reference, Chat Completions, `safety_identifier`).
const LONGEST_USER: usize = 64;

/// Fields of Anthropic's dialect that have a type in part; what has none is kept under their name.
const NESTED: [&str; 4] = ["metadata", "thinking", "output_config", "tool_choice"];

/// On what terms a request is written.
pub(crate) struct Terms<'a> {
    /// Whom it is written for.
    pub(crate) variant: &'a Variant,
    /// The dialect that the caller spoke; absent for a chat that was built by hand.
    dialect: Option<Dialect>,
    trail: Trail,
}

impl<'a> Terms<'a> {
    pub(crate) fn new(request: &LlmRequest, chat: &Chat, options: &EncodeOptions<'a>) -> Self {
        Self { variant: options.variant, dialect: chat.dialect, trail: request.context().trail() }
    }

    /// Whether unknown fields may be written. Those of another dialect mean nothing here, and some servers refuse what
    /// they do not know.
    pub(crate) fn with_extra(&self) -> bool {
        self.dialect.is_none_or(|dialect| dialect == Dialect::OpenAi)
    }

    /// Whether the caller chose to say it in this dialect, and so may say what only some servers take.
    pub(crate) fn is_callers(&self) -> bool {
        self.dialect == Some(Dialect::OpenAi)
    }

    /// Notes that a field is left out.
    pub(crate) fn note(&self, name: &str) {
        self.trail.note_left_out(name);
    }

    /// Notes the unknown fields of something in the list `place`, unless they are written.
    pub(crate) fn note_extra(&self, place: &str, extra: &Extra) {
        if self.with_extra() {
            return;
        }
        for (name, _) in extra.iter() {
            self.note(&format!("{place}.{name}"));
        }
    }

    /// What the caller calls the reasoning in a message.
    pub(crate) fn reasoning_name(&self) -> &'static str {
        match self.dialect {
            Some(Dialect::Anthropic) => "messages.thinking",
            Some(Dialect::OpenAi) | None => "messages.reasoning_content",
        }
    }
}

/// Refuses what cannot be said and matters, and notes what is left out of the chat's own fields.
pub(crate) fn check(chat: &Chat, terms: &Terms<'_>) -> Result<(), Error> {
    check_variant(chat, terms.variant)?;
    // A budget is an effort here, and no thinking is what models do that are told nothing.
    if chat.thinking == Some(Thinking::Adaptive) {
        terms.note("thinking");
    }
    if terms.with_extra() {
        return Ok(());
    }
    if chat.max_output_tokens == Some(0) {
        return Err(refuse("max_tokens", "a limit of 0, which only warms a prompt cache"));
    }
    if matches!(chat.tool_choice, Some(ToolChoice::Other(_))) {
        return Err(refuse("tool_choice", "a choice of this kind"));
    }
    if matches!(chat.response_format, Some(ResponseFormat::Other(_))) {
        return Err(refuse("output_config.format", "a format of this kind"));
    }
    for (name, json) in chat.extra.iter() {
        if MEANINGFUL.contains(&name) && json.get() != "null" {
            return Err(refuse(name, "this field"));
        }
        note_field(name, json, terms);
    }
    Ok(())
}

fn note_field(name: &str, json: &Json, terms: &Terms<'_>) {
    if !NESTED.contains(&name) {
        return terms.note(name);
    }
    for (field, _) in fields_of(json).iter() {
        if (name, field) != ("metadata", "user_id") || end_user_of(json).is_none() {
            terms.note(&format!("{name}.{field}"));
        }
    }
}

/// The end user, by the name that another dialect has for it, unless that is longer than is taken.
pub(crate) fn end_user(chat: &Chat) -> Option<Json> {
    end_user_of(chat.extra.get("metadata")?)
}

fn end_user_of(metadata: &Json) -> Option<Json> {
    let fields = fields_of(metadata);
    let user = fields.get("user_id").filter(|json| json.get().starts_with('"'))?;
    let is_taken = user.parse::<String>().is_ok_and(|name| name.chars().count() <= LONGEST_USER);
    is_taken.then(|| user.clone())
}

fn check_variant(chat: &Chat, variant: &Variant) -> Result<(), Error> {
    // Taken apart, so that a new field is not forgotten.
    let Sampling {
        temperature: _,
        top_p: _,
        top_k,
        frequency_penalty,
        presence_penalty,
        logit_bias,
        logprobs,
        top_logprobs,
    } = &chat.sampling;
    let is_penalty = |penalty: Option<f64>| penalty.is_some_and(|penalty| penalty != 0.0);
    for (name, matters, what) in [
        ("top_k", top_k.is_some(), "this field"),
        ("frequency_penalty", is_penalty(*frequency_penalty), "a penalty"),
        ("presence_penalty", is_penalty(*presence_penalty), "a penalty"),
        ("logit_bias", logit_bias.as_ref().is_some_and(|bias| !fields_of(bias).is_empty()), "a bias"),
        ("logprobs", *logprobs == Some(true) || top_logprobs.is_some_and(|number| number > 0), "a wish for these"),
        ("n", chat.n.is_some_and(|n| n.get() > 1), "a wish for more than one answer"),
        ("tool_choice", !matches!(chat.tool_choice, None | Some(ToolChoice::Auto)), "a choice of tools"),
    ] {
        if matters && !variant.takes(name) {
            return Err(refuse(name, what));
        }
    }
    Ok(())
}
