//! Where a provider is.

use std::{fmt, str::FromStr};

use http::Uri;

use llm_core::ConfigError;

/// The longest path that is put behind a base URL.
const LONGEST_PATH: &str = "/v1/messages/count_tokens";

/// The base URL of a provider, such as `https://api.openai.com/v1`, below which its endpoints are.
///
/// It is `http` or `https` with a host, and holds no credentials, no query and no fragment. A slash at the end
/// changes nothing, and in Anthropic's dialect neither does `/v1` at the end: its endpoints stand below `/v1` in any
/// case.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: Box<str>,
}

impl BaseUrl {
    /// The address of `path` below this.
    pub(crate) fn endpoint(&self, path: &str) -> Uri {
        below(&self.text, path)
    }

    /// The address of `path` below `/v1`, which may stand at the end of this already.
    pub(crate) fn versioned_endpoint(&self, path: &str) -> Uri {
        below(self.text.strip_suffix("/v1").unwrap_or(&self.text), &format!("/v1{path}"))
    }
}

fn below(base: &str, path: &str) -> Uri {
    format!("{base}{path}").parse().expect("a base URL is one with the longest path behind it, as its parser checks")
}

impl FromStr for BaseUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        // The URL is not repeated in the sentences: one with credentials in it would show them.
        let wrong = |what: &str| ConfigError::new("base_url", what);
        // `Uri` drops a fragment without a word.
        if text.contains(['?', '#']) {
            return Err(wrong("a query or fragment cannot be part of it"));
        }
        let base = text.trim_end_matches('/');
        let uri: Uri = base.parse().map_err(|_| wrong("it is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it must begin with https:// or http://"));
        }
        if uri.authority().is_none_or(|authority| authority.host().is_empty() || authority.as_str().contains('@')) {
            return Err(wrong("it must name a host, without a user or password before it"));
        }
        format!("{base}{LONGEST_PATH}").parse::<Uri>().map_err(|_| wrong("it is not a URL"))?;
        Ok(Self { text: base.into() })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_stand_below_the_path_with_or_without_a_slash() {
        for text in ["https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/"] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), "https://api.groq.com/openai/v1");
            assert_eq!(url.endpoint("/chat/completions"), "https://api.groq.com/openai/v1/chat/completions");
        }
        let bare: BaseUrl = "http://[::1]:8000".parse().unwrap();
        assert_eq!(bare.endpoint("/embeddings"), "http://[::1]:8000/embeddings");
    }

    #[test]
    fn the_version_is_said_once() {
        for (text, expected) in [
            ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/v1", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
            ("https://api.deepseek.com/anthropic", "https://api.deepseek.com/anthropic/v1/messages"),
            ("https://h.example/dev1", "https://h.example/dev1/v1/messages"),
        ] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!(url.versioned_endpoint("/messages"), expected);
        }
    }

    #[test]
    fn a_base_url_that_leaves_no_room_for_a_path_is_refused() {
        let host = "https://h.example/";
        let longest = usize::from(u16::MAX) - 1 - LONGEST_PATH.len();
        let path = |length: usize| format!("{host}{}", "p".repeat(length - host.len()));
        let url: BaseUrl = path(longest).parse().unwrap();
        assert_eq!(url.versioned_endpoint("/messages/count_tokens").to_string().len(), usize::from(u16::MAX) - 1);
        assert!(path(longest + 1).parse::<BaseUrl>().is_err());
    }

    #[test]
    fn what_is_no_base_url_is_refused_without_repeating_it() {
        for (text, sentence) in [
            ("/v1", "it must begin with https:// or http://"),
            ("api.openai.com", "it must begin with https:// or http://"),
            ("ftp://api.openai.com", "it must begin with https:// or http://"),
            ("", "it is not a URL"),
            ("https:///v1", "it is not a URL"),
            ("https://a b/v1", "it is not a URL"),
            ("https://sk-canary@api.openai.com/v1", "it must name a host, without a user or password before it"),
            ("https://me:sk-canary@api.openai.com/v1", "it must name a host, without a user or password before it"),
            ("https://api.openai.com/v1?key=sk-canary", "a query or fragment cannot be part of it"),
            ("https://api.openai.com/v1#sk-canary", "a query or fragment cannot be part of it"),
        ] {
            let error = text.parse::<BaseUrl>().unwrap_err();
            assert_eq!(error.to_string(), format!("base_url: {sentence}"), "{text}");
        }
    }
}
