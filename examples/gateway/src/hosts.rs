//! The names under which a listener may be addressed, so that a web page cannot reach it under a name of its own.
//!
//! A browser sends the requests of any page anywhere: to a loopback address, or to a name that was pointed at one. What
//! the page cannot choose are `Host`, the name it used, and `Origin`, where it came from.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderValue, Request, Uri, header, uri::Authority};

/// The names of one listener. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub(crate) struct Hosts(Arc<[String]>);

impl Hosts {
    /// The loopback names, the address itself, and the configured names.
    pub(crate) fn new(listen: SocketAddr, configured: &[String]) -> Self {
        let own = match listen {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned(), own];
        Self(names.into_iter().chain(configured.iter().cloned()).collect())
    }

    /// Whether the request is addressed to one of the names, at whatever port.
    pub(crate) fn is_addressed<B>(&self, request: &Request<B>) -> bool {
        addressed(request).is_some_and(|authority| self.has(&authority))
    }

    /// Whether the request comes from no web page, or from one under the names or under the name that it addresses.
    pub(crate) fn is_own_page<B>(&self, request: &Request<B>) -> bool {
        let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
        let origin = text(origin).and_then(|origin| origin.parse::<Uri>().ok());
        origin.as_ref().and_then(Uri::authority).is_some_and(|origin| {
            let is_addressed = |to: Authority| to.host().eq_ignore_ascii_case(origin.host());
            self.has(origin) || addressed(request).is_some_and(is_addressed)
        })
    }

    fn has(&self, authority: &Authority) -> bool {
        self.0.iter().any(|name| name.eq_ignore_ascii_case(authority.host()))
    }
}

/// The place of the first configured name that is none: blank, or with a port or a path.
pub(crate) fn find_malformed(configured: &[String]) -> Option<usize> {
    let is_name = |name: &String| name.parse::<Authority>().is_ok_and(|authority| authority.host() == name);
    configured.iter().position(|name| !is_name(name))
}

fn addressed<B>(request: &Request<B>) -> Option<Authority> {
    let host = request.headers().get(header::HOST).and_then(text);
    host.and_then(|host| host.parse().ok()).or_else(|| request.uri().authority().cloned())
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, origin: Option<&str>) -> Request<()> {
        let request = Request::get("/").header("host", host);
        let request = if let Some(origin) = origin { request.header("origin", origin) } else { request };
        request.body(()).unwrap()
    }

    fn hosts() -> Hosts {
        Hosts::new(([10, 0, 0, 7], 80).into(), &["gateway.internal".to_owned()])
    }

    #[test]
    fn only_own_names_are_addressed() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:1", "[::1]:8080", "10.0.0.7", "gateway.internal:443"] {
            assert!(hosts().is_addressed(&request(host, None)), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.8", "", "a b"] {
            assert!(!hosts().is_addressed(&request(host, None)), "{host}");
        }
        let of_http2 = Request::get("https://localhost:1/v1").body(()).unwrap();
        assert!(hosts().is_addressed(&of_http2), "the authority of HTTP/2");
    }

    #[test]
    fn only_own_pages_come_in() {
        for origin in [None, Some("http://localhost:3000"), Some("https://gateway.internal"), Some("http://shop:1")] {
            assert!(hosts().is_own_page(&request("shop:8080", origin)), "{origin:?}");
        }
        for origin in ["http://evil.example", "null", "file://", "https://localhost.evil.example", "a b"] {
            assert!(!hosts().is_own_page(&request("localhost", Some(origin))), "{origin:?}");
        }
    }

    #[test]
    fn a_configured_name_is_a_name_and_nothing_more() {
        let find = |name: &str| find_malformed(&["gateway.internal".to_owned(), name.to_owned()]);
        assert_eq!(find("[fd00::1]"), None);
        for name in ["", " ", "host:80", "http://host", "host/path"] {
            assert_eq!(find(name), Some(1), "{name:?}");
        }
    }
}
