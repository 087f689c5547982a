//! What a caller's headers say of caches.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use llm_core::{CacheDirective, Error};

const OWN: HeaderName = HeaderName::from_static("x-llm-cache");

/// Adds what the headers say. Directives of `cache-control` that are unknown here are meant for somebody else; those of our
/// own header are not.
///
/// # Errors
/// Names the header, and what stands in it that is no directive.
pub(crate) fn add(directive: &mut CacheDirective, headers: &HeaderMap) -> Result<(), Error> {
    for (name, value) in directives(headers, &header::CACHE_CONTROL)? {
        match (&*name.to_ascii_lowercase(), value) {
            ("no-cache", None) => directive.no_cache = true,
            ("no-store", None) => directive.no_store = true,
            ("only-if-cached", None) => directive.only_if_cached = true,
            ("max-age", Some(value)) => {
                shorten(&mut directive.max_age, seconds(value, &header::CACHE_CONTROL)?);
            }
            _ => {}
        }
    }
    for (name, value) in directives(headers, &OWN)? {
        match (&*name.to_ascii_lowercase(), value) {
            ("force", None) => directive.force = true,
            ("ttl", Some(value)) => shorten(&mut directive.ttl, seconds(value, &OWN)?),
            _ => return Err(Error::invalid_request(format!("{OWN}: expected `force` or `ttl=SECONDS`"))),
        }
    }
    Ok(())
}

/// The shortest time that anybody wants.
fn shorten(known: &mut Option<Duration>, wanted: Duration) {
    *known = Some(known.map_or(wanted, |known| known.min(wanted)));
}

/// The directives of all headers of this name, each a list with commas.
fn directives<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Vec<(&'h str, Option<&'h str>)>, Error> {
    let mut directives = Vec::new();
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| Error::invalid_request(format!("{name}: expected visible ASCII")))?;
        let stated = text.split(',').map(str::trim).filter(|directive| !directive.is_empty());
        directives.extend(stated.map(|directive| match directive.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start().trim_matches('"'))),
            None => (directive, None),
        }));
    }
    Ok(directives)
}

fn seconds(text: &str, name: &HeaderName) -> Result<Duration, Error> {
    // A number too large to hold is taken for the largest (RFC 9111, 1.2.2).
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let expected = || Error::invalid_request(format!("{name}: expected whole seconds"));
    if is_number { Ok(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX)))) } else { Err(expected()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(list: &[(HeaderName, &str)]) -> Result<CacheDirective, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name, value.parse().unwrap());
        }
        let mut directive = CacheDirective::default();
        add(&mut directive, &headers).map(|()| directive)
    }

    #[test]
    fn what_headers_say_is_what_a_cache_is_told() {
        let own = |text| added(&[(OWN, text)]);
        let control = |text| added(&[(header::CACHE_CONTROL, text)]);
        let plain = CacheDirective::default;
        assert_eq!(control("no-cache").unwrap(), CacheDirective { no_cache: true, ..plain() });
        let both = CacheDirective { no_store: true, only_if_cached: true, ..plain() };
        assert_eq!(control(" No-Store ,only-if-cached,, private=\"x\"").unwrap(), both);
        let young = |seconds| CacheDirective { max_age: Some(Duration::from_secs(seconds)), ..plain() };
        assert_eq!(control("max-age=9, max-age = 7").unwrap(), young(7));
        assert_eq!(control("max-age=99999999999999999999").unwrap(), young(u32::MAX.into()));
        assert_eq!(control("max-stale, x-force").unwrap(), plain(), "meant for others");
        let forced = CacheDirective { force: true, ttl: Some(Duration::from_secs(60)), ..plain() };
        assert_eq!(own("force, ttl=60").unwrap(), forced);
        assert_eq!(added(&[(OWN, "force"), (OWN, "ttl=60")]).unwrap(), forced);
    }

    #[test]
    fn what_is_no_directive_is_refused_by_name() {
        for (name, text) in [
            (header::CACHE_CONTROL, "max-age=-1"),
            (header::CACHE_CONTROL, "max-age="),
            (OWN, "hit"),
            (OWN, "ttl"),
            (OWN, "ttl=1h"),
        ] {
            let error = added(&[(name.clone(), text)]).unwrap_err();
            assert!(error.message().starts_with(&format!("{name}: ")), "{text}: {error}");
        }
    }
}
