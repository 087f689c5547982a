//! Telephone numbers.

use super::{checksum::remainder, view::View, words};

/// North America: area and exchange begin with 2 to 9 (North American Numbering Plan), perhaps after a 1.
pub(crate) fn is_north_american(digits: &[u8]) -> bool {
    let digits = match digits {
        [b'1', digits @ ..] if digits.len() == 10 => digits,
        digits => digits,
    };
    digits.len() == 10 && digits[0] >= b'2' && digits[3] >= b'2' && &digits[1..3] != b"11"
}

/// Seven digits, as within one area of North America.
pub(crate) fn is_local(digits: &[u8]) -> bool {
    digits[0] >= b'2'
}

/// France and its neighbours: ten digits in pairs.
pub(crate) fn is_french(digits: &[u8]) -> bool {
    begins_at_home(digits)
}

/// United Kingdom: eleven digits (Ofcom, "National Telephone Numbering Plan").
pub(crate) fn is_british(digits: &[u8]) -> bool {
    begins_at_home(digits) && matches!(digits[1], b'1' | b'2' | b'3' | b'7' | b'8')
}

/// Eleven digits: with the 0 of calls within the country, or a mobile number in China.
pub(crate) fn is_of_eleven(digits: &[u8]) -> bool {
    begins_at_home(digits) || (digits[0] == b'1' && digits[1] >= b'3')
}

/// Ten digits with the 0 of calls within the country.
pub(crate) fn is_of_ten(digits: &[u8]) -> bool {
    begins_at_home(digits)
}

/// An area of two digits in brackets: Brazil's, or one with the 0 of calls within the country.
pub(crate) fn is_brazilian_or_of_ten(digits: &[u8]) -> bool {
    begins_at_home(digits) || (digits[0] != b'0' && digits[1] != b'0' && digits[2] >= b'2')
}

/// Whether the first digit is the 0 of calls within a country, and the second that of an area.
fn begins_at_home(digits: &[u8]) -> bool {
    digits[0] == b'0' && digits[1] != b'0'
}

/// Whether a number whose form says nothing has its first digit at `digit`: an international one after a plus, or any of
/// nine to twelve digits near a word such as "phone".
pub(crate) fn is_at(view: &View<'_>, digit: usize) -> bool {
    match view.before(digit, 1) {
        Some(b'+') => view.begins(digit - 1) && is_international(view, digit),
        Some(b'(') if view.before(digit, 2) == Some(b'+') => is_international(view, digit),
        _ => is_near_word(view, digit),
    }
}

/// The most digits of any number, with its country's code (ITU-T E.164).
const MOST_DIGITS: usize = 15;

/// Reads digits from `start` on, in groups with `most_between` bytes of `separates` between them, and asks `is_right` at
/// the end of each group.
fn read_groups(
    view: &View<'_>,
    start: usize,
    separates: impl Fn(u8) -> bool,
    most_between: usize,
    is_right: impl Fn(&[u8], usize) -> bool,
) -> bool {
    let mut digits = [0; MOST_DIGITS];
    let mut length = 0;
    let mut at = start;
    loop {
        let end = view.run(at, MOST_DIGITS + 1, |byte| byte.is_ascii_digit());
        if end == at || length + (end - at) > MOST_DIGITS {
            return false;
        }
        digits[length..length + (end - at)].copy_from_slice(&view.bytes()[at..end]);
        length += end - at;
        if is_right(&digits[..length], end) {
            return true;
        }
        at = view.run(end, most_between, &separates);
        if at == end {
            return false;
        }
    }
}

fn is_international(view: &View<'_>, digit: usize) -> bool {
    // "+44 (0)20 …": the 0 in brackets is dialled at home only.
    let bracketed = (1..=4).map(|more| digit + more).find(|&at| view.has(at, "(0)"));
    let between = |byte: u8| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | 0xC2 | 0xA0);
    read_groups(view, digit, between, 3, |digits, end| {
        view.number_ends(end) && is_assigned(digits, bracketed.is_some())
    })
}

