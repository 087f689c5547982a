//! What a failed http exchange means.

use hyper_util::client::legacy;
use llm_core::{Error, ErrorKind};
use tower::BoxError;

/// The error of an exchange that brought no response head.
pub(crate) fn of_exchange(source: BoxError) -> Error {
    if Error::find(&*source).is_none() && is_connect(&*source) {
        return Error::new(ErrorKind::Connect, "no connection to the provider could be made").with_source(source);
    }
    known_or_interrupted(source, "the connection to the provider broke off before it answered")
}

/// The error of a body that could not be read to its end.
pub(crate) fn of_body(source: BoxError) -> Error {
    known_or_interrupted(source, "the connection to the provider broke off within the answer")
}

/// An error of the workspace or of tower keeps its meaning; all else that an http client fails with is a connection
/// that broke.
fn known_or_interrupted(source: BoxError, message: &'static str) -> Error {
    let is_known = Error::find(&*source).is_some() || source.is::<tower::buffer::error::Closed>();
    let error = Error::from(source);
    if !is_known && error.kind() == ErrorKind::Internal {
        return Error::new(ErrorKind::Interrupted, message).with_source(error);
    }
    error
}

/// Whether hyper-util's client is somewhere in the chain and says that it could not connect.
fn is_connect(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect) {
            return true;
        }
        next = error.source();
    }
    false
}
