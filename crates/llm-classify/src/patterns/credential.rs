//! Passwords and keys that are known by the name they are given: `password = "…"`, `api_key: …`.

use super::view::View;

/// Names of what people choose.
pub(crate) const PASSWORDS: [&str; 3] = ["passw", "passphrase", "pwd"];
/// Names of what is drawn at random.
pub(crate) const SECRETS: [&str; 7] = ["secret", "api_key", "apikey", "api-key", "access_key", "accesskey", "token"];
/// What stands before a token in a header.
pub(crate) const BEARER: &str = "bearer ";
/// What stands before the user and password of an address.
pub(crate) const ADDRESS: &str = "://";

/// The most bytes of a name behind what it is known by, as in `secret_access_key`.
const LONGEST_NAME: usize = 24;
/// The most bytes of a value that are looked at.
const LONGEST_VALUE: usize = 128;
/// The fewest bytes of a password. Shorter ones are hard to tell from words.
const SHORTEST_PASSWORD: usize = 6;
/// The fewest bytes of a key: 64 bits, in hexadecimal digits.
const SHORTEST_SECRET: usize = 16;

/// Whether a password is assigned to the name at `mark`.
pub(crate) fn is_password(view: &View<'_>, mark: usize) -> bool {
    let Some(value) = assigned(view, mark) else { return false };
    let has = |class: fn(&u8) -> bool| value.bytes.iter().any(class);
    value.bytes.len() >= SHORTEST_PASSWORD
        && has(u8::is_ascii_alphabetic)
        && has(|byte| byte.is_ascii_digit() || b"!@#$^&*?~+".contains(byte))
        && !value.is_code(view)
}

/// Whether something random is assigned to the name at `mark`.
pub(crate) fn is_secret(view: &View<'_>, mark: usize) -> bool {
    assigned(view, mark).is_some_and(|value| is_random(value.bytes) && !value.is_code(view))
}

/// Whether a random token follows the word at `mark`.
pub(crate) fn is_bearer(view: &View<'_>, mark: usize) -> bool {
    let is_key = |value: Value<'_>| is_random(value.bytes) && !value.is_code(view);
    view.begins(mark) && value(view, mark + BEARER.len()).is_some_and(is_key)
}

/// Whether the address whose `://` is at `mark` has a password before its host (RFC 3986, 3.2.1).
pub(crate) fn is_address(view: &View<'_>, mark: usize) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/@:\"'`<>{}$*[]()\\".contains(&byte);
    let user = mark + ADDRESS.len();
    let colon = view.run(user, 64, is_plain);
    let sign = view.run(colon + 1, LONGEST_VALUE, is_plain);
    if view.get(colon) != Some(b':') || view.get(sign) != Some(b'@') || !view.is_alphanumeric(sign + 1) {
        return false;
    }
    let (user, password) = (&view.bytes()[user..colon], &view.bytes()[colon + 1..sign]);
    let is_placeholder = ["password", "passwd", "pass", "pwd", "secret"]
        .iter()
        .any(|word| password.eq_ignore_ascii_case(word.as_bytes()));
    password.len() >= 4 && password != user && !is_placeholder
}

/// Whether letters and digits take turns, as in what was drawn at random and not in names with a year or version.
fn is_random(value: &[u8]) -> bool {
    let is_text = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'.' | b'-');
    let turns = value
        .windows(2)
        .filter(|two| two.iter().all(u8::is_ascii_alphanumeric) && two[0].is_ascii_digit() != two[1].is_ascii_digit())
        .count();
    value.len() >= SHORTEST_SECRET && value.iter().all(is_text) && turns >= 3
}

/// What is assigned to the name that is known by what stands at `mark`.
fn assigned<'t>(view: &View<'t>, mark: usize) -> Option<Value<'t>> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_quote = |byte: u8| matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b'*');
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t');
    let name = view.run(mark, LONGEST_NAME, is_name);
    let name = view.run(name, 2, is_quote);
    let sign = view.run(name, 3, is_space);
    let behind = if view.has(sign, "is ") || view.has(sign, "es ") {
        sign + 2
    } else {
        let end = view.run(sign, 2, |byte| matches!(byte, b':' | b'=' | b'>'));
        let is_assignment = matches!(&view.bytes()[sign.min(end)..end], b":" | b"=" | b":=" | b"=>");
        if !is_assignment {
            return None;
        }
        end
    };
    value(view, view.run(view.run(behind, 3, is_space), 2, is_quote))
}

/// The value at `start`, unless it begins as code does.
fn value<'t>(view: &View<'t>, start: usize) -> Option<Value<'t>> {
    let ends = |byte| matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b',' | b';' | b')' | b']' | b'}');
    let is_value = |byte: u8| byte.is_ascii_graphic() && !ends(byte);
    let end = view.run(start, LONGEST_VALUE, is_value);
    let bytes = view.bytes().get(start..end)?;
    let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
    let is_code = bytes.first().is_some_and(|first| b"$<{%[(*&@".contains(first));
    (!is_code).then_some(Value { start, bytes })
}

/// What may be a password or a key.
struct Value<'t> {
    start: usize,
    bytes: &'t [u8],
}

impl Value<'_> {
    /// Whether it is code or a placeholder. Asked last: values overlap where a text has many names.
    fn is_code(&self, view: &View<'_>) -> bool {
        (self.start..self.start + self.bytes.len()).any(|at| match view.get(at).map(|byte| byte.to_ascii_lowercase()) {
            Some(b'(' | b'<' | b'{' | b'[' | b'|') => true,
            Some(b':') => view.has(at, "://"),
            Some(b'.') => view.has(at, "..."),
            Some(b'*') => view.has(at, "***"),
            Some(b'x') => view.has(at, "xxx"),
            Some(b'y') => view.has(at, "your"),
            Some(b'p') => view.has(at, "placeholder") || view.has(at, "process.env"),
            Some(b'r') => view.has(at, "redacted"),
            Some(b'o') => view.has(at, "os.environ"),
            Some(_) | None => false,
        })
    }
}