fn is_near_word(view: &View<'_>, digit: usize) -> bool {
    let separates = |byte: u8| matches!(byte, b' ' | b'-' | b'.' | b'/' | b')');
    let is_long_enough = |digits: &[u8], end| (9..=12).contains(&digits.len()) && view.number_ends(end);
    let is_year =
        matches!(view.get(digit), Some(b'1' | b'2')) && view.run(digit, 5, |byte| byte.is_ascii_digit()) == digit + 4;
    view.number_begins(digit)
        && !view.follows_digits(digit)
        && !is_year
        && read_groups(view, digit, separates, 2, is_long_enough)
        && view.is_behind(digit, words::PHONE)
}

/// Countries whose numbers have a known length after the code: the code, the fewest digits and the most (ITU-T E.164 and
/// the numbering plans that countries publish there).
const LENGTHS: [(&[u8], usize, usize); 51] = [
    (b"1", 10, 10),
    (b"7", 10, 10),
    (b"20", 8, 10),
    (b"27", 9, 9),
    (b"30", 10, 10),
    (b"31", 9, 9),
    (b"32", 8, 9),
    (b"33", 9, 9),
    (b"34", 9, 9),
    (b"36", 8, 9),
    (b"39", 6, 11),
    (b"40", 9, 9),
    (b"41", 9, 9),
    (b"43", 7, 13),
    (b"44", 9, 10),
    (b"45", 8, 8),
    (b"46", 7, 10),
    (b"47", 8, 8),
    (b"48", 9, 9),
    (b"49", 7, 13),
    (b"51", 8, 9),
    (b"52", 10, 11),
    (b"53", 8, 8),
    (b"54", 10, 11),
    (b"55", 10, 11),
    (b"56", 9, 9),
    (b"57", 8, 10),
    (b"58", 10, 10),
    (b"60", 8, 10),
    (b"61", 9, 9),
    (b"62", 8, 12),
    (b"63", 8, 10),
    (b"64", 8, 10),
    (b"65", 8, 8),
    (b"66", 8, 9),
    (b"81", 9, 10),
    (b"82", 8, 10),
    (b"84", 9, 10),
    (b"86", 10, 11),
    (b"90", 10, 10),
    (b"91", 10, 10),
    (b"92", 9, 10),
    (b"93", 9, 9),
    (b"94", 9, 9),
    (b"95", 7, 10),
    (b"98", 10, 10),
    (b"351", 9, 9),
    (b"353", 7, 9),
    (b"358", 6, 11),
    (b"380", 9, 9),
    (b"420", 9, 9),
];

/// The codes of three digits that are given to a country or a service, from and to.
const OF_THREE: [(u32, u32); 33] = [
    (211, 213),
    (216, 216),
    (218, 218),
    (220, 258),
    (260, 269),
    (290, 291),
    (297, 299),
    (350, 359),
    (370, 378),
    (380, 383),
    (385, 387),
    (389, 389),
    (420, 421),
    (423, 423),
    (500, 509),
    (590, 599),
    (670, 670),
    (672, 683),
    (685, 692),
    (800, 800),
    (808, 808),
    (850, 850),
    (852, 853),
    (855, 856),
    (870, 870),
    (880, 883),
    (886, 886),
    (888, 888),
    (960, 968),
    (970, 977),
    (979, 979),
    (992, 996),
    (998, 998),
];

/// Whether the digits are a code of E.164 and as many more as that country's numbers have.
fn is_assigned(digits: &[u8], has_bracketed_zero: bool) -> bool {
    let is_of_three = |digits: &[u8]| {
        digits.get(..3).is_some_and(|code| {
            let code = remainder(code, 1_000);
            OF_THREE.iter().any(|(from, to)| (*from..=*to).contains(&code))
        })
    };
    let known = LENGTHS.iter().find(|(code, _, _)| digits.starts_with(code));
    let (code, fewest, most) = match known {
        Some((code, fewest, most)) => (code.len(), *fewest, *most),
        None if is_of_three(digits) => (3, 6, 11),
        None => return false,
    };
    let Some(national) = digits.get(code..) else { return false };
    let national = if has_bracketed_zero { national.strip_prefix(b"0").unwrap_or(national) } else { national };
    // Behind the code a number begins with 0 in few countries: in Italy, the Ivory Coast, Gabon and the Congo.
    let may_begin_with_0 = [&b"39"[..], b"225", b"241", b"242"].iter().any(|code| digits.starts_with(code));
    (fewest..=most).contains(&national.len())
        && (national[0] != b'0' || may_begin_with_0)
        && (digits[0] != b'1' || is_north_american(national))
}
