//! How a caller stays with its call: until when, how restlessly, and from which task.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use crate::{provider::Watches, truth::Truth, world::Leaves};

/// A call that its caller stays with for so many polls, or until then.
pub(crate) struct Staying<F> {
    call: Option<Pin<Box<F>>>,
    polls_left: Option<u8>,
    until: Option<Pin<Box<Sleep>>>,
    /// How often it is still polled for no reason, how long after each poll, and when next.
    restless: Option<(u8, Duration, Pin<Box<Sleep>>)>,
    newest: Arc<Newest>,
    truth: Truth,
    watches: Watches,
}

impl<F> Staying<F> {
    pub(crate) fn new(call: F, leaves: Leaves, restless: Option<(u8, u32)>, truth: Truth, watches: Watches) -> Self {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Self {
            call: Some(Box::pin(call)),
            polls_left: if let Leaves::Polls(polls) = leaves { Some(polls) } else { None },
            until: if let Leaves::Ms(after) = leaves { Some(Box::pin(sleep(ms(after)))) } else { None },
            restless: restless.map(|(times, every)| (times, ms(every), Box::pin(sleep(ms(every))))),
            newest: Arc::default(),
            truth,
            watches,
        }
    }

    fn leave<T>(&mut self) -> Poll<Option<T>> {
        self.call = None;
        (self.watches.0)();
        Poll::Ready(None)
    }
}

impl<F: Future> Future for Staying<F> {
    /// Nothing if the caller left.
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let is_over = this.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready());
        if is_over || this.polls_left == Some(0) || !this.truth.may_poll() {
            return this.leave();
        }
        if let Some((times, every, again)) = &mut this.restless
            && *times > 0
            && again.as_mut().poll(cx).is_ready()
        {
            *times -= 1;
            *again = Box::pin(sleep(*every));
            // So that it wakes us.
            _ = again.as_mut().poll(cx);
        }
        let Some(call) = &mut this.call else { return Poll::Ready(None) };
        let waker = this.newest.next(cx.waker());
        let polled = call.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            this.call = None;
        } else if let Some(left) = &mut this.polls_left {
            *left -= 1;
            if *left == 0 {
                return this.leave();
            }
        }
        (this.watches.0)();
        polled.map(Some)
    }
}

/// Which poll is the newest. Only its waker wakes: those of earlier polls are of tasks that the call has left.
#[derive(Default)]
struct Newest {
    poll: AtomicU64,
    task: Mutex<Option<Waker>>,
}

struct OfPoll {
    poll: u64,
    newest: Arc<Newest>,
}

impl Newest {
    fn next(self: &Arc<Self>, task: &Waker) -> Waker {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
        let poll = self.poll.fetch_add(1, Relaxed) + 1;
        Waker::from(Arc::new(OfPoll { poll, newest: Arc::clone(self) }))
    }
}

impl Wake for OfPoll {
    fn wake(self: Arc<Self>) {
        if self.newest.poll.load(Relaxed) == self.poll
            && let Some(task) = &*self.newest.task.lock().unwrap_or_else(PoisonError::into_inner)
        {
            task.wake_by_ref();
        }
    }
}
