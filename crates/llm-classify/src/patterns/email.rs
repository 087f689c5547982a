//! Addresses of mail.

use super::view::View;

/// The most bytes before the sign (RFC 5321, 4.5.3.1.1).
const LONGEST_LOCAL: usize = 64;
/// The most bytes behind it (RFC 5321, 4.5.3.1.2).
const LONGEST_DOMAIN: usize = 255;
/// The most bytes of one name in a domain (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | b'&') || byte >= 0x80
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte >= 0x80
}

/// Whether the sign at `sign` stands in an address as people write it, unquoted, with a domain that has a dot.
pub(crate) fn is_at(view: &View<'_>, sign: usize) -> bool {
    let mut start = sign;
    while sign - start <= LONGEST_LOCAL && view.before(start, 1).is_some_and(is_local) {
        start -= 1;
    }
    let local = &view.bytes()[start..sign];
    let is_named = match local {
        [] => false,
        [.., b'.'] => false,
        _ => local.len() <= LONGEST_LOCAL && local.iter().any(|&byte| byte.is_ascii_alphanumeric() || byte >= 0x80),
    };
    // "@name@host" is a handle.
    is_named && view.before(start, 1) != Some(b'@') && is_domain_at(view, local, sign + 1)
}

fn is_domain_at(view: &View<'_>, local: &[u8], start: usize) -> bool {
    let mut label = start;
    let mut first = None;
    loop {
        let end = view.run(label, LONGEST_LABEL + 1, is_domain);
        if end == label || end - label > LONGEST_LABEL || end - start > LONGEST_DOMAIN {
            return false;
        }
        let name = &view.bytes()[label..end];
        let more = view.get(end) == Some(b'.') && view.get(end + 1).is_some_and(is_domain);
        if more {
            first.get_or_insert(name);
            label = end + 1;
            continue;
        }
        // Code has such signs too: "icon@2x.png", "x@w.T", "a@b.view(1)", "git@host.com:owner/name".
        let is_code = match first {
            None => true,
            Some([digits @ .., b'x']) if digits.iter().all(u8::is_ascii_digit) && !digits.is_empty() => true,
            Some([_]) if local.len() == 1 => true,
            Some(_) => {
                matches!(view.get(end), Some(b'(' | b'[' | b'_'))
                    || (matches!(view.get(end), Some(b':' | b'/')) && local == b"git")
            }
        };
        return !is_code && is_top_level(name);
    }
}

fn is_top_level(name: &[u8]) -> bool {
    name.len() >= 2
        && (name.iter().all(u8::is_ascii_lowercase)
            || name.iter().all(u8::is_ascii_uppercase)
            || name.iter().any(|&byte| byte >= 0x80)
            || name.starts_with(b"xn--"))
}
