//! Against a naive model of when things happen, the stream ends at exactly the instant and for exactly the reason.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use llm_core::{Body, Error, ErrorKind, Event, FinishReason, Frame, Head, LlmRequest, LlmResponse, Phase, Start};
use llm_timeout::{Limit, Limits, TimeoutLayer};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, ServiceExt, service_fn};

/// A provider's answer and the caller's reading of it. Times are in milliseconds since the call.
#[derive(Clone, Debug)]
struct Script {
    head: u64,
    frames: Vec<(u64, Kind)>,
    ending: Ending,
    /// How long the reader takes before it asks for each frame.
    pauses: Vec<u64>,
    limits: [Option<u64>; 4],
    deadline: Option<u64>,
    patience: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Start,
    Ping,
    Content,
    Finish,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    /// A terminal frame comes at that time.
    Last(u64),
    /// The connection breaks off.
    Cut(u64),
    Hang,
}

/// When the call was over, why if it failed, and how many frames the reader got.
type End = (u64, Option<ErrorKind>, usize);

const LATE: ErrorKind = ErrorKind::DeadlineExceeded;

/// The earliest of several times; of equals the first.
fn earliest(times: &[(Option<u64>, ErrorKind)]) -> Option<(u64, ErrorKind)> {
    let mut found: Option<(u64, ErrorKind)> = None;
    for (time, kind) in times {
        if let Some(time) = time
            && found.is_none_or(|(earliest, _)| *time < earliest)
        {
            found = Some((*time, *kind));
        }
    }
    found
}

fn model(script: &Script) -> End {
    let [head, first_content, idle, total] = script.limits;
    let (deadline, patience) = ((script.deadline, LATE), (script.patience, LATE));
    let head = (head, ErrorKind::Timeout(Phase::Head));
    let first_content = (first_content, ErrorKind::Timeout(Phase::FirstContent));
    let total = (total, ErrorKind::Timeout(Phase::Total));
    if let Some((time, kind)) = earliest(&[deadline, patience, head, first_content, total])
        && time < script.head
    {
        return (time, Some(kind), 0);
    }
    let mut events: Vec<(u64, Option<Kind>)> = script.frames.iter().map(|(at, kind)| (*at, Some(*kind))).collect();
    match script.ending {
        Ending::Last(at) | Ending::Cut(at) => events.push((at, None)),
        Ending::Hang => events.push((u64::MAX, None)),
    }
    let mut now = script.head;
    let mut waited_idle = None;
    let mut finished = false;
    let mut pauses = script.pauses.iter().chain(std::iter::repeat(&0));
    for (count, (at, kind)) in events.into_iter().enumerate() {
        now += pauses.next().expect("they do not end");
        if let Some((time, kind)) = earliest(&[deadline, total])
            && time < now
        {
            return (now, Some(kind), count);
        }
        let comes = at.max(now);
        if comes > now {
            let left = |limit: Option<u64>| limit.map(|limit| now + limit.saturating_sub(waited_idle.unwrap_or(0)));
            let runs_out = match waited_idle {
                None => earliest(&[deadline, first_content, total]),
                Some(_) => earliest(&[
                    deadline,
                    (left(script.patience), LATE),
                    (left(idle), ErrorKind::Timeout(Phase::Idle)),
                    total,
                ]),
            };
            match runs_out {
                Some((time, kind)) if time < comes => return (time.max(now), Some(kind), count),
                _ if comes == u64::MAX => return (u64::MAX, None, count),
                _ => {}
            }
            waited_idle = waited_idle.map(|waited| waited + comes - now);
            now = comes;
        }
        match kind {
            Some(Kind::Content) => waited_idle = Some(0),
            Some(Kind::Finish) => {
                waited_idle = Some(0);
                finished = true;
            }
            Some(Kind::Start | Kind::Ping) => {}
            None => {
                return match script.ending {
                    Ending::Last(_) => (now, None, count + 1),
                    Ending::Cut(_) if finished => (now, None, count),
                    Ending::Cut(_) | Ending::Hang => (now, Some(ErrorKind::Interrupted), count),
                };
            }
        }
    }
    unreachable!("the last event ends it")
}

