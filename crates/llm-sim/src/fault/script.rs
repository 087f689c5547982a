//! The text form of faults, for headers and configuration files.

use std::{fmt, str::FromStr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Fault, Point, StatusFault};

/// What goes wrong with one call: faults, separated by semicolons.
///
/// | text | fault |
/// |---|---|
/// | `status 429 retry-after=2 body='{}'` | [`Fault::Status`]; any header by its name, body optional |
/// | `error-body server_error` | [`Fault::ErrorBody`] |
/// | `delay 250ms` | [`Fault::Delay`] |
/// | `hang`, `hang after 3` | [`Fault::Hang`] before the head, after three tokens (0: after the head) |
/// | `cut`, `cut after 3` | [`Fault::Cut`] |
/// | `reset`, `reset after 3` | [`Fault::Reset`] |
/// | `error server_error after 3` | [`Fault::ErrorEvent`] |
/// | `end after 3` | [`Fault::End`] |
/// | `garbage after 3` | [`Fault::Garbage`] |
/// | `stall 2s after 3` | [`Fault::Stall`] |
/// | `one-byte-writes` | [`Fault::OneByteWrites`] |
/// | `pings 1s` | [`Fault::Pings`] |
///
/// Values with spaces, semicolons or quotes stand in single quotes, and a single quote in them is doubled.
///
/// The http server takes a script in the header `x-sim-fault`; a call of the service takes one in the request's
/// [extensions](llm_core::LlmRequest::extensions_mut). Both come before the model's rules.
///
/// ```
/// use llm_sim::{Fault, FaultScript, Point};
///
/// let script: FaultScript = "one-byte-writes; cut after 3".parse()?;
/// assert_eq!(script.faults(), [Fault::OneByteWrites, Fault::Cut(Point::AfterTokens(3))]);
/// assert_eq!(script.to_string(), "one-byte-writes; cut after 3");
/// # Ok::<(), llm_sim::ScriptError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FaultScript(Vec<Fault>);

impl FaultScript {
    /// The faults in their order.
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl From<Fault> for FaultScript {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl FromIterator<Fault> for FaultScript {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}

impl TryFrom<String> for FaultScript {
    type Error = ScriptError;

    fn try_from(text: String) -> Result<Self, ScriptError> {
        text.parse()
    }
}

impl From<FaultScript> for String {
    fn from(script: FaultScript) -> Self {
        script.to_string()
    }
}

/// Why a text is not a fault script, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError(pub(super) String);

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScriptError {}

impl FromStr for FaultScript {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let faults = split(text)?;
        if faults.is_empty() {
            return Err(ScriptError("the fault script is empty".into()));
        }
        faults.into_iter().map(fault).collect()
    }
}

/// Splits a script into faults, and each of them into words without their quotes.
fn split(text: &str) -> Result<Vec<Vec<String>>, ScriptError> {
    let mut faults = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == ';' || char.is_whitespace() {
            faults.last_mut().into_iter().for_each(|words| words.extend(word.take()));
            if char == ';' {
                faults.push(Vec::new());
            }
            continue;
        }
        let word = word.get_or_insert_default();
        if char != '\'' {
            word.push(char);
            continue;
        }
        loop {
            match chars.next() {
                Some('\'') if chars.peek() == Some(&'\'') => word.extend(chars.next()),
                Some('\'') => break,
                Some(char) => word.push(char),
                None => return Err(ScriptError("the fault script has a quote that does not end".into())),
            }
        }
    }
    faults.last_mut().into_iter().for_each(|words| words.extend(word.take()));
    faults.retain(|words| !words.is_empty());
    Ok(faults)
}

fn fault(words: Vec<String>) -> Result<Fault, ScriptError> {
    let name = words[0].clone();
    let (words, after) = match &words[..] {
        [words @ .., keyword, count] if keyword == "after" => {
            let after = count
                .parse()
                .map_err(|_| ScriptError(format!("fault `{name}`: `after {count}` is not a number of tokens")))?;
            (words, Some(after))
        }
        words => (words, None),
    };
    let point = after.map_or(Point::BeforeHead, Point::AfterTokens);
    let needs = |what: &str| ScriptError(format!("fault `{name}` is spelled `{what}`"));
    let mut arguments = words[1..].iter();
    let mut argument = |spelling: &str| arguments.next().ok_or_else(|| needs(spelling));
    let fault = match name.as_str() {
        "status" => return status(&words[1..], after),
        "error-body" => Fault::ErrorBody(argument("error-body server_error")?.clone()),
        "delay" => Fault::Delay(duration(argument("delay 250ms")?)?),
        "hang" => Fault::Hang(point),
        "cut" => Fault::Cut(point),
        "reset" => Fault::Reset(point),
        "error" => {
            let spelling = "error server_error after 3";
            Fault::ErrorEvent { code: argument(spelling)?.clone(), after: after.ok_or_else(|| needs(spelling))? }
        }
        "end" => Fault::End { after: after.ok_or_else(|| needs("end after 3"))? },
        "garbage" => Fault::Garbage { after: after.ok_or_else(|| needs("garbage after 3"))? },
        "stall" => {
            let spelling = "stall 2s after 3";
            Fault::Stall { wait: duration(argument(spelling)?)?, after: after.ok_or_else(|| needs(spelling))? }
        }
        "one-byte-writes" => Fault::OneByteWrites,
        "pings" => Fault::Pings { every: interval(argument("pings 1s")?)? },
        _ => {
            return Err(ScriptError(format!(
                "there is no fault `{name}`; there are status, error-body, delay, hang, cut, reset, error, end, \
                 garbage, stall, one-byte-writes and pings"
            )));
        }
    };
    let takes_after = !matches!(
        fault,
        Fault::ErrorBody(_) | Fault::Delay(_) | Fault::OneByteWrites | Fault::Pings { .. } | Fault::Status(_)
    );
    if after.is_some() && !takes_after {
        return Err(ScriptError(format!("fault `{name}` takes no `after`")));
    }
    match arguments.next() {
        Some(extra) => Err(ScriptError(format!("fault `{name}` has `{extra}` too many"))),
        None => Ok(fault),
    }
}

