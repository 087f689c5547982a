//! A model API of canned answers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{Failure, dialect::OPENAI};

/// The model whose streams come as fast as they can, one event a write.
pub const ALL_AT_ONCE: &str = "all-at-once";

/// The model whose streams bring an event a millisecond, as fast as the fastest models.
pub const PACED: &str = "paced";

/// The model whose streams bring their first two events (the second is the first with content), and then one for each
/// call of [`MORE`].
pub const ON_REQUEST: &str = "on-request";

/// Where one more event of a stream of [`ON_REQUEST`] is asked for.
pub const MORE: &str = "/more";

/// The size of whole answers, in bytes.
pub const ANSWER: usize = 1_000;

type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// The canned answers.
struct Canned {
    answer: Bytes,
    events: Vec<Bytes>,
    /// How many events may be sent that were asked for.
    asked: Semaphore,
}

pub(super) async fn serve(listener: TcpListener) -> Result<(), Failure> {
    let canned = Arc::new(Canned {
        answer: (OPENAI.answer)(ANSWER).into(),
        events: (OPENAI.stream)().into_iter().map(Bytes::from).collect(),
        asked: Semaphore::new(0),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let canned = Arc::clone(&canned);
        let service = service_fn(move |request| answer(Arc::clone(&canned), request));
        tokio::spawn(async move {
            // Whoever closes a connection in the middle of an answer meant to.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(canned: Arc<Canned>, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let is_more = request.uri().path() == MORE;
    let body = request.into_body().collect().await?.to_bytes();
    if is_more {
        canned.asked.add_permits(1);
        return Ok(Response::new(Either::Left(Full::default())));
    }
    let body = String::from_utf8_lossy(&body);
    if !body.contains(r#""stream":true"#) {
        return Ok(typed("application/json", Either::Left(Full::new(canned.answer.clone()))));
    }
    let pace = if body.contains(ON_REQUEST) {
        Pace::OnRequest
    } else if body.contains(PACED) {
        Pace::Millisecond
    } else {
        Pace::AllAtOnce
    };
    let events = stream::unfold(0, move |place| {
        let canned = Arc::clone(&canned);
        async move {
            let event = canned.events.get(place)?.clone();
            pace.wait_for(place, &canned).await;
            Some((Ok(Frame::data(event)), place + 1))
        }
    });
    Ok(typed("text/event-stream", Either::Right(StreamBody::new(events.fuse()).boxed_unsync())))
}

/// When the events of a stream are sent.
#[derive(Clone, Copy)]
enum Pace {
    AllAtOnce,
    Millisecond,
    OnRequest,
}

impl Pace {
    async fn wait_for(self, place: usize, canned: &Canned) {
        match self {
            // The server writes what it has when its body has nothing more to say.
            Self::AllAtOnce => tokio::task::yield_now().await,
            Self::Millisecond => tokio::time::sleep(Duration::from_millis(1)).await,
            Self::OnRequest if place < 2 => {}
            Self::OnRequest => canned.asked.acquire().await.expect("the semaphore is never closed").forget(),
        }
    }
}

fn typed(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
