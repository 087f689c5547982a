//! The unit of a body: the events of one wire frame, and the frame's own bytes.

use std::fmt;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::Event;

/// A provider's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions, Embeddings and Models, and everything compatible with them.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
}

/// Bytes as they came off a wire, and the dialect they are in.
///
/// `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Wire {
    /// The dialect.
    pub dialect: Dialect,
    /// The bytes: one stream frame with its line ends, or one whole message body.
    pub bytes: Bytes,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({:?}, {} bytes)", self.dialect, self.bytes.len())
    }
}

/// An [`Event`] and the choice it belongs to. What concerns the whole answer has choice 0.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceEvent {
    /// Which of the answers asked for with `n`, from 0.
    pub choice: u32,
    /// What is said.
    pub event: Event,
}

/// The events of one wire frame, and the bytes of that frame if it came from a wire.
///
/// A front door of the same dialect writes the bytes, any other encodes the events. Keep-alives are frames without
/// events. Changing the events drops the bytes, so the two can never disagree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    events: SmallVec<[ChoiceEvent; 1]>,
    wire: Option<Wire>,
    last: bool,
}

impl Frame {
    /// A frame of events without bytes.
    pub fn new(events: impl IntoIterator<Item = ChoiceEvent>) -> Self {
        Self { events: events.into_iter().collect(), wire: None, last: false }
    }

    /// A frame of one event of the first choice.
    pub fn event(event: Event) -> Self {
        Self::new([ChoiceEvent { choice: 0, event }])
    }

    /// A frame of one text of the first choice.
    pub fn text(text: impl Into<String>) -> Self {
        Self::event(Event::Text(text.into()))
    }

    /// Attaches the bytes that the events were decoded from.
    pub fn with_wire(mut self, dialect: Dialect, bytes: Bytes) -> Self {
        self.wire = Some(Wire { dialect, bytes });
        self
    }

    /// Marks the frame as the dialect's terminal one: the stream is complete with it.
    pub fn last(mut self) -> Self {
        self.last = true;
        self
    }

    /// What the frame says.
    pub fn events(&self) -> &[ChoiceEvent] {
        &self.events
    }

    /// What the frame says, to be changed. The frame's bytes are dropped.
    pub fn events_mut(&mut self) -> &mut SmallVec<[ChoiceEvent; 1]> {
        self.wire = None;
        &mut self.events
    }

    /// Takes the events out.
    pub fn into_events(self) -> impl Iterator<Item = ChoiceEvent> {
        self.events.into_iter()
    }

    /// The frame as it came off the wire, if it did and was not changed since.
    pub fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// True for the terminal frame of a stream.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// True when the frame is what somebody waits for: content, or the reason why there is no more. It is what a
    /// [commit](crate::Commit) waits for too.
    pub fn ends_wait(&self) -> bool {
        self.events.iter().any(|item| item.event.is_content() || matches!(item.event, Event::Finish(_)))
    }

    /// True when the frame holds content, see [`Event::is_content`].
    pub fn is_content(&self) -> bool {
        self.events.iter().any(|item| item.event.is_content())
    }
}
