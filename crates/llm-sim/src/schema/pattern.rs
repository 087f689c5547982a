//! Texts that a regular expression matches.

use fastrand::Rng;
use regex_syntax::hir::{Class, Hir, HirKind};

/// How often the text is made again when its length is wrong.
const TRIES: u32 = 64;
/// Repetitions beyond what a pattern asks for.
const MORE: u32 = 3;
/// No text grows beyond this many bytes, whatever the pattern asks for.
const MAX_BYTES: usize = 4096;

/// A text of `least` to `most` characters that `pattern` matches; `None` for a pattern that cannot be followed, such
/// as one that looks ahead.
pub(super) fn text(pattern: &str, rng: &mut Rng, least: usize, most: usize) -> Option<String> {
    let hir = regex_syntax::Parser::new().parse(pattern).ok()?;
    (0..TRIES).find_map(|attempt| {
        let mut text = String::new();
        // With each attempt repetitions may be longer, so that a text of any least length is found.
        write(&hir, rng, MORE + attempt, &mut text);
        (least..=most).contains(&text.chars().count()).then_some(text)
    })
}

fn write(hir: &Hir, rng: &mut Rng, more: u32, out: &mut String) {
    if hir.properties().maximum_len() == Some(0) {
        return;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => out.extend(character(class, rng)),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX).min(repetition.min.saturating_add(more));
            for _ in 0..rng.u32(repetition.min..=most) {
                if out.len() > MAX_BYTES {
                    return;
                }
                write(&repetition.sub, rng, more, out);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, rng, more, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, rng, more, out)),
        HirKind::Alternation(branches) => {
            if let Some(branch) = rng.choice(branches) {
                write(branch, rng, more, out);
            }
        }
    }
}

/// A character of the class: a printable ASCII one if there is any, because other dialects of regular expressions
/// mean only those by `\d` and `\w`.
fn character(class: &Class, rng: &mut Rng) -> Option<char> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        Class::Bytes(class) => class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect(),
    };
    let printable: Vec<char> = (0x21..=0x7e_u32)
        .chain([0x20])
        .filter(|code| ranges.iter().any(|(first, last)| (first..=last).contains(&code)))
        .filter_map(char::from_u32)
        .collect();
    rng.choice(&printable).copied().or_else(|| ranges.first().and_then(|(first, _)| char::from_u32(*first)))
}
