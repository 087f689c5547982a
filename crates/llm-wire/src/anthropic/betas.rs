//! Features that a caller turns on beside the request.

use http::{HeaderMap, HeaderValue};
use llm_core::Error;

/// The header that names them.
const HEADER: &str = "anthropic-beta";
/// The most features of one request. There are a few dozen in all.
const MAX_BETAS: usize = 32;
/// The longest name of a feature; those in use have about 40 bytes.
const MAX_NAME: usize = 64;

/// Features that a caller turns on with `anthropic-beta: a,b`, such as `context-1m-2025-08-07`.
///
/// They change what the fields of a request mean, so they belong to it: a front door puts them into the request's
/// extensions, and a provider of this dialect sends them on. They are the one thing that goes from a caller's headers
/// to a provider, and so are held to names: letters, digits, `-`, `_` and `.`.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use llm_wire::anthropic::Betas;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("anthropic-beta", HeaderValue::from_static("context-1m-2025-08-07, files-api-2025-04-14"));
/// let betas = Betas::from_headers(&headers)?.unwrap();
/// assert_eq!(betas.to_header_value(), "context-1m-2025-08-07,files-api-2025-04-14");
/// # Ok::<(), llm_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Betas(Vec<Box<str>>);

impl Betas {
    /// The features that the headers of a request name; `None` if they name none.
    ///
    /// # Errors
    /// [`InvalidRequest`](llm_core::ErrorKind::InvalidRequest) when a name is none, or there are more than 32.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let mut betas = Self::default();
        for value in headers.get_all(HEADER) {
            let value = value.to_str().map_err(|_| malformed())?;
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                betas.add(name)?;
            }
        }
        Ok(Some(betas).filter(|betas| !betas.0.is_empty()))
    }

    fn add(&mut self, name: &str) -> Result<(), Error> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.len() > MAX_NAME || !name.bytes().all(is_name) {
            return Err(malformed());
        }
        if self.0.iter().any(|known| **known == *name) {
            return Ok(());
        }
        if self.0.len() == MAX_BETAS {
            return Err(Error::invalid_request(format!("{HEADER}: must name at most {MAX_BETAS} features")));
        }
        self.0.push(name.into());
        Ok(())
    }

    /// The names of the features.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// The names, as the header lists them.
    pub fn to_header_value(&self) -> HeaderValue {
        HeaderValue::try_from(self.0.join(",")).expect("names of letters, digits and dashes make a header value")
    }
}

fn malformed() -> Error {
    Error::invalid_request(format!("{HEADER}: expected names of letters, digits, '-', '_' and '.'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<Betas>, Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Betas::from_headers(&headers)
    }

    #[test]
    fn features_are_collected_from_all_headers_once_each() {
        let betas = read(&["a-1, b_2", "b_2,,c.3 "]).unwrap().unwrap();
        assert_eq!(betas.to_header_value(), "a-1,b_2,c.3");
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[" , "]).unwrap(), None);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for value in ["a b", "a;b", "a\tb", "\"a\"", "ä", &"a".repeat(65)] {
            assert!(read(&[value]).is_err(), "{value}");
        }
        let many: Vec<_> = (0..33).map(|number| format!("beta-{number}")).collect();
        assert!(read(&[&many.join(",")]).is_err());
    }
}
