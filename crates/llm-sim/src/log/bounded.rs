//! The calls that a log remembers: so many, and so many bytes of what they brought.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::{Progress, Received};

/// What a header takes up in a map besides its name and value: twice the 104 bytes of an entry, since a map doubles
/// when it is full, and its part of the index.
const HEADER_SLOT: usize = 224;

/// The newest calls, within bounds. Only the newest of them still have their headers and bodies.
#[derive(Debug)]
pub(super) struct Bounded {
    calls: VecDeque<Logged>,
    max_calls: usize,
    max_bytes: usize,
    /// Bytes of headers and bodies, over all calls.
    bytes: usize,
    /// How many calls, from the oldest, have lost theirs.
    stripped: usize,
}

#[derive(Debug)]
pub(super) struct Logged {
    pub(super) received: Received,
    pub(super) progress: Arc<Progress>,
}

impl Bounded {
    pub(super) fn new(max_calls: usize, max_bytes: usize) -> Self {
        Self { calls: VecDeque::new(), max_calls, max_bytes, bytes: 0, stripped: 0 }
    }

    pub(super) fn calls(&self) -> impl Iterator<Item = &Logged> {
        self.calls.iter()
    }

    pub(super) fn push(&mut self, call: Logged) {
        if self.calls.len() == self.max_calls
            && let Some(oldest) = self.calls.pop_front()
        {
            self.bytes -= size(&oldest.received);
            self.stripped = self.stripped.saturating_sub(1);
        }
        self.bytes += size(&call.received);
        self.calls.push_back(call);
        while self.bytes > self.max_bytes
            && let Some(oldest) = self.calls.get_mut(self.stripped)
        {
            self.bytes -= size(&oldest.received);
            oldest.received.headers = Arc::default();
            oldest.received.body = Bytes::new();
            self.stripped += 1;
        }
    }
}

/// How many bytes of headers and body a call brought and still has.
fn size(received: &Received) -> usize {
    size_of_headers(&received.headers) + received.body.len()
}

fn size_of_headers(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER_SLOT).sum()
}

/// What is worth keeping of a request: what would not fit by itself would only drive out all else.
///
/// Both are copies, since what hyper hands out are views of a read buffer, which may be much larger.
pub(super) fn worth_keeping(headers: &HeaderMap, body: &Bytes, max_bytes: usize) -> (HeaderMap, Bytes) {
    let mut headers: HeaderMap = headers.iter().map(|(name, value)| (name.clone(), without_key(name, value))).collect();
    if size_of_headers(&headers) > max_bytes {
        headers = HeaderMap::new();
    }
    let fits = body.len() <= max_bytes - size_of_headers(&headers);
    (headers, if fits { Bytes::copy_from_slice(body) } else { Bytes::new() })
}

fn without_key(name: &header::HeaderName, value: &HeaderValue) -> HeaderValue {
    match name.as_str() {
        "authorization" | "proxy-authorization" | "cookie" | "x-api-key" | "api-key" | "x-goog-api-key" => {
            HeaderValue::from_static("redacted")
        }
        _ => HeaderValue::from_bytes(value.as_bytes()).expect("a header's value can be a header's value"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    /// A call with one header of this length, if any, and this long a body.
    fn call(number: usize, header: Option<usize>, body: usize, max_bytes: usize) -> Logged {
        let value = |length| HeaderValue::from_str(&"v".repeat(length)).unwrap();
        let sent =
            header.map(|length| (header::HeaderName::from_static("x-note"), value(length))).into_iter().collect();
        let (headers, body) = worth_keeping(&sent, &Bytes::from(vec![0; body]), max_bytes);
        let received = Received {
            at: SystemTime::UNIX_EPOCH,
            path: number.to_string().into(),
            model: None,
            headers: Arc::new(headers),
            key: None,
            body_bytes: body.len(),
            body,
            tokens_sent: 0,
            usage: None,
            ended: None,
            ended_at: None,
        };
        Logged { received, progress: Arc::default() }
    }

    fn bytes_of(log: &Bounded) -> Vec<usize> {
        log.calls().map(|call| size(&call.received)).collect()
    }

    proptest! {
        /// Against a naive model: the longest run of newest calls that fits.
        #[test]
        fn what_is_kept_is_within_the_bounds_and_the_newest(
            max_calls in 1_usize..8,
            max_bytes in 1_usize..2_000,
            sent in prop::collection::vec((prop::option::of(0_usize..1_500), 0_usize..3_000), 0..40),
        ) {
            let mut log = Bounded::new(max_calls, max_bytes);
            let mut sizes = Vec::new();
            for (number, (header, body)) in sent.into_iter().enumerate() {
                let header_size = header.map_or(0, |length| "x-note".len() + length + HEADER_SLOT);
                let header_size = if header_size > max_bytes { 0 } else { header_size };
                sizes.push(if header_size + body > max_bytes { header_size } else { header_size + body });
                log.push(call(number, header, body, max_bytes));

                let mut expected: Vec<_> = sizes.iter().rev().take(max_calls).scan(0, |sum, size| {
                    *sum += size;
                    Some(if *sum > max_bytes { 0 } else { *size })
                }).collect();
                expected.reverse();
                let kept = bytes_of(&log);
                prop_assert!(kept.iter().sum::<usize>() <= max_bytes);
                prop_assert_eq!(log.bytes, kept.iter().sum::<usize>());
                prop_assert_eq!(kept, expected);
                prop_assert_eq!(&*log.calls.back().unwrap().received.path, number.to_string());
            }
        }
    }

    #[test]
    fn a_body_that_does_not_fit_by_itself_drives_nothing_out() {
        let mut log = Bounded::new(10, 100);
        for (number, body) in [60, 101, 40, 0].into_iter().enumerate() {
            log.push(call(number, None, body, 100));
        }
        assert_eq!(bytes_of(&log), [60, 0, 40, 0]);
        log.push(call(4, None, 1, 100));
        assert_eq!(bytes_of(&log), [0, 0, 40, 0, 1], "the oldest goes first");
    }

    #[test]
    fn headers_count_for_what_a_map_of_them_takes() {
        let mut log = Bounded::new(10, 2 * HEADER_SLOT);
        for number in 0..3 {
            log.push(call(number, Some(0), 0, 2 * HEADER_SLOT));
        }
        assert_eq!(bytes_of(&log), [0, 0, HEADER_SLOT + "x-note".len()]);
    }

    #[test]
    fn what_is_kept_is_a_copy() {
        let buffer = Bytes::from(vec![b'a'; 10_000]);
        let value = HeaderValue::from_maybe_shared(buffer.slice(..3)).unwrap();
        let sent = HeaderMap::from_iter([(header::HeaderName::from_static("x-note"), value)]);
        let kept = worth_keeping(&sent, &buffer.slice(3..6), 1_000);
        drop(sent);
        assert_eq!((kept.0["x-note"].as_bytes(), &kept.1[..]), (&b"aaa"[..], &b"aaa"[..]));
        assert!(buffer.is_unique(), "nothing kept holds on to the buffer");
    }
}
