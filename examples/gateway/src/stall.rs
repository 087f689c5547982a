//! Drops HTTP/2 streams whose client takes nothing of its answer.
//!
//! On HTTP/1 a client that does not read stops the writes to its socket, and [`crate::slow`] sees that. On HTTP/2 the
//! socket stays in motion: a client that grants one stream no window can read all others and answer pings. What stands
//! still then is the task of that stream, which holds a frame of the answer and asks for no further one. So each task
//! is watched from around, and dropping it resets its stream alone.

use std::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use hyper::rt::Executor;
use tokio::time::{Sleep, sleep};
use tracing::{debug, error};

tokio::task_local! {
    /// What the answer of this task's stream has handed out.
    static OFFERED: Offered;
}

/// The number of the frame that waits for the client; zero while none does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offered(Arc<AtomicU64>);

impl Offered {
    /// That of the stream whose task this is, if the connection speaks HTTP/2.
    pub(crate) fn of_this_stream() -> Option<Self> {
        OFFERED.try_with(Self::clone).ok()
    }

    /// The answer was asked for a frame: it gave this one, or none.
    pub(crate) fn note(&self, frame: Option<u64>) {
        self.0.store(frame.unwrap_or(0), Relaxed);
    }
}

/// Runs the streams of HTTP/2 connections, each for as long as its client takes a frame within `limit`.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    pub(crate) limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let offered = Offered::default();
        let watched = watch(stream, offered.clone(), self.limit);
        tokio::spawn(OFFERED.scope(offered, watched));
    }
}

async fn watch(stream: impl Future, offered: Offered, limit: Duration) {
    let mut stream = pin!(AssertUnwindSafe(stream).catch_unwind());
    let mut timer = None;
    poll_fn(|cx| match stream.as_mut().poll(cx) {
        Poll::Ready(ended) => {
            if ended.is_err() {
                error!("a stream panicked");
            }
            Poll::Ready(())
        }
        Poll::Pending => poll_stalled(&offered, &mut timer, limit, cx),
    })
    .await;
}

/// Ready once the same frame has been waiting for `limit`.
fn poll_stalled(
    offered: &Offered,
    timer: &mut Option<(u64, Pin<Box<Sleep>>)>,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let frame = offered.0.load(Relaxed);
    if timer.as_ref().is_none_or(|(timed, _)| *timed != frame) {
        *timer = (frame != 0).then(|| (frame, Box::pin(sleep(limit))));
    }
    let Some((_, timer)) = timer else { return Poll::Pending };
    timer.as_mut().poll(cx).map(|()| debug!("a stream is cut: its client takes nothing"))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::{sync::oneshot, time::Instant};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// How long a stream lives whose answer does this and then waits for ever.
    async fn lifetime(answer: impl Future<Output = ()> + Send + 'static) -> Option<Duration> {
        let (alive, dropped) = oneshot::channel::<()>();
        let begun = Instant::now();
        Streams { limit: LIMIT }.execute(async move {
            let _alive = alive;
            answer.await;
            pending::<()>().await;
        });
        let _ = tokio::time::timeout(LIMIT * 100, dropped).await.ok()?;
        Some(begun.elapsed())
    }

    fn note(frame: Option<u64>) {
        Offered::of_this_stream().unwrap().note(frame);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_nobody_takes_ends_its_stream() {
        assert_eq!(lifetime(async { note(Some(1)) }).await, Some(LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn each_frame_that_is_taken_begins_the_time_anew() {
        let slow_reader = async {
            for frame in 1..=4 {
                note(Some(frame));
                sleep(LIMIT / 2).await;
            }
        };
        assert_eq!(lifetime(slow_reader).await, Some(LIMIT / 2 * 3 + LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_answer_is_left_alone() {
        assert_eq!(lifetime(async {}).await, None, "no head yet");
        let silent = async {
            note(Some(1));
            sleep(LIMIT / 2).await;
            note(None);
        };
        assert_eq!(lifetime(silent).await, None, "no further frame yet");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_panics_ends_by_itself() {
        assert_eq!(lifetime(async { panic!("of the test") }).await, Some(Duration::ZERO));
    }
}
