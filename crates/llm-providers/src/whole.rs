//! Reading http bodies piece by piece, or whole within bounds.

use std::{future::poll_fn, pin::Pin};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use tower::BoxError;

/// An http body where it can be polled and moved.
pub(crate) type HttpBody<B> = Pin<Box<B>>;

/// The data of a body's frame; trailers hold none.
pub(crate) fn data<D: Buf>(frame: http_body::Frame<D>) -> Bytes {
    frame.into_data().map(|mut data| data.copy_to_bytes(data.remaining())).unwrap_or_default()
}

/// The next piece of a body, which may be empty.
pub(crate) async fn next_piece<B>(body: &mut HttpBody<B>) -> Option<Result<Bytes, BoxError>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    poll_fn(|cx| body.as_mut().poll_frame(cx).map(|frame| frame.map(|frame| frame.map(data).map_err(Into::into)))).await
}

/// Why a body was not read to its end.
pub(crate) enum NotWhole {
    /// It is longer than allowed. Holds its beginning.
    TooLong(Bytes),
    /// It broke off. Holds its beginning.
    Broken(Bytes, BoxError),
}

/// Reads a body of at most `limit` bytes to its end; `begun` is what was read of it already.
pub(crate) async fn read_whole<B>(begun: Bytes, body: &mut HttpBody<B>, limit: usize) -> Result<Bytes, NotWhole>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut whole = BytesMut::from(begun);
    while let Some(piece) = next_piece(body).await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => return Err(NotWhole::Broken(whole.freeze(), error)),
        };
        let room = limit.saturating_sub(whole.len());
        if piece.len() > room {
            whole.extend_from_slice(&piece[..room]);
            return Err(NotWhole::TooLong(whole.freeze()));
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(piece);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}
