//! Settings of the http client.

use std::{
    num::{NonZeroU16, NonZeroU32},
    path::PathBuf,
    time::Duration,
};

use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Lane, connect::Connector};

/// How the http client connects and pools. Durations are spelled like `5s` or `1m 30s`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// How long a connection may take, from the name lookup to the end of the TLS handshake. Defaults to 5 seconds,
    /// as in the official Python SDK of OpenAI. At least a millisecond.
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. Defaults to 90 seconds, hyper-util's own figure.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
    /// Which HTTP to speak. Defaults to what the server prefers.
    pub http_version: HttpVersion,
    /// How many calls share an HTTP/2 connection before a further one is opened. Defaults to 100, the least that
    /// RFC 9113 advises servers to allow; set it to the server's limit where that is lower.
    pub max_streams_per_connection: NonZeroU32,
    /// How many HTTP/2 connections there are at most; calls beyond them wait in line. Defaults to 64.
    pub max_connections: NonZeroU16,
    /// A PEM file with root certificates to trust besides Mozilla's: for a company's proxy, or a gateway with a
    /// certificate of one's own. It is read once, when the client is made. None by default. At least one certificate.
    pub ca_file: Option<PathBuf>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(90),
            http_version: HttpVersion::default(),
            max_streams_per_connection: NonZeroU32::new(100).expect("it is not zero"),
            max_connections: NonZeroU16::new(64).expect("it is not zero"),
            ca_file: None,
        }
    }
}

/// Which HTTP to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpVersion {
    /// HTTP/2 where the server offers it in the TLS handshake, else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, also in the clear: for a proxy of one's own.
    Http2,
}

impl ClientConfig {
    /// A lane: hyper-util's client with a pool of its own.
    pub(super) fn lane(&self, connector: Connector) -> Lane {
        legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.idle_timeout)
            .http2_only(self.http_version == HttpVersion::Http2)
            // A peer that is gone without a word would otherwise hold its streams until the caller gives up.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .build(connector)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = llm_core::duration::deserialize(deserializer)?;
    if duration < Duration::from_millis(1) {
        return Err(D::Error::custom("it must be at least 1ms"));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_can_be_stated() {
        let config: ClientConfig = toml::from_str(
            r#"
            connect_timeout = "1500ms"
            idle_timeout = "1m 30s"
            http_version = "http2"
            max_streams_per_connection = 32
            max_connections = 4
            ca_file = "/etc/ssl/company.pem"
            "#,
        )
        .unwrap();
        let expected = ClientConfig {
            connect_timeout: Duration::from_millis(1_500),
            idle_timeout: Duration::from_secs(90),
            http_version: HttpVersion::Http2,
            max_streams_per_connection: NonZeroU32::new(32).unwrap(),
            max_connections: NonZeroU16::new(4).unwrap(),
            ca_file: Some(PathBuf::from("/etc/ssl/company.pem")),
        };
        assert_eq!(config, expected);
        assert_eq!(toml::from_str::<ClientConfig>("").unwrap(), ClientConfig::default());
    }

    #[test]
    fn bad_settings_are_refused_with_a_sentence() {
        for (text, sentence) in [
            ("connect_timeout = \"0s\"", "it must be at least 1ms"),
            ("idle_timeout = \"soon\"", "a duration"),
            ("max_connections = 0", "expected a nonzero u16"),
            ("max_streams_per_connection = 0", "expected a nonzero u32"),
            ("http_version = \"http3\"", "unknown variant `http3`"),
            ("timeout = \"5s\"", "unknown field `timeout`"),
        ] {
            let error = toml::from_str::<ClientConfig>(text).unwrap_err().to_string();
            assert!(error.contains(sentence), "{text}: {error}");
        }
    }
}
