//! Token counts: this dialect counts what it read from and wrote to its prompt cache apart from the input.

use llm_core::Usage;

use crate::{
    counts::{count, fields},
    json::ObjectWriter,
};

/// What has been reported so far, in the provider's own terms: a later report replaces the fields that it has, and only
/// then can they be added up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
}

impl Report {
    /// Takes in a `usage` object. One that cannot be read is no report: an answer is worth more than its bill.
    pub(super) fn overlay(&mut self, text: &str) {
        let names = [
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "cache_creation",
            "output_tokens",
            "output_tokens_details",
        ];
        let Some([input, read, written, split, output, details]) = fields(text, names) else { return };
        let split = split.and_then(|raw| fields(raw, ["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"]));
        let [short, long] = split.unwrap_or_default().map(count);
        let details = details.and_then(|raw| fields(raw, ["thinking_tokens"]));
        let [thinking] = details.unwrap_or_default().map(count);
        // Some servers report the parts and not their sum.
        let parts = short.or(long).map(|_| short.unwrap_or_default().saturating_add(long.unwrap_or_default()));
        self.input = count(input).or(self.input);
        self.cache_read = count(read).or(self.cache_read);
        self.cache_write = count(written).or(parts).or(self.cache_write);
        self.cache_write_1h = long.or(self.cache_write_1h);
        self.output = count(output).or(self.output);
        self.thinking = thinking.or(self.thinking);
    }

    /// Forgets the output: what a stream says of it before there is any is a placeholder.
    pub(super) fn without_output(self) -> Self {
        Self { output: None, thinking: None, ..self }
    }

    /// The usage, if anything was reported.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.input.or(self.output).or(self.cache_read).or(self.cache_write)?;
        let read = self.cache_read.unwrap_or_default();
        let written = self.cache_write.unwrap_or_default();
        let input = self.input.unwrap_or_default().saturating_add(read).saturating_add(written);
        let output = self.output.unwrap_or_default();
        Some(Usage {
            cache_read: read,
            cache_write: written,
            cache_write_1h: self.cache_write_1h.unwrap_or_default().min(written),
            reasoning: self.thinking.unwrap_or_default().min(output),
            ..Usage::reported(input, output)
        })
    }
}

/// Reads the `usage` object of a whole answer.
pub(super) fn decode_usage(text: &str) -> Option<Usage> {
    let mut report = Report::default();
    report.overlay(text);
    report.usage()
}

/// Writes the fields of a `usage` object. What is not known is zero, as the dialect requires every field.
pub(super) fn encode_usage(usage: &Usage, mut object: ObjectWriter<'_>) {
    let long = usage.cache_write_1h.min(usage.cache_write);
    object.field("input_tokens", &usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_write));
    object.field("cache_creation_input_tokens", &usage.cache_write);
    object.field("cache_read_input_tokens", &usage.cache_read);
    let mut split = object.object("cache_creation");
    split.field("ephemeral_5m_input_tokens", &(usage.cache_write - long));
    split.field("ephemeral_1h_input_tokens", &long);
    split.end();
    object.field("output_tokens", &usage.output);
    let mut details = object.object("output_tokens_details");
    details.field("thinking_tokens", &usage.reasoning);
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
    fn cached_tokens_are_added_to_the_input() {
        let read = usage(
            r#"{"input_tokens":12,"cache_creation_input_tokens":300,"cache_read_input_tokens":2000,
                "cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},
                "output_tokens":34,"output_tokens_details":{"thinking_tokens":20},"service_tier":"standard"}"#,
        );
        let cached = Usage { cache_read: 2000, cache_write: 300, cache_write_1h: 200, ..Usage::reported(2312, 34) };
        assert_eq!(read, Usage { reasoning: 20, ..cached });
    }

    #[test]
    fn a_later_report_replaces_the_fields_that_it_has() {
        let mut report = Report::default();
        report.overlay(r#"{"input_tokens":702,"cache_read_input_tokens":10,"output_tokens":1}"#);
        report.overlay(r#"{"output_tokens":34}"#);
        assert_eq!(report.usage(), Some(Usage { cache_read: 10, ..Usage::reported(712, 34) }));
        report.overlay(r#"{"input_tokens":1591,"cache_read_input_tokens":null,"output_tokens":88}"#);
        assert_eq!(report.usage(), Some(Usage { cache_read: 10, ..Usage::reported(1601, 88) }));
    }

    #[test]
    fn what_is_null_missing_or_nonsense_does_not_lose_the_rest() {
        let read =
            usage(r#"{"input_tokens":9,"cache_creation":null,"output_tokens":"many","output_tokens_details":[]}"#);
        assert_eq!(read, Usage::reported(9, 0));
        let parts_only = usage(r#"{"input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":5}}"#);
        assert_eq!(parts_only, Usage { cache_write: 5, ..Usage::reported(14, 0) });
        assert_eq!(decode_usage("{}"), None);
        assert_eq!(decode_usage("7"), None);
    }

    #[test]
    fn huge_counts_saturate() {
        let max = u64::MAX;
        let read = usage(&format!(r#"{{"input_tokens":{max},"cache_read_input_tokens":{max},"output_tokens":1e300}}"#));
        assert_eq!((read.input, read.output), (max, max));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let known =
            Usage { cache_read: 40, cache_write: 30, cache_write_1h: 10, reasoning: 2, ..Usage::reported(100, 5) };
        let mut out = bytes::BytesMut::new();
        encode_usage(&known, ObjectWriter::begin(&mut out));
        assert_eq!(usage(std::str::from_utf8(&out).unwrap()), known);
    }
}
