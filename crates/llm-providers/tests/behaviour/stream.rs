//! What becomes of streams.

use crate::{
    speech::{self, Speech},
    support::{Http, Step, data, streamed, whole},
};
use futures_util::StreamExt;
use llm_core::{AttemptEnd, Body, Error, ErrorKind, Frame, Stage, Usage};

async fn open(speech: &Speech, http: &Http) -> Body {
    http.ask_in(speech, streamed()).await.unwrap().body
}

async fn read(body: &mut Body) -> (Vec<Frame>, Option<Error>) {
    let mut frames = Vec::new();
    while let Some(frame) = body.next().await {
        match frame {
            Ok(frame) => frames.push(frame),
            Err(error) => return (frames, Some(error)),
        }
    }
    (frames, None)
}

fn bytes<'a>(speech: &Speech, frames: &'a [Frame]) -> Vec<&'a str> {
    frames
        .iter()
        .map(|frame| {
            let wire = frame.wire().expect("every frame keeps its bytes");
            assert_eq!(wire.dialect, speech.dialect);
            std::str::from_utf8(&wire.bytes).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn frames_come_out_byte_for_byte_wherever_the_body_is_split() {
    for speech in &speech::ALL {
        let all = speech.frames().concat();
        for at in 0..=all.len() {
            let (first, second) = all.as_bytes().split_at(at);
            let http = Http::events([data(first), data(second)]);
            let (frames, error) = read(&mut open(speech, &http).await).await;
            assert!(error.is_none(), "split at {at}: {error:?}");
            assert_eq!(bytes(speech, &frames), speech.frames(), "split at {at}");
        }
        let single = Http::events(all.bytes().map(|byte| data([byte])));
        let (frames, error) = read(&mut open(speech, &single).await).await;
        assert!(error.is_none());
        assert_eq!(bytes(speech, &frames), speech.frames());
    }
}

#[tokio::test]
async fn no_byte_is_lost_or_moved_where_lines_end_in_any_other_way() {
    for (speech, line_end) in speech::ALL.iter().flat_map(|speech| [(speech, "\r\n"), (speech, "\r")]) {
        let all = speech.frames().concat().replace('\n', line_end);
        for at in 0..=all.len() {
            let (first, second) = all.as_bytes().split_at(at);
            let http = Http::events([data(first), data(second)]);
            let (frames, error) = read(&mut open(speech, &http).await).await;
            assert!(error.is_none(), "split at {at}: {error:?}");
            assert_eq!(frames.len(), speech.frames().len());
            // The line feed of a last line end may come after its frame, at the end of a stream not at all.
            assert_eq!(bytes(speech, &frames).concat().trim_end(), all.trim_end(), "split at {at}");
        }
    }
}

#[tokio::test]
async fn a_streamed_answer_can_be_collected_and_its_usage_is_in_the_trail() {
    for speech in &speech::ALL {
        let request = streamed();
        let trail = request.context().trail();
        let response = Http::events(speech.frames().into_iter().map(data)).ask_in(speech, request).await.unwrap();
        assert_eq!(response.body.collect().await.unwrap().first_text(), "Gr\u{fc}ezi");
        let attempt = &trail.attempts()[0];
        assert_eq!(attempt.end, Some(AttemptEnd::Complete));
        assert_eq!(attempt.usage, Some(Usage::reported(9, 3)));
    }
}

#[tokio::test]
async fn frames_of_one_piece_come_out_one_by_one_without_waiting_for_more() {
    for speech in &speech::ALL {
        let sent = [speech.first, &[speech.quiet, speech.second]].concat();
        let http = Http::events([data(sent.concat()), Step::Hang]);
        let mut body = open(speech, &http).await;
        for expected in sent {
            let frame = futures_util::FutureExt::now_or_never(body.next()).expect("it is there").unwrap().unwrap();
            assert_eq!(bytes(speech, &[frame]), [expected]);
        }
        assert!(futures_util::poll!(body.next()).is_pending());
    }
}

#[tokio::test]
async fn a_stream_under_another_label_or_none_is_a_stream() {
    for speech in &speech::ALL {
        for content_type in ["", "text/plain", "application/json", "application/json; charset=utf-8"] {
            let http = Http::new(200, content_type, [data("\n"), data(speech.frames().concat())]);
            let (frames, error) = read(&mut open(speech, &http).await).await;
            assert!(error.is_none(), "{content_type}: {error:?}");
            assert_eq!(frames.iter().filter(|frame| frame.is_content()).count(), 2, "{content_type}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_was_not_asked_for_can_be_collected() {
    for speech in &speech::ALL {
        let response = Http::events(speech.frames().into_iter().map(data)).ask_in(speech, whole()).await.unwrap();
        assert_eq!(response.body.collect().await.unwrap().first_text(), "Gr\u{fc}ezi");
    }
}

#[tokio::test]
async fn a_cut_stream_is_a_failure() {
    for speech in &speech::ALL {
        let http = Http::events([data(speech.content().concat()), data("data: {\"choi")]);
        let (frames, error) = read(&mut open(speech, &http).await).await;
        assert_eq!(bytes(speech, &frames), speech.content());
        let error = error.unwrap();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Interrupted, Stage::AfterContent));
    }
}

#[tokio::test]
async fn a_stream_that_ends_after_its_finish_reason_is_complete() {
    for speech in &speech::ALL {
        let sent = [speech.content().concat(), speech.finish.concat()].concat();
        let (frames, error) = read(&mut open(speech, &Http::events([data(&sent)])).await).await;
        assert_eq!(bytes(speech, &frames).concat(), sent);
        assert!(error.is_none());
    }
}

#[tokio::test]
async fn a_connection_that_breaks_within_a_stream_is_an_interruption_with_its_cause() {
    for speech in &speech::ALL {
        let request = streamed();
        let trail = request.context().trail();
        let http = Http::events([data(speech.first.concat()), Step::Break]);
        let mut body = http.ask_in(speech, request).await.unwrap().body;
        let (frames, error) = read(&mut body).await;
        assert_eq!(bytes(speech, &frames), speech.first);
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        assert_eq!(error.target().unwrap().to_string(), "p/small");
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(http.bodies_dropped(), 1, "the http body goes at once, the stream is still held");
        assert_eq!(trail.attempts()[0].end, Some(AttemptEnd::Failed(ErrorKind::Interrupted)));
    }
}

#[tokio::test]
async fn an_error_within_a_stream_ends_it_and_is_classified() {
    for speech in &speech::ALL {
        let sent = [&speech.first.concat(), speech.overloaded, speech.second, &speech.rest.concat()].concat();
        // Advice of the head is about the request limits, not about this failure.
        let http = Http::events([data(sent)]).header("retry-after", "30");
        let mut body = open(speech, &http).await;
        let (frames, error) = read(&mut body).await;
        assert_eq!(bytes(speech, &frames), speech.first);
        let error = error.unwrap();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::Overloaded, Stage::AfterContent));
        assert_eq!(error.target().unwrap().to_string(), "p/small");
        assert_eq!(error.retry_after(), None);
        assert!(body.next().await.is_none());
    }
}

#[tokio::test]
async fn a_bare_error_object_at_the_tail_is_found() {
    let bare = "{\n  \"error\": {\n    \"code\": 429,\n    \"message\": \"busy\",\n    \"status\": \"RESOURCE_EXHAUSTED\"\n  }\n}";
    for speech in &speech::ALL {
        for tail in [bare.to_owned(), format!("{bare}\n"), format!("{bare}\n\n")] {
            let http = Http::events([data(speech.first.concat()), data(tail)]);
            let (frames, error) = read(&mut open(speech, &http).await).await;
            assert_eq!(bytes(speech, &frames), speech.first);
            assert_eq!(error.unwrap().kind(), ErrorKind::RateLimited);
        }
    }
}

#[tokio::test]
async fn dropping_the_stream_drops_the_http_body() {
    for speech in &speech::ALL {
        let request = streamed();
        let trail = request.context().trail();
        let http = Http::events([data(speech.first.concat()), Step::Hang]);
        let mut body = http.ask_in(speech, request).await.unwrap().body;
        for _ in speech.first {
            body.next().await.unwrap().unwrap();
        }
        assert_eq!(http.bodies_dropped(), 0);
        drop(body);
        assert_eq!(http.bodies_dropped(), 1);
        let attempt = &trail.attempts()[0];
        assert_eq!(attempt.end, Some(AttemptEnd::Abandoned));
        let usage = attempt.usage.unwrap();
        assert!(usage.input > 0 && usage.output > 0, "what was sent and what had come is counted");
    }
}

#[tokio::test]
async fn after_the_last_frame_the_http_body_is_read_to_its_end_and_let_go() {
    for speech in &speech::ALL {
        let frames = speech.frames();
        let http = Http::events(frames.iter().map(data));
        let mut body = open(speech, &http).await;
        for _ in &frames[1..] {
            assert!(!body.next().await.unwrap().unwrap().is_last());
        }
        assert!(body.next().await.unwrap().unwrap().is_last());
        let seen = http.seen.lock().unwrap();
        assert_eq!((seen.bodies_dropped, seen.bodies_read_to_end), (1, 1), "without another poll of the stream");
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_body_that_does_not_end_after_the_last_frame_is_given_a_second() {
    for speech in &speech::ALL {
        let http = Http::events([data(speech.frames().concat()), Step::Hang]);
        let (frames, error) = read(&mut open(speech, &http).await).await;
        assert!(frames.len() == speech.frames().len() && error.is_none(), "the caller does not wait for it");
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        assert_eq!(http.bodies_dropped(), 0);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert_eq!(http.bodies_dropped(), 1);
    }
}
