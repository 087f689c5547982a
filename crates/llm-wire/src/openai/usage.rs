//! Token counts: many ways to report them, one meaning.

use llm_core::Usage;

use crate::{
    counts::{count, fields},
    json::ObjectWriter,
};

/// Reads a `usage` object. One that cannot be read is no report: an answer is worth more than its bill.
pub(crate) fn decode_usage(text: &str) -> Option<Usage> {
    let [prompt, prompt_details, completion, completion_details, total, deepseek_hits, mistral_audio] = fields(
        text,
        [
            "prompt_tokens",
            "prompt_tokens_details",
            "completion_tokens",
            "completion_tokens_details",
            "total_tokens",
            "prompt_cache_hit_tokens",
            "prompt_audio_seconds",
        ],
    )?;
    let prompt_details = prompt_details.and_then(|raw| fields(raw, ["cached_tokens", "cache_write_tokens"]));
    let [cached, written] = prompt_details.unwrap_or_default();
    let completion_details = completion_details.and_then(|raw| fields(raw, ["reasoning_tokens"]));
    let [reasoning] = completion_details.unwrap_or_default();

    let (prompt, completion, total) = (count(prompt), count(completion), count(total));
    // A report of nothing is none, and neither is a sum of which nobody knows the parts.
    prompt.or(completion)?;
    let (prompt, completion) = (prompt.unwrap_or_default(), completion.unwrap_or_default());
    let total = total.unwrap_or_default();
    let cached = count(cached).or_else(|| count(deepseek_hits)).unwrap_or_default();

    // Mistral leaves audio out of `prompt_tokens`, so that only the total has it.
    let prompt = if mistral_audio.is_some() { prompt.max(total.saturating_sub(completion)) } else { prompt };
    // xAI, and Azure for its models, count what was cached apart.
    let input = if cached > prompt { prompt.saturating_add(cached) } else { prompt };
    // The total is what is billed. What it has more than its parts is output that was not shown: reasoning that xAI
    // and Gemini's compatible endpoint leave out of `completion_tokens`.
    let hidden = total.saturating_sub(input.saturating_add(completion));
    let output = completion.saturating_add(hidden);
    let reasoning = count(reasoning).unwrap_or_default();
    Some(Usage {
        cache_read: cached,
        cache_write: count(written).unwrap_or_default().min(input),
        reasoning: reasoning.max(hidden).min(output),
        ..Usage::reported(input, output)
    })
}

/// Writes the fields of a `usage` object of a chat.
pub(crate) fn encode_usage(usage: &Usage, mut object: ObjectWriter<'_>) {
    object.field("prompt_tokens", &usage.input);
    object.field("completion_tokens", &usage.output);
    object.field("total_tokens", &usage.total());
    let mut details = object.object("prompt_tokens_details");
    details.field("cached_tokens", &usage.cache_read);
    details.field("cache_write_tokens", &usage.cache_write);
    details.end();
    let mut details = object.object("completion_tokens_details");
    details.field("reasoning_tokens", &usage.reasoning);
    details.end();
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(text: &str) -> Usage {
        decode_usage(text).unwrap()
    }

    #[test]
    fn cached_and_reasoning_tokens_are_parts_of_the_whole() {
        let read = usage(
            r#"{"prompt_tokens":75,"completion_tokens":51,"total_tokens":126,
                "prompt_tokens_details":{"cached_tokens":64,"cache_write_tokens":8,"audio_tokens":0},
                "completion_tokens_details":{"reasoning_tokens":30}}"#,
        );
        assert_eq!(read, Usage { cache_read: 64, cache_write: 8, reasoning: 30, ..Usage::reported(75, 51) });
    }

    #[test]
    fn deepseeks_cache_hits_are_cache_reads() {
        let read = usage(
            r#"{"prompt_tokens":10,"completion_tokens":2,"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":4}"#,
        );
        assert_eq!(read, Usage { cache_read: 6, ..Usage::reported(10, 2) });
    }

    #[test]
    fn more_cached_than_prompt_tokens_were_counted_apart() {
        let read = usage(
            r#"{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":161}}"#,
        );
        assert_eq!(read, Usage { cache_read: 161, ..Usage::reported(168, 3) });
    }

    #[test]
    fn what_the_total_has_more_than_its_parts_is_hidden_output() {
        let gemini = usage(r#"{"prompt_tokens":35,"completion_tokens":12,"total_tokens":109}"#);
        assert_eq!(gemini, Usage { reasoning: 62, ..Usage::reported(35, 74) });
        let xai = usage(
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":35,"completion_tokens_details":{"reasoning_tokens":20}}"#,
        );
        assert_eq!(xai, Usage { reasoning: 20, ..Usage::reported(10, 25) });
    }

    #[test]
    fn what_the_total_has_more_than_its_parts_is_input_where_audio_was_heard() {
        let mistral = usage(
            r#"{"prompt_tokens":4,"completion_tokens":28,"total_tokens":409,"prompt_audio_seconds":30,
                "prompt_tokens_details":{"cached_tokens":8}}"#,
        );
        assert_eq!(mistral, Usage { cache_read: 8, ..Usage::reported(381, 28) });
        let text =
            usage(r#"{"prompt_tokens":4,"completion_tokens":28,"total_tokens":409,"prompt_audio_seconds":null}"#);
        assert_eq!(text, Usage { reasoning: 377, ..Usage::reported(4, 405) });
        let no_total = usage(r#"{"prompt_tokens":4,"completion_tokens":28,"prompt_audio_seconds":30}"#);
        assert_eq!(no_total, Usage::reported(4, 28));
    }

    #[test]
    fn odd_details_and_repeated_fields_do_not_lose_the_rest() {
        for odd in [
            r#""prompt_tokens_details":[]"#,
            r#""prompt_tokens_details":7"#,
            r#""completion_tokens_details":"x""#,
            r#""completion_tokens_details":{"reasoning_tokens":{}}"#,
            r#""prompt_tokens":9,"other":1,"other":2"#,
        ] {
            let read = usage(&format!(r#"{{"prompt_tokens":9,"completion_tokens":2,{odd}}}"#));
            assert_eq!(read, Usage::reported(9, 2), "{odd}");
        }
        let repeated = usage(r#"{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":1,"cached_tokens":2}}"#);
        assert_eq!(repeated, Usage { cache_read: 2, ..Usage::reported(9, 0) });
    }

    #[test]
    fn nulls_floats_and_nonsense_do_not_lose_the_rest() {
        let read = usage(
            r#"{"prompt_tokens":9.0,"completion_tokens":null,"total_tokens":"many","prompt_tokens_details":null,
                "completion_tokens_details":{"reasoning_tokens":-3},"cost":0.0001}"#,
        );
        assert_eq!(read, Usage::reported(9, 0));
        assert_eq!(decode_usage(r#"{"prompt_tokens":null}"#), None);
        assert_eq!(decode_usage("{}"), None);
        assert_eq!(decode_usage("7"), None);
    }

    #[test]
    fn huge_counts_saturate() {
        let max = u64::MAX;
        let read = usage(&format!(
            r#"{{"prompt_tokens":{max},"completion_tokens":{max},"total_tokens":1e300,"prompt_tokens_details":{{"cached_tokens":{max}}}}}"#
        ));
        assert_eq!((read.input, read.output), (max, max));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let known = Usage { cache_read: 4, cache_write: 3, reasoning: 2, ..Usage::reported(10, 5) };
        let mut out = bytes::BytesMut::new();
        encode_usage(&known, ObjectWriter::begin(&mut out));
        assert_eq!(usage(std::str::from_utf8(&out).unwrap()), known);
    }
}
