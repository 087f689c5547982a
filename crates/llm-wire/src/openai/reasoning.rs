//! Reasoning that is signed or encrypted: `reasoning_details`, in the shape that OpenRouter gave them.
//!
//! The text alone goes by other names (`reasoning_content`, `reasoning`). What a provider has to recognise when it
//! comes back is here, so that it survives a client of this dialect.

use llm_core::{Error, Extra, Json, Part, PartContent, Reasoning};

use crate::json::{ArrayWriter, Object, ObjectWriter, Value};

/// The most entries of a message's `reasoning_details`. Clients that do not join what was streamed send an entry for
/// each delta; what is longer stays an unknown field.
const MAX_DETAILS: usize = 65_536;

const TEXT: &str = "reasoning.text";
const SUMMARY: &str = "reasoning.summary";
const ENCRYPTED: &str = "reasoning.encrypted";

/// Takes `reasoning_details` out of a message if some of it is signed or encrypted; `plain` is the text as the message
/// says it elsewhere. Otherwise it has no more than that text, and stays an unknown field, as does what cannot be
/// read.
pub(crate) fn take_details(message: &mut Object<'_, '_>, plain: Option<&str>) -> Option<Vec<Part>> {
    let value = message.get("reasoning_details").filter(Value::is_array)?;
    let mut joined: Vec<Detail> = Vec::new();
    for detail in value.list(MAX_DETAILS, |entry| decode_detail(&entry)).ok()? {
        match joined.last_mut().filter(|last| last.goes_on_in(&detail)) {
            Some(last) => last.join(detail),
            None => joined.push(detail),
        }
    }
    if !joined.iter().any(|detail| is_kept(&detail.reasoning)) {
        return None;
    }
    // Some clients keep the signature here and the text there.
    if let (Some(plain), true) = (plain, joined.iter().all(|detail| detail.reasoning.text.is_empty()))
        && let Some(signed) = joined.iter_mut().find(|detail| detail.reasoning.signature.is_some())
    {
        signed.reasoning.text.push_str(plain);
    }
    message.take("reasoning_details");
    Some(joined.into_iter().map(Detail::into_part).collect())
}

/// An entry of `reasoning_details`.
struct Detail {
    index: Option<String>,
    reasoning: Reasoning,
    /// Its unknown fields, and its type where that is not the usual one.
    extra: Extra,
}

/// Whether a provider has to recognise it when it comes back.
pub(crate) fn is_kept(reasoning: &Reasoning) -> bool {
    reasoning.signature.is_some() || reasoning.redacted.is_some()
}

impl Detail {
    /// Whether `next` is more of the same text: a signature closes it, and so does another index or type.
    fn goes_on_in(&self, next: &Self) -> bool {
        let is_one = !is_kept(&self.reasoning) && next.reasoning.redacted.is_none();
        is_one && self.index == next.index && self.extra.get("type") == next.extra.get("type")
    }

    fn join(&mut self, next: Self) {
        self.reasoning.text.push_str(&next.reasoning.text);
        self.reasoning.signature = next.reasoning.signature;
        for (name, json) in next.extra.iter() {
            self.extra.insert(name, json.clone());
        }
    }

    fn into_part(self) -> Part {
        Part { content: PartContent::Reasoning(self.reasoning), cache: None, extra: self.extra }
    }
}

fn decode_detail(value: &Value<'_, '_>) -> Result<Detail, Error> {
    let mut object = value.object()?;
    let kind = object.get("type").ok_or_else(|| value.error("the type is required"))?;
    let mut reasoning = Reasoning::default();
    match &*kind.string()? {
        TEXT => {
            reasoning.text = optional(&mut object, "text")?.unwrap_or_default();
            reasoning.signature = optional(&mut object, "signature")?;
            object.take("type");
        }
        SUMMARY => reasoning.text = optional(&mut object, "summary")?.unwrap_or_default(),
        ENCRYPTED => {
            reasoning.redacted = optional(&mut object, "data")?;
            object.take("type");
        }
        _ => return Err(value.error("of an unknown type")),
    }
    // The place in the list says it already, once pieces are joined.
    let index = object.take("index").map(|index| index.text().to_owned());
    Ok(Detail { index, reasoning, extra: object.rest() })
}

fn optional(object: &mut Object<'_, '_>, name: &'static str) -> Result<Option<String>, Error> {
    let text = object.take(name).map(|value| value.string().map(Into::into)).transpose()?;
    Ok(text.filter(|text: &String| !text.is_empty()))
}

/// Writes `reasoning_details`, if any of it is signed or encrypted. Each comes with the unknown fields that may be
/// written.
pub(crate) fn encode_details(said: &[(&Reasoning, Extra)], message: &mut ObjectWriter<'_>) {
    if !said.iter().any(|(reasoning, _)| is_kept(reasoning)) {
        return;
    }
    let mut list = message.array("reasoning_details");
    for (index, (reasoning, extra)) in (0..).zip(said) {
        encode_detail(reasoning, extra, index, &mut list);
    }
    list.end();
}

/// Writes one entry of `reasoning_details`, with the unknown fields that may be written.
pub(crate) fn encode_detail(reasoning: &Reasoning, extra: &Extra, index: u32, list: &mut ArrayWriter<'_>) {
    let Reasoning { text, signature, redacted } = reasoning;
    let is_summary = extra.get("type").is_some_and(|kind| is_text(kind, SUMMARY));
    let mut object = list.object();
    match redacted {
        Some(data) => {
            object.field("type", ENCRYPTED);
            object.field("data", data);
        }
        None if is_summary => {
            object.field("type", SUMMARY);
            object.field("summary", text);
        }
        None => {
            object.field("type", TEXT);
            object.field("text", text);
            object.optional("signature", signature.as_ref());
        }
    }
    object.extra(extra, &["type", "text", "summary", "signature", "data", "index"]);
    object.field("index", &index);
    object.end();
}

fn is_text(json: &Json, text: &str) -> bool {
    json.parse::<String>().is_ok_and(|known| known == text)
}
