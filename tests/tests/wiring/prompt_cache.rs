//! `[prompt_cache]`: which prompts providers are asked to keep, and for how long.

use crate::{
    ask::{Tell, ask},
    entry::{Entry, set},
};

pub(crate) fn entries() -> Vec<Entry> {
    let long = || ask("m").says("Why is the sky blue? ".repeat(400));
    vec![
        set("prompt_cache.keep_for", "prompt_cache = { keep_for = '1h' }")
            .tell([Tell::Written])
            .over_http()
            .ask(long())
            .sees("ok wrote 2251, 2251 for an hour")
            .of_all_targets(),
        set("prompt_cache.least_tokens", "prompt_cache = { least_tokens = 100_000 }")
            .ask(long())
            .measure("llm.prompt_cache.asked")
            .sees("ok | llm.prompt_cache.asked 0"),
    ]
}
