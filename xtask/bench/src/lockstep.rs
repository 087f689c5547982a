//! A stream whose events are each sent when the one before has arrived: what is joined or held back shows at once, and
//! the same things happen in every run.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::{
    Failure,
    dialect::OPENAI,
    load::{Connection, Question},
    peer,
};

/// An event that takes longer is being held back: it takes microseconds, under valgrind milliseconds.
const HELD: Duration = Duration::from_secs(10);

/// Asks for a stream over `connection`, and over `origin` for each event after the first content. Returns in how many
/// pieces these came; anything but one event a piece, in order, is an error.
pub async fn ask(connection: &mut Connection, origin: &mut Connection) -> Result<usize, Failure> {
    let events: Vec<Bytes> = (OPENAI.stream)().into_iter().map(Bytes::from).collect();
    let mut body = connection.begin(&Question::stream(peer::ON_REQUEST)).await?;
    // What comes before the first content may wait for it.
    let (before, after) = events.split_at(2);
    let mut beginning = Vec::new();
    while beginning.len() < before.concat().len() {
        beginning.extend_from_slice(&piece(&mut body).await?.ok_or("the stream ended at its beginning")?);
    }
    if beginning != before.concat() {
        return Err("the first events came otherwise than they were sent".into());
    }
    for (place, event) in after.iter().enumerate() {
        origin.more().await?;
        let piece = piece(&mut body).await?.ok_or("the stream ended early")?;
        if piece != event {
            return Err(format!("event {} did not come by itself and as it was sent", place + 3).into());
        }
    }
    match piece(&mut body).await? {
        None => Ok(after.len()),
        Some(_) => Err("the stream went on after its end".into()),
    }
}

/// The next piece of a body.
async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    match timeout(HELD, body.frame()).await {
        Err(_) => Err("an event was held back".into()),
        Ok(None) => Ok(None),
        Ok(Some(frame)) => Ok(Some(frame?.into_data().map_err(|_| "a stream had trailers")?)),
    }
}
