//! Payment cards.

use super::checksum::{luhn, remainder};

/// Whether the digits are a card's: an issuer's prefix, one of the lengths that the issuer uses, and Luhn's check digit
/// (ISO/IEC 7812-1). Prefixes as the networks publish them: Visa 4; Mastercard 51–55 and 2221–2720; American Express 34
/// and 37; Diners Club 300–305, 3095, 36, 38 and 39; Discover 6011, 644–649 and 65; JCB 3528–3589; UnionPay 62 and 81;
/// Maestro 5018, 5020, 5038, 5893, 6304, 6759 and 6761–6763; Mir 2200–2204; RuPay 60, 82, 508.
pub(crate) fn is_card(digits: &[u8]) -> bool {
    let lengths = match remainder(&digits[..4], 10_000) {
        3_400..=3_499 | 3_700..=3_799 => 15..=15,
        3_000..=3_059 | 3_095 | 3_600..=3_699 | 3_800..=3_999 => 14..=19,
        3_528..=3_589 => 16..=19,
        4_000..=4_999 => match digits.len() {
            16 | 19 => return luhn(digits),
            _ => return false,
        },
        5_018 | 5_020 | 5_038 | 5_893 | 6_304 | 6_759 | 6_761..=6_763 => 14..=19,
        2_200..=2_204 => 16..=19,
        2_221..=2_720 | 5_100..=5_599 | 5_080..=5_089 | 8_200..=8_299 => 16..=16,
        6_200..=6_299 | 8_100..=8_199 => 16..=19,
        6_000..=6_099 | 6_440..=6_599 => 16..=19,
        _ => return false,
    };
    lengths.contains(&digits.len()) && luhn(digits)
}

/// Visa's cards of old, which have the length of the numbers under bar codes.
pub(crate) fn is_old_visa(digits: &[u8]) -> bool {
    digits[0] == b'4' && luhn(digits)
}
