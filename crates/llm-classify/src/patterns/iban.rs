//! International bank account numbers.

use iban::Iban;

use super::view::View;

/// The longest of any country.
const LONGEST: usize = 34;

/// Whether an IBAN (ISO 13616) has its first digit at `digit`: two letters before it, groups of any length with single
/// spaces or hyphens between them, the country's length and form, and the check digits.
pub(crate) fn is_at(view: &View<'_>, digit: usize) -> bool {
    let Some(start) = digit.checked_sub(2) else { return false };
    let is_head = [start, start + 1].into_iter().all(|at| view.get(at).is_some_and(|byte| byte.is_ascii_alphabetic()))
        && view.is_digit(digit + 1)
        && view.begins(start);
    if !is_head {
        return false;
    }
    let mut characters = [0; LONGEST];
    let mut length = 0;
    let mut at = start;
    while length < LONGEST {
        match view.get(at) {
            Some(byte) if byte.is_ascii_alphanumeric() => {
                characters[length] = byte.to_ascii_uppercase();
                length += 1;
                at += 1;
            }
            _ => break,
        }
        // What follows may be the next word, so each place where it could end is tried.
        let separator = view.separator(at);
        if separator.is_some() || view.ends(at) || length == LONGEST {
            if length >= 15 && view.ends(at) && is_iban(&characters[..length]) {
                return true;
            }
            match separator {
                Some((b' ' | b'-', wide)) => at += wide,
                Some(_) | None => break,
            }
        }
    }
    false
}

fn is_iban(characters: &[u8]) -> bool {
    has_check_digits(characters) && str::from_utf8(characters).is_ok_and(|text| Iban::try_from(text).is_ok())
}

/// ISO 7064 MOD 97-10 over what follows the country and check digits, and these. The register is asked only then.
fn has_check_digits(characters: &[u8]) -> bool {
    let (head, account) = characters.split_at(4);
    let rest = account.iter().chain(head).fold(0, |rest, &character| match character {
        b'0'..=b'9' => (rest * 10 + u32::from(character - b'0')) % 97,
        letter => (rest * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    rest == 1
}
