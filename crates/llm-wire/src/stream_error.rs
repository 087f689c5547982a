//! Frames of a stream that are no part of an answer, in any dialect.

use llm_core::{Error, ErrorKind};

use crate::error::decode_in_band;

/// The error that an `error` event tells of.
pub(crate) fn error_event(data: &[u8]) -> Error {
    decode_in_band(data)
        .unwrap_or_else(|| Error::new(ErrorKind::Server, "the provider reports an error without saying which"))
}

/// The error in a frame that is no event of its dialect: the provider's own if it holds one.
pub(crate) fn frame_error(data: &[u8]) -> Error {
    decode_in_band(data).unwrap_or_else(undecodable)
}

pub(crate) fn undecodable() -> Error {
    Error::new(ErrorKind::Undecodable, "a frame of the stream cannot be read")
}
