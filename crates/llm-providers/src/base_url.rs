//! Where a provider is.

use std::{fmt, str::FromStr};

use http::Uri;

use llm_core::ConfigError;

/// The base URL of a provider, such as `https://api.openai.com/v1`, and the addresses of its endpoints.
///
/// It is `http` or `https` with a host, and holds no credentials, no query and no fragment. A slash at the end
/// changes nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    chat_completions: Uri,
    embeddings: Uri,
    length: usize,
}

impl BaseUrl {
    pub(crate) fn chat_completions(&self) -> &Uri {
        &self.chat_completions
    }

    pub(crate) fn embeddings(&self) -> &Uri {
        &self.embeddings
    }
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
        let endpoint = |path: &str| format!("{base}{path}").parse().map_err(|_| wrong("it is not a URL"));
        Ok(Self {
            chat_completions: endpoint("/chat/completions")?,
            embeddings: endpoint("/embeddings")?,
            length: base.len(),
        })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.embeddings.to_string()[..self.length])
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
            assert_eq!(url.chat_completions(), "https://api.groq.com/openai/v1/chat/completions");
            assert_eq!(url.embeddings(), "https://api.groq.com/openai/v1/embeddings");
        }
        let bare: BaseUrl = "http://[::1]:8000".parse().unwrap();
        assert_eq!(bare.chat_completions(), "http://[::1]:8000/chat/completions");
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
