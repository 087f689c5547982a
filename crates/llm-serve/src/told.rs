//! What callers are told of a call's attempts.

use std::fmt::{self, Write};

use http::HeaderValue;
use llm_core::{Again, AttemptEnd, AttemptRecord, Error, NanoUsd, Target, Trail};

/// The most attempts that are told. Going past targets whose circuits are open takes nothing from a call's allowance, so
/// there may be any number.
const MOST_TOLD: usize = 16;

/// The attempts of a call as they are when they are told.
#[derive(Debug)]
pub(crate) struct Attempts(Vec<AttemptRecord>);

impl Attempts {
    pub(crate) fn of(trail: &Trail) -> Self {
        Self(trail.attempts())
    }

    /// How many calls to providers there were.
    pub(crate) fn made(&self) -> usize {
        self.0.iter().filter(|attempt| attempt.was_made()).count()
    }

    /// What the call cost, if that is known of every attempt that used anything.
    pub(crate) fn cost(&self) -> Option<NanoUsd> {
        let is_unpriced =
            |attempt: &AttemptRecord| attempt.cost.is_none() && attempt.usage.is_some_and(|usage| !usage.is_zero());
        if self.0.iter().any(is_unpriced) || self.0.iter().all(|attempt| attempt.cost.is_none()) {
            return None;
        }
        Some(self.0.iter().filter_map(|attempt| attempt.cost).sum())
    }

    /// The attempts as a list of structured fields (RFC 9651); absent where the first one was all, and so the other
    /// headers tell as much.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let is_all = match &*self.0 {
            [] => true,
            [only] => !matches!(only.end, Some(AttemptEnd::Failed(_))),
            [..] => false,
        };
        if is_all {
            return None;
        }
        let mut list = String::new();
        for attempt in self.0.iter().take(MOST_TOLD) {
            if !list.is_empty() {
                list.push_str(", ");
            }
            write!(list, "{}", Item(attempt)).expect("a string takes everything");
        }
        Some(HeaderValue::try_from(list).expect("names are made printable, and the rest is"))
    }

    /// The error with its attempts in its message, where there were several.
    pub(crate) fn tell(&self, error: &Error) -> Option<Error> {
        let failed = || {
            self.0.iter().filter_map(|attempt| match attempt.end {
                Some(AttemptEnd::Failed(kind)) => Some((attempt.target.as_ref(), kind)),
                Some(AttemptEnd::Complete | AttemptEnd::Abandoned) | None => None,
            })
        };
        failed().nth(1)?;
        let mut message = format!("{}; attempts: ", error.message());
        for (at, (target, kind)) in failed().take(MOST_TOLD).enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            match target {
                Some(target) => write!(message, "{separator}{} {kind}", Name(target)),
                None => write!(message, "{separator}{kind}"),
            }
            .expect("a string takes everything");
        }
        Some(error.clone().with_message(message))
    }
}

/// One attempt as an item with parameters: its target, and why it was made, after how many milliseconds of waiting, and
/// how it ended.
struct Item<'a>(&'a AttemptRecord);

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AttemptRecord { number: _, reason, waited, target, end, usage: _, cost: _, verdict: _ } = self.0;
        match target {
            Some(target) => write!(f, "\"{}\"", Name(target))?,
            None => f.write_str("unknown")?,
        }
        let why = match reason {
            Again::First => None,
            Again::Retry => Some("retry"),
            Again::Hedge => Some("hedge"),
            Again::Failover => Some("failover"),
            Again::Fallback => Some("fallback"),
        };
        if let Some(why) = why {
            write!(f, ";why={why}")?;
        }
        if !waited.is_zero() {
            write!(f, ";waited={}", waited.as_millis())?;
        }
        match end {
            Some(AttemptEnd::Complete) => f.write_str(";end=complete"),
            Some(AttemptEnd::Failed(kind)) => write!(f, ";end={kind}"),
            Some(AttemptEnd::Abandoned) => f.write_str(";end=abandoned"),
            None => Ok(()),
        }
    }
}

