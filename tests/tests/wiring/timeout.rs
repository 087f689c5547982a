//! `[timeout]`: how long what may take.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
};

const STREAMS_ONLY: &str = "the parts of an answer come with its head, so only the whole is limited";
const WHOLE_ONLY: &str = "streams are limited by their parts, and by `total`";

pub(crate) fn entries() -> Vec<Entry> {
    let limits = [
        ("head", "hangs", ["timeout_head 3s", "timeout_head 4s"]),
        ("first_content", "begins", ["timeout_first_content 3s", "timeout_first_content 4s"]),
        ("first_content_reasoning", "thinks", ["timeout_first_content 3s", "timeout_first_content 4s"]),
        ("idle", "stalls", ["timeout_idle 3.12s", "timeout_idle 4.12s"]),
        ("total", "slow", ["timeout_total 3s", "timeout_total 4s"]),
        ("whole_answer", "hangs", ["timeout_total 3s", "timeout_total 4s"]),
    ];
    limits.into_iter().flat_map(|(limit, model, seen)| of(limit, model, seen)).collect()
}

/// A limit as a time, and as a table that makes it longer by a second for an answer of 100 tokens.
fn of(limit: &str, model: &str, [seen, longer]: [&'static str; 2]) -> [Entry; 3] {
    // A reasoning model never has less time for its first content than others.
    let more = if limit == "first_content_reasoning" { "first_content = '1s', " } else { "" };
    let option = format!("timeout.{limit}");
    let with = |place: &str, value: &str, seen| {
        let config = format!("retry = false\ntimeout = {{ {more}{limit} = {value} }}");
        let entry = set(place, &config).tell([Tell::Took]).ask(ask(model).most(100));
        match limit {
            "whole_answer" => entry.whole(seen).stream_alike(WHOLE_ONLY),
            _ => entry.stream(seen).whole_alike(STREAMS_ONLY),
        }
    };
    let table = "{ base = '3s', per_output_token = '10ms' }";
    [
        with(&option, "'3s'", seen),
        with(&format!("{option}.base"), table, longer).rather("'2s'"),
        with(&format!("{option}.per_output_token"), table, longer).rather("'20ms'"),
    ]
}