fn status(words: &[String], after: Option<u64>) -> Result<Fault, ScriptError> {
    let [code, fields @ ..] = words else {
        return Err(ScriptError("fault `status` is spelled `status 429 retry-after=2`".into()));
    };
    if after.is_some() {
        return Err(ScriptError("fault `status` takes no `after`".into()));
    }
    let status = code
        .parse()
        .ok()
        .filter(|code| (200..=599).contains(code))
        .and_then(|code: u16| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| ScriptError(format!("`{code}` is not a status between 200 and 599")))?;
    let (mut headers, mut body) = (HeaderMap::new(), None);
    for field in fields {
        let Some((name, value)) = field.split_once('=') else {
            return Err(ScriptError(format!("`{field}` in fault `status` is not a header such as `retry-after=2`")));
        };
        if name == "body" {
            body = Some(value.to_owned());
            continue;
        }
        let bad = || ScriptError(format!("`{name}` in fault `status` is not a header, or its value cannot be one"));
        let name = name.parse::<HeaderName>().map_err(|_| bad())?;
        headers.append(name, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    Ok(Fault::Status(StatusFault { status, headers, body }))
}

fn duration(text: &str) -> Result<Duration, ScriptError> {
    humantime::parse_duration(text)
        .map_err(|_| ScriptError(format!("`{text}` is not a duration such as `250ms` or `2s`")))
}

fn interval(text: &str) -> Result<Duration, ScriptError> {
    match duration(text)? {
        Duration::ZERO => Err(ScriptError("pings need some time between them, such as `pings 1s`".into())),
        every => Ok(every),
    }
}

impl fmt::Display for FaultScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "; " })?;
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(StatusFault { status, headers, body }) => {
                write!(f, "status {}", status.as_u16())?;
                for (name, value) in headers {
                    write!(f, " {name}={}", quoted(&String::from_utf8_lossy(value.as_bytes())))?;
                }
                body.as_ref().map_or(Ok(()), |body| write!(f, " body={}", quoted(body)))
            }
            Self::ErrorBody(code) => write!(f, "error-body {}", quoted(code)),
            Self::Delay(wait) => write!(f, "delay {}", exact(*wait)),
            Self::Hang(point) => write!(f, "hang{point}"),
            Self::Cut(point) => write!(f, "cut{point}"),
            Self::Reset(point) => write!(f, "reset{point}"),
            Self::ErrorEvent { code, after } => write!(f, "error {} after {after}", quoted(code)),
            Self::End { after } => write!(f, "end after {after}"),
            Self::Garbage { after } => write!(f, "garbage after {after}"),
            Self::Stall { wait, after } => write!(f, "stall {} after {after}", exact(*wait)),
            Self::OneByteWrites => f.write_str("one-byte-writes"),
            Self::Pings { every } => write!(f, "pings {}", exact(*every)),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeHead => Ok(()),
            Self::AfterTokens(tokens) => write!(f, " after {tokens}"),
        }
    }
}

/// A duration as one word.
fn exact(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

fn quoted(text: &str) -> String {
    let needs_quotes = text.is_empty() || text.contains(|char: char| char.is_whitespace() || ";'".contains(char));
    if needs_quotes { format!("'{}'", text.replace('\'', "''")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_written() {
        for text in [
            "status 429 retry-after=2",
            "status 503 retry-after=1 x-note='a b; c' body='{\"error\": {\"message\": \"it''s down\"}}'",
            "error-body insufficient_quota",
            "delay 1s500ms",
            "hang",
            "hang after 0",
            "cut after 3; delay 250ms",
            "reset",
            "reset after 12",
            "error server_error after 0",
            "end after 5",
            "garbage after 1",
            "stall 2s after 3; cut after 4",
            "one-byte-writes",
            "pings 10ms",
        ] {
            let script: FaultScript = text.parse().unwrap();
            assert_eq!(script.to_string(), text);
            let json = serde_json::to_string(&script).unwrap();
            assert_eq!(serde_json::from_str::<FaultScript>(&json).unwrap(), script);
        }
    }

    #[test]
    fn what_is_wrong_with_a_script_is_said() {
        for (text, words) in [
            ("", "empty"),
            (" ; ", "empty"),
            ("explode", "no fault `explode`"),
            ("delay", "delay 250ms"),
            ("delay soon", "`soon`"),
            ("delay 5", "`5`"),
            ("cut after many", "after many"),
            ("cut 3", "`3` too many"),
            ("end", "end after 3"),
            ("error server_error", "after 3"),
            ("stall 2s", "after 3"),
            ("delay 2s after 3", "no `after`"),
            ("status", "status 429"),
            ("status 99", "`99`"),
            ("status 429 retry", "`retry`"),
            ("status 429 re:try=1", "re:try"),
            ("status 429 body='x", "quote"),
            ("pings 0s", "pings 1s"),
        ] {
            let error = text.parse::<FaultScript>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn debug_shows_no_header_values() {
        let script: FaultScript = "status 429 x-secret=canary body=canary".parse().unwrap();
        assert!(!format!("{script:?}").contains("canary"));
    }
}
