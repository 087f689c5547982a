//! Keys and tokens that are known by how they begin, in the forms that their issuers document.

use super::{Pattern, view::View};

/// What is looked at where one of `marks` stands.
pub(crate) struct Key {
    pub(crate) pattern: Pattern,
    pub(crate) marks: &'static [&'static str],
    pub(crate) is_at: fn(&View<'_>, usize) -> bool,
}

pub(crate) static KEYS: &[Key] = &[
    Key { pattern: Pattern::AwsKey, marks: &["AKIA", "ASIA"], is_at: aws },
    Key { pattern: Pattern::GithubToken, marks: &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], is_at: github },
    Key { pattern: Pattern::GithubToken, marks: &["github_pat_"], is_at: github_fine_grained },
    Key {
        pattern: Pattern::SlackToken,
        marks: &["xoxa-", "xoxb-", "xoxe", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"],
        is_at: slack,
    },
    // Anthropic's keys begin as OpenAI's do, so one mark leads to both.
    Key { pattern: Pattern::OpenaiKey, marks: &["sk-"], is_at: openai },
    Key { pattern: Pattern::AnthropicKey, marks: &["sk-"], is_at: anthropic },
    Key { pattern: Pattern::GoogleKey, marks: &["AIza"], is_at: google },
    Key { pattern: Pattern::StripeKey, marks: &["sk_live_", "rk_live_"], is_at: stripe },
    Key { pattern: Pattern::Jwt, marks: &["eyJ"], is_at: jwt },
    Key { pattern: Pattern::PrivateKey, marks: &["-----BEGIN "], is_at: private_key },
];

/// More than any key has; a limit on how far one look goes.
const LONGEST: usize = 256;

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether `prefix` stands at `start`, in these very letters, and at least `fewest` bytes of `class` behind it.
fn has(view: &View<'_>, start: usize, prefix: &str, fewest: usize, class: impl Fn(u8) -> bool) -> bool {
    let rest = start + prefix.len();
    view.bytes()[start..].starts_with(prefix.as_bytes())
        && view.token_begins(start)
        && view.run(rest, fewest, class) == rest + fewest
}

/// Whether letters and digits are mixed in what stands at `start`, as in what was drawn at random: a name of many words
/// has no digits, or a year at its end.
fn is_mixed(view: &View<'_>, start: usize) -> bool {
    let end = view.run(start, LONGEST, is_token);
    let has = |class: fn(&u8) -> bool| view.bytes()[start..end].iter().any(class);
    has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

/// AWS: `AKIA` for keys that last, `ASIA` for those that do not, and sixteen capitals and digits (IAM User Guide, "IAM
/// identifiers").
fn aws(view: &View<'_>, start: usize) -> bool {
    let class = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    ["AKIA", "ASIA"].into_iter().any(|prefix| has(view, start, prefix, 16, class)) && view.ends(start + 20)
}

/// GitHub, since 2021: a prefix and at least 36 letters and digits ("Behind GitHub's new authentication token formats").
fn github(view: &View<'_>, start: usize) -> bool {
    ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]
        .into_iter()
        .any(|prefix| has(view, start, prefix, 36, |byte| byte.is_ascii_alphanumeric()))
}

fn github_fine_grained(view: &View<'_>, start: usize) -> bool {
    has(view, start, "github_pat_", 50, is_token)
}

/// Slack: the kind of token in the fourth letter ("Token types").
fn slack(view: &View<'_>, start: usize) -> bool {
    let class = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    ["xoxa-", "xoxb-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"]
        .into_iter()
        .any(|prefix| has(view, start, prefix, 20, class))
        && is_mixed(view, start + 5)
}

/// OpenAI: `sk-`, and since 2024 the kind of key, such as `proj`.
fn openai(view: &View<'_>, start: usize) -> bool {
    has(view, start, "sk-", 32, is_token) && !view.has(start, "sk-ant-") && is_mixed(view, start + 3)
}

/// Anthropic: `sk-ant-` and the kind of key, such as `api03`.
fn anthropic(view: &View<'_>, start: usize) -> bool {
    has(view, start, "sk-ant-", 32, is_token) && is_mixed(view, start + 7)
}

/// Google: `AIza` and 35 more ("Authenticate using API keys").
fn google(view: &View<'_>, start: usize) -> bool {
    has(view, start, "AIza", 35, is_token)
}

/// Stripe: secret and restricted keys that move money ("API keys"); those of the test mode do not.
fn stripe(view: &View<'_>, start: usize) -> bool {
    ["sk_live_", "rk_live_"].into_iter().any(|prefix| has(view, start, prefix, 16, |byte| byte.is_ascii_alphanumeric()))
}

/// A JSON Web Token (RFC 7519): header and claims, which are objects and so begin with `eyJ`, and a signature.
fn jwt(view: &View<'_>, start: usize) -> bool {
    const MOST: usize = 2_048;
    if !has(view, start, "eyJ", 9, is_token) {
        return false;
    }
    let header = view.run(start, MOST, is_token);
    let claims = view.run(header + 1, MOST, is_token);
    view.get(header) == Some(b'.')
        && view.bytes()[header + 1..].starts_with(b"eyJ")
        && claims - header > 10
        && view.get(claims) == Some(b'.')
        && view.run(claims + 1, 16, is_token) == claims + 17
}

/// A private key as PEM (RFC 7468), also encrypted, OpenSSH's or OpenPGP's.
fn private_key(view: &View<'_>, start: usize) -> bool {
    let label = start + "-----BEGIN ".len();
    let end = view.run(label, 40, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let label = &view.bytes()[label.min(end)..end];
    (label.ends_with(b"PRIVATE KEY") || label == b"PGP PRIVATE KEY BLOCK") && view.has(end, "-----")
}