/// What a call through the layer really comes to.
async fn really(script: &Script) -> End {
    let begun = Instant::now();
    let ms = Duration::from_millis;
    let until = move |at| async move {
        if begun + ms(at) > Instant::now() {
            sleep_until(begun + ms(at)).await;
        }
    };
    let limit = |index: usize| script.limits[index].map_or(Limit::OFF, |limit| Limit::new(ms(limit)));
    let limits = Limits::off().head(limit(0)).first_content(limit(1)).idle(limit(2)).total(limit(3));
    let model = service_fn(|_: LlmRequest| {
        let (head, mut frames, ending) = (script.head, script.frames.clone().into_iter(), script.ending);
        let mut is_over = false;
        let frames = stream::poll_fn(move |_| match frames.next() {
            Some((at, kind)) => std::task::Poll::Ready(Some((at, frame(kind)))),
            None if std::mem::replace(&mut is_over, true) => std::task::Poll::Ready(None),
            None => std::task::Poll::Ready(match ending {
                Ending::Last(at) => Some((at, Some(Frame::default().last()))),
                Ending::Cut(at) => Some((at, None)),
                Ending::Hang => Some((u64::from(u32::MAX), None)),
            }),
        });
        let frames = frames.then(move |(at, frame)| async move {
            until(at).await;
            frame.map(Ok)
        });
        let frames = frames.take_while(|frame| std::future::ready(frame.is_some())).map(Option::unwrap);
        async move {
            until(head).await;
            Ok::<_, Error>(LlmResponse::new(Head::default(), Body::stream(frames)))
        }
    });
    let mut request = LlmRequest::chat("m").user("Why?").stream().build();
    if let Some(deadline) = script.deadline {
        request.context_mut().set_deadline(begun + ms(deadline));
    }
    if let Some(patience) = script.patience {
        request.context_mut().set_read_timeout(ms(patience));
    }
    let took = || begun.elapsed().as_millis() as u64;
    let mut body = match TimeoutLayer::new().limits(limits).layer(model).oneshot(request).await {
        Ok(response) => response.body,
        Err(error) => return (took(), Some(error.kind()), 0),
    };
    let mut count = 0;
    for pause in script.pauses.iter().chain(std::iter::repeat(&0)) {
        if *pause > 0 {
            sleep(ms(*pause)).await;
        }
        match body.next().await {
            Some(Ok(frame)) if frame.is_last() => return (took(), None, count + 1),
            Some(Ok(_)) => count += 1,
            Some(Err(_)) if took() >= u64::from(u32::MAX) => return (u64::MAX, None, count),
            Some(Err(error)) => return (took(), Some(error.kind()), count),
            None if took() >= u64::from(u32::MAX) => return (u64::MAX, None, count),
            None => return (took(), None, count),
        }
    }
    unreachable!("the pauses do not end")
}

fn frame(kind: Kind) -> Option<Frame> {
    Some(match kind {
        Kind::Start => Frame::event(Event::Start(Start::default())),
        Kind::Ping => Frame::default(),
        Kind::Content => Frame::text("on and "),
        Kind::Finish => Frame::event(Event::Finish(FinishReason::Stop)),
    })
}

fn scripts() -> impl Strategy<Value = Script> {
    // Few different times, so that many things happen at the same instant.
    let gap = || prop_oneof![3 => Just(0), 3 => 1..6_u64, 2 => 6..40_u64];
    let limit = |longest| proptest::option::weighted(0.7, 1..longest);
    let kind = prop_oneof![
        1 => Just(Kind::Start),
        4 => Just(Kind::Ping),
        4 => Just(Kind::Content),
        1 => Just(Kind::Finish),
    ];
    let limits = (limit(30_u64), limit(40), limit(20), proptest::option::weighted(0.3, 1..120_u64));
    let caller = (proptest::option::weighted(0.3, 1..120_u64), proptest::option::weighted(0.3, 1..30_u64));
    let ending = (0..3, gap());
    let pauses = proptest::collection::vec(prop_oneof![5 => Just(0), 2 => 1..30_u64], 0..16);
    (gap(), proptest::collection::vec((gap(), kind), 0..12), ending, pauses, limits, caller).prop_map(
        |(head, frames, (ending, last_gap), pauses, (a, b, c, d), (deadline, patience))| {
            let mut at = head;
            let frames: Vec<_> = frames
                .into_iter()
                .map(|(gap, kind)| {
                    at += gap;
                    (at, kind)
                })
                .collect();
            let ending = match ending {
                0 => Ending::Last(at + last_gap),
                1 => Ending::Cut(at + last_gap),
                _ => Ending::Hang,
            };
            Script { head, frames, ending, pauses, limits: [a, b, c, d], deadline, patience }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_ends_when_and_as_the_model_says(script in scripts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        prop_assert_eq!(runtime.block_on(really(&script)), model(&script));
    }
}
