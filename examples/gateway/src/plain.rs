//! Refuses heads that two readers could understand in two ways.
//!
//! A gateway often stands behind a proxy. Where the two disagree about whom a request is for, or where its body ends,
//! a caller can get past what the proxy checks, or put a request of its own before somebody else's (RFC 9112, 3.2, 6.1
//! and 11.2). hyper refuses most of that by itself; this is the rest.

use http::{HeaderMap, Request, Version, header, uri::Authority};

/// What is ambiguous about a request, in a sentence.
pub(crate) fn find_ambiguity<B>(request: &Request<B>) -> Option<&'static str> {
    find_in_hosts(request).or_else(|| find_in_codings(request.headers()))
}

/// One name, in `Host`, in the request's target, or the same one in both.
fn find_in_hosts<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, further) = (hosts.next(), hosts.next());
    if further.is_some() {
        return Some("there is more than one host header");
    }
    let target = request.uri().authority();
    let Some(host) = host else {
        return (request.version() == Version::HTTP_11).then_some("a request of HTTP/1.1 needs a host header");
    };
    let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    let Some(host) = host.filter(|host| !host.as_str().contains('@')) else {
        return Some("the host header is no name of a host");
    };
    target.is_some_and(|target| *target != host).then_some("the host header and the request's target differ")
}

/// A body of HTTP/1.1 comes in chunks or not, and in no other coding: hyper would hand it on as it is.
fn find_in_codings(headers: &HeaderMap) -> Option<&'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let (coding, further) = (codings.next()?, codings.next());
    let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    (!is_chunked || further.is_some()).then_some("the only transfer encoding is chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ambiguity(target: &str, headers: &[(&str, &str)]) -> Option<&'static str> {
        let request = headers.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
        find_ambiguity(&request.body(()).unwrap())
    }

    #[test]
    fn one_name_is_plain() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1:80", "[::1]:8080"] {
            assert_eq!(ambiguity("/", &[("host", host)]), None, "{host}");
        }
        assert_eq!(ambiguity("http://a:1/", &[("host", "A:1")]), None);
        let of_http2 = Request::get("https://a/").version(Version::HTTP_2).body(()).unwrap();
        assert_eq!(find_ambiguity(&of_http2), None);
        let of_http10 = Request::get("/").version(Version::HTTP_10).body(()).unwrap();
        assert_eq!(find_ambiguity(&of_http10), None);
    }

    #[test]
    fn two_names_or_none_are_not() {
        for headers in
            [&[][..], &[("host", "a"), ("host", "a")], &[("host", "a@b")], &[("host", "a, b")], &[("host", "")]]
        {
            assert!(ambiguity("/", headers).is_some(), "{headers:?}");
        }
        for host in ["b", "a:1", ""] {
            assert!(ambiguity("http://a/", &[("host", host)]).is_some(), "{host}");
        }
    }

    #[test]
    fn the_only_coding_is_chunked() {
        let coded = |codings: &[&'static str]| {
            let mut headers = vec![("host", "a")];
            headers.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
            ambiguity("/", &headers)
        };
        assert_eq!(coded(&["chunked"]), None);
        assert_eq!(coded(&["Chunked "]), None);
        for codings in [&["gzip, chunked"][..], &["identity, chunked"], &[", chunked"], &["chunked", "chunked"]] {
            assert!(coded(codings).is_some(), "{codings:?}");
        }
    }
}
