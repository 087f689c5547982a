//! Features of Anthropic's that a caller turns on, on their way to the provider.

use http::{HeaderMap, HeaderName, HeaderValue};
use llm_core::{Dialect, LlmRequest, Payload};
use llm_wire::anthropic::Betas;

use crate::ProviderDialect;

const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// Adds the features that the caller turns on to those of the configuration in `headers`. They are about fields of
/// Anthropic's dialect, so they go to a provider of that dialect with a request that came in it; otherwise the trail
/// says that they were left out.
pub(crate) fn pass_on(request: &LlmRequest, dialect: ProviderDialect, headers: &mut HeaderMap) {
    let Some(betas) = request.extensions().get::<Betas>() else { return };
    let came_in = match request.payload() {
        Payload::Chat(chat) | Payload::CountTokens(chat) => chat.dialect,
        Payload::Embed(_) => None,
    };
    if dialect.wire() != Dialect::Anthropic || came_in != Some(Dialect::Anthropic) {
        request.context().trail().note_left_out(ANTHROPIC_BETA.as_str());
        return;
    }
    let asked = betas.to_header_value();
    let value = match headers.get(&ANTHROPIC_BETA) {
        Some(configured) => joined(configured, &asked),
        None => asked,
    };
    headers.insert(ANTHROPIC_BETA, value);
}

/// The names of both lists, each once.
fn joined(configured: &HeaderValue, asked: &HeaderValue) -> HeaderValue {
    let mut names: Vec<&[u8]> = Vec::new();
    for list in [configured, asked] {
        for name in list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let joined = names.join(&b',');
    let mut value = HeaderValue::from_bytes(&joined).expect("parts of header values with commas between them are one");
    value.set_sensitive(configured.is_sensitive());
    value
}
