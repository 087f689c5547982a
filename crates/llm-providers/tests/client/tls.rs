//! TLS with certificates of our own: which HTTP is agreed on, whom the client trusts, and what a stranger gets to see.

use std::io::Write;

use futures_util::StreamExt;
use http::Version;
use llm_core::{Body, Error, ErrorKind, LlmRequest};
use llm_providers::{Client, HttpVersion, KeyConfig, Provider, ProviderConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tower::ServiceExt;

use crate::server::{DONE, FIRST, Server, Then};

const BOTH: &[&str] = &["h2", "http/1.1"];

/// An authority that issues certificates, and the file to trust it by.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    /// A server with a certificate for `name` that offers these protocols in the handshake.
    async fn server(&self, name: &str, offers: &[&str], then: fn() -> Then) -> Server {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = offers.iter().map(|offer| offer.as_bytes().to_vec()).collect();
        Server::tls(config, then).await
    }

    /// How to reach `server` with a key, trusting this authority.
    fn trusted(&self, server: &Server) -> ProviderConfig {
        let mut config = untrusting(server);
        config.client.ca_file = Some(self.file.path().to_owned());
        config
    }
}

/// How to reach `server` with a key, trusting Mozilla's authorities alone.
fn untrusting(server: &Server) -> ProviderConfig {
    let mut config = ProviderConfig::new("p");
    config.base_url = Some(server.base_url.clone());
    config.keys = vec![KeyConfig::new("team", "sk-secret")];
    config
}

async fn ask(config: ProviderConfig) -> Result<Body, Error> {
    let provider = Provider::<Client>::try_from(config).unwrap();
    Ok(provider.oneshot(LlmRequest::chat("m").user("hi").stream().build()).await?.body)
}

/// The version that a call was made in, which must have brought its key and its answer.
async fn version_of_a_call(server: &Server, config: ProviderConfig) -> Version {
    let answer = ask(config).await.unwrap().collect().await.unwrap();
    assert_eq!(answer.first_text(), "Hello");
    let [(version, headers)] = &server.requests()[..] else { panic!("it is one call") };
    assert_eq!(headers["authorization"], "Bearer sk-secret");
    *version
}

/// The call fails to connect, and the server, at which a handshake has failed, has not seen a request.
async fn is_refused(server: &Server, config: ProviderConfig) {
    let error = ask(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.target().unwrap().to_string(), "p/m");
    server.handshake_failed().await;
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_offers_it() {
    let authority = Authority::new();
    let server = authority.server("localhost", BOTH, || Then::End(&[FIRST, DONE])).await;
    assert_eq!(version_of_a_call(&server, authority.trusted(&server)).await, Version::HTTP_2);
}

#[tokio::test]
async fn http1_is_spoken_where_the_server_offers_nothing_else_or_nothing() {
    let authority = Authority::new();
    for offers in [&["http/1.1"][..], &[]] {
        let server = authority.server("localhost", offers, || Then::End(&[FIRST, DONE])).await;
        assert_eq!(version_of_a_call(&server, authority.trusted(&server)).await, Version::HTTP_11);
    }
}

#[tokio::test]
async fn a_stated_version_is_spoken_although_the_server_offers_both() {
    let authority = Authority::new();
    for (stated, spoken) in [(HttpVersion::Http1, Version::HTTP_11), (HttpVersion::Http2, Version::HTTP_2)] {
        let server = authority.server("localhost", BOTH, || Then::End(&[FIRST, DONE])).await;
        let mut config = authority.trusted(&server);
        config.client.http_version = stated;
        assert_eq!(version_of_a_call(&server, config).await, spoken);
    }
}

#[tokio::test]
async fn a_stated_http2_is_not_replaced_by_http1() {
    let authority = Authority::new();
    let server = authority.server("localhost", &["http/1.1"], || Then::End(&[FIRST, DONE])).await;
    let mut config = authority.trusted(&server);
    config.client.http_version = HttpVersion::Http2;
    is_refused(&server, config).await;
}

#[tokio::test]
async fn a_server_that_nobody_known_vouches_for_is_refused_and_sees_no_key() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server("localhost", BOTH, || Then::End(&[FIRST, DONE])).await;
    is_refused(&server, untrusting(&server)).await;
    is_refused(&server, other.trusted(&server)).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_sees_no_key() {
    let authority = Authority::new();
    let server = authority.server("elsewhere.example", BOTH, || Then::End(&[FIRST, DONE])).await;
    is_refused(&server, authority.trusted(&server)).await;
}

#[tokio::test]
async fn a_stream_over_tls_is_handed_on_while_it_is_open_and_cancelled_when_dropped() {
    let authority = Authority::new();
    for offers in [&["h2"], &["http/1.1"]] {
        let server = authority.server("localhost", offers, || Then::Hang(&[FIRST])).await;
        let mut body = ask(authority.trusted(&server)).await.unwrap();
        assert!(body.next().await.unwrap().unwrap().is_content());
        assert!(futures_util::poll!(body.next()).is_pending());
        drop(body);
        server.response_dropped().await;
    }
}

#[test]
fn a_file_to_trust_that_cannot_be_used_is_refused_at_construction() {
    let mut config = ProviderConfig::new("ollama");
    config.client.ca_file = Some("no/such/ca.pem".into());
    let error = Provider::<Client>::try_from(config.clone()).unwrap_err();
    assert_eq!(error, Client::try_from(config.client).unwrap_err());
    assert_eq!(error.path(), "client.ca_file");
    assert!(error.message().starts_with("no certificate can be read from no/such/ca.pem: "), "{error}");
}