/// `provider/model` in printable ASCII. Which key was used is nobody's business but the operator's.
pub(crate) struct Name<'a>(pub(crate) &'a Target);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(target) = self;
        let mut name = |part: &str| part.chars().try_for_each(|character| f.write_char(printable(character)));
        name(target.provider())?;
        name("/")?;
        name(target.model())
    }
}

/// A character as it may stand within a string of a structured field.
pub(crate) fn printable(character: char) -> char {
    match character {
        '"' | '\\' => '?',
        ' '..='~' => character,
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use llm_core::{Attempt, Context, ErrorKind};

    use super::*;

    fn attempts(list: &[(Again, u64, Option<Target>, Option<AttemptEnd>)]) -> Attempts {
        let trail = Context::default().trail();
        for (number, (reason, waited, target, end)) in (0..).zip(list) {
            let waited = Duration::from_millis(*waited);
            trail.begin(Attempt { number, reason: *reason, waited }, target.as_ref());
            trail.update(number, |record| record.end = *end);
        }
        Attempts::of(&trail)
    }

    fn told(list: &[(Again, u64, Option<Target>, Option<AttemptEnd>)]) -> Option<String> {
        attempts(list).header().map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn several_attempts_are_a_list_with_reason_wait_and_end() {
        let failed = |kind| Some(AttemptEnd::Failed(kind));
        let list = [
            (Again::First, 0, Some(Target::new("openai", "gpt-5").with_key("k")), failed(ErrorKind::Overloaded)),
            (Again::Retry, 250, Some(Target::new("openai", "gpt-5")), failed(ErrorKind::CircuitOpen)),
            (Again::Failover, 0, Some(Target::new("local", "a\"b\u{e4}")), Some(AttemptEnd::Complete)),
            (Again::Hedge, 900, None, None),
        ];
        assert_eq!(
            told(&list).as_deref(),
            Some(
                "\"openai/gpt-5\";end=overloaded, \"openai/gpt-5\";why=retry;waited=250;end=circuit_open, \
                 \"local/a?b?\";why=failover;end=complete, unknown;why=hedge;waited=900"
            )
        );
        assert_eq!(attempts(&list).made(), 3);
    }

    #[test]
    fn a_first_attempt_that_did_not_fail_needs_no_list() {
        let target = || Some(Target::new("p", "m"));
        assert_eq!(told(&[]), None);
        for end in [None, Some(AttemptEnd::Complete), Some(AttemptEnd::Abandoned)] {
            assert_eq!(told(&[(Again::First, 0, target(), end)]), None);
        }
        let failed = (Again::First, 0, target(), Some(AttemptEnd::Failed(ErrorKind::Server)));
        assert_eq!(told(&[failed]).as_deref(), Some("\"p/m\";end=server"));
    }

    #[test]
    fn however_many_attempts_there_were_the_list_is_short() {
        let open =
            |_| (Again::Failover, 0, Some(Target::new("p", "m")), Some(AttemptEnd::Failed(ErrorKind::CircuitOpen)));
        let list: Vec<_> = (0..100).map(open).collect();
        assert_eq!(told(&list).unwrap().split(", ").count(), MOST_TOLD);
        let message = attempts(&list).tell(&Error::internal("it failed")).unwrap().message().to_owned();
        assert_eq!(message.matches("circuit_open").count(), MOST_TOLD);
    }

    #[test]
    fn an_error_lists_its_attempts_where_there_were_several() {
        let failed = |reason, provider: &str, kind| {
            (reason, 0, Some(Target::new(provider, "m")), Some(AttemptEnd::Failed(kind)))
        };
        let first = failed(Again::First, "a", ErrorKind::Server);
        let error = Error::new(ErrorKind::RateLimited, "the provider limits our rate");
        assert!(attempts(std::slice::from_ref(&first)).tell(&error).is_none());
        let told = attempts(&[first, failed(Again::Failover, "b", ErrorKind::RateLimited)]).tell(&error).unwrap();
        assert_eq!(told.message(), "the provider limits our rate; attempts: a/m server, b/m rate_limited");
        assert_eq!(told.kind(), ErrorKind::RateLimited);
    }
}
