//! Texts of a length, a format or a pattern.

use fastrand::Rng;
use serde_json::Value;

use super::{Schema, count, pattern};

const WORDS: [&str; 16] = [
    "amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "harbor", "inlet", "juniper", "kelp", "lagoon",
    "meadow", "north", "orchard", "prairie",
];

/// No text is longer, whatever the schema asks for.
const MAX_BYTES: usize = 65_536;

pub(super) fn string(schema: &Schema, rng: &mut Rng) -> String {
    let least = count(schema, "minLength").unwrap_or(0);
    let most = count(schema, "maxLength").unwrap_or(usize::MAX);
    let text_of = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
    if let Some(text) = text_of("pattern").and_then(|pattern| pattern::text(pattern, rng, least, most)) {
        return text;
    }
    if let Some(text) = text_of("format").and_then(|format| of_format(format, rng)) {
        return text;
    }
    let mut text = (*rng.choice(&WORDS).unwrap_or(&"text")).to_owned();
    while text.len() < least.min(MAX_BYTES) || (text.len() < 12 && rng.bool()) {
        text.push(' ');
        text.push_str(rng.choice(&WORDS).unwrap_or(&"text"));
    }
    // All words are ASCII, so a byte is a character.
    text.truncate(most);
    text
}

fn of_format(format: &str, rng: &mut Rng) -> Option<String> {
    let word = *rng.choice(&WORDS)?;
    let date = format!("20{:02}-{:02}-{:02}", rng.u8(20..30), rng.u8(1..=12), rng.u8(1..=28));
    let time = format!("{:02}:{:02}:{:02}Z", rng.u8(0..24), rng.u8(0..60), rng.u8(0..60));
    Some(match format {
        "date-time" => format!("{date}T{time}"),
        "date" => date,
        "time" => time,
        "duration" => format!("PT{}M", rng.u8(1..60)),
        "email" | "idn-email" => format!("{word}@example.com"),
        "hostname" | "idn-hostname" => format!("{word}.example.com"),
        "uri" | "url" | "iri" => format!("https://example.com/{word}"),
        "uri-reference" | "iri-reference" => format!("/{word}"),
        "ipv4" => format!("192.0.2.{}", rng.u8(1..255)),
        "ipv6" => format!("2001:db8::{:x}", rng.u16(1..)),
        "uuid" => {
            let (high, low) = (rng.u64(..), rng.u64(..));
            format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                high >> 32,
                (high >> 16) & 0xffff,
                high & 0xfff,
                low >> 52,
                low & 0xffff_ffff_ffff
            )
        }
        "json-pointer" => format!("/{word}"),
        "regex" => format!("^{word}$"),
        _ => return None,
    })
}
