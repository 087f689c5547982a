//! Each pattern has a name, and no text makes much work.

use super::*;

#[test]
fn every_pattern_is_told_by_the_name_that_configurations_use() {
    for pattern in Pattern::ALL {
        let read: Pattern = serde_json::from_value(pattern.as_str().into()).unwrap();
        assert_eq!(read, pattern);
    }
}

#[test]
fn patterns_that_share_a_mark_are_all_looked_at() {
    let key = format!("sk-ant-api03-{}", "a1B2".repeat(12));
    assert_eq!(Patterns::all().find(&key).map(|finding| finding.kind), Some("anthropic_key"));
    assert_eq!(Patterns::of([Pattern::OpenaiKey]).find(&key), None);
}

/// How many bytes are looked at, besides those that the automaton goes over once.
fn reads(text: &str) -> u64 {
    let view = View::new(text);
    assert_eq!(Scanner::new(Pattern::ALL.to_vec()).find(&view), None, "{}", &text[..40]);
    view.reads.get()
}

#[test]
fn work_grows_with_the_text_and_no_faster() {
    let pieces = [
        "0",
        "1 ",
        "12 ",
        "123-",
        "1234 ",
        "+1 ",
        "+",
        "4111 1111 1111 1112 ",
        "4111111111111112 ",
        "12.",
        "DE89 3704 ",
        "AB12",
        "a@",
        "@",
        "a@b.",
        "a.b@",
        "eyJ",
        "eyJ-",
        "eyJ.",
        "eyJaaaaaaaaaa.",
        "sk-",
        "sk-ant-",
        "password=",
        "password is ",
        "password=a1xxx",
        "token=",
        "token=a1b2c3xxx",
        "token=a1token=b2token=c3token=d4token=e5token=f6token=g7token=h8xxx",
        "token: a1",
        "://",
        "://a:",
        "bearer ",
        "-----BEGIN ",
        "AKIA",
        "ghp_",
        "xoxb-",
        "phone ",
        "phone 1234567 ",
        "id 111222334 bsn ",
        "é",
        " ",
        "\\n1",
        "123456789 ",
        "12345678 1 ",
        "tel 12 34 56 7 ",
        "(212) ",
        "0a",
        "a0",
    ];
    for piece in pieces {
        let [short, long] = [4_096, 65_536].map(|bytes| reads(&piece.repeat(bytes / piece.len())));
        // Sixteen times the text.
        assert!(long <= 17 * short + 4_096, "{piece:?}: {short} bytes in 4 KiB, {long} in 64 KiB");
        // As many as the crate docs say, and some.
        assert!(long <= 30 * 65_536, "{piece:?}: {} for each byte", long / 65_536);
    }
}
