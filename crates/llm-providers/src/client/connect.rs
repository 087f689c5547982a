//! Making a connection within a time limit, TLS handshake included.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use llm_core::{Error, ErrorKind, Phase};
use tokio::net::TcpStream;
use tower::BoxError;
use tower_service::Service;

use super::{ClientConfig, HttpVersion, roots::roots};
use llm_core::ConfigError;

/// Connects and tells in the workspace's own error what kept it from doing so.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector>,
    limit: Duration,
}

pub(super) fn connector(config: &ClientConfig) -> Result<Connector, ConfigError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    // Without it the last piece of a request may wait for the acknowledgement of the piece before.
    http.set_nodelay(true);
    // Shared out among the addresses of a host: one that does not answer leaves time for the others.
    http.set_connect_timeout(Some(config.connect_timeout));
    http.set_keepalive(Some(Duration::from_secs(60)));
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS")
        .with_root_certificates(roots(config.ca_file.as_deref())?)
        .with_no_client_auth();
    let tls = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let https = match config.http_version {
        HttpVersion::Auto => tls.enable_all_versions().wrap_connector(http),
        HttpVersion::Http1 => tls.enable_http1().wrap_connector(http),
        HttpVersion::Http2 => tls.enable_http2().wrap_connector(http),
    };
    Ok(Connector { https, limit: config.connect_timeout })
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.https.poll_ready(cx).map_err(failed)
    }

    fn call(&mut self, host: Uri) -> Self::Future {
        let connection = tokio::time::timeout(self.limit, self.https.call(host));
        Box::pin(async move {
            match connection.await {
                Ok(connection) => connection.map_err(failed),
                Err(elapsed) => Err(late(elapsed)),
            }
        })
    }
}

fn late(source: impl Into<BoxError>) -> Error {
    Error::new(ErrorKind::Timeout(Phase::Connect), "no connection to the provider within the time limit")
        .with_source(source)
}

fn failed(source: BoxError) -> Error {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&*source);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return late(source);
        }
        next = error.source();
    }
    Error::new(ErrorKind::Connect, "no connection to the provider could be made").with_source(source)
}
