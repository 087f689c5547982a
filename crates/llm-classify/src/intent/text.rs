//! The text that is read of a request: the beginning and the end of the newest turn, and a little of what came before.

use llm_core::{Chat, LlmRequest, Message, Part, Payload, Role};

use super::class::Class;

/// Bytes read from the beginning of the newest turn: what is wanted mostly stands first.
const HEAD: usize = 768;
/// Bytes read from its end: after a long quotation what is wanted stands last.
const TAIL: usize = 256;
/// Bytes read of the system prompt, and of the turn before the newest one.
const BEFORE: usize = 256;
/// Messages looked through for a turn of the user's: a conversation of tools may have thousands.
const MESSAGES: usize = 64;
/// Characters of the longest text.
const CHARS: usize = HEAD + TAIL + 1;

/// Ticks that begin or end a block of code.
pub(crate) const FENCE: usize = 3;

/// Characters of a text, in order.
#[derive(Debug)]
pub(crate) struct Text {
    letters: [Letter; CHARS],
    length: usize,
    /// Where the end of the text begins, if something before it was left out.
    cut: Option<usize>,
}

/// A character of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letter {
    /// As it stands there.
    pub(crate) char: char,
    /// In lower case, and `0` for every digit: what matters is that there are some.
    pub(crate) shape: char,
    /// What sort it is.
    pub(crate) class: Class,
}

impl Letter {
    #[inline]
    fn of(char: char) -> Self {
        Self { char, shape: shape(char), class: Class::of(char) }
    }
}

/// The character in lower case, and `0` for a digit. What becomes two characters in lower case is the first of them. Above
/// U+2E80 only full-width letters and rare scripts have lower case, and theirs is not looked for.
pub(crate) fn shape(char: char) -> char {
    match char {
        '0'..='9' => '0',
        '\0'..='\x7f' => char.to_ascii_lowercase(),
        // Quick for what there is most of: small Cyrillic letters, Thai to Burmese, punctuation, ideographs.
        '\u{430}'..='\u{45f}' | '\u{e00}'..='\u{109f}' | '\u{2000}'..='\u{20ff}' | '\u{2e80}'.. => char,
        '\u{410}'..='\u{42f}' => char::from_u32(char as u32 + 0x20).unwrap_or(char),
        _ => char.to_lowercase().next().unwrap_or(char),
    }
}

impl Text {
    /// No text yet.
    pub(crate) fn new() -> Self {
        Self { letters: [Letter { char: ' ', shape: ' ', class: Class::Space }; CHARS], length: 0, cut: None }
    }

    /// Reads the newest turn of the user's that says something in words. Whether there is one.
    pub(crate) fn read_newest(&mut self, request: &LlmRequest) -> bool {
        let newest = chat(request).and_then(|chat| turns(chat).next());
        newest.is_some_and(|message| self.read(message, HEAD, TAIL))
    }

    /// Reads a message that [came before](before) the newest turn. Whether it says something.
    pub(crate) fn read_before(&mut self, message: &Message) -> bool {
        self.read(message, BEFORE, 0)
    }

    /// Reads the first `head` and the last `tail` bytes of the texts of `message`, with a line end after each text and
    /// where something is left out. A character that is cut through is left out.
    fn read(&mut self, message: &Message, head: usize, tail: usize) -> bool {
        self.length = 0;
        let total = texts(message).map(|text| text.len().saturating_add(1)).fold(0, usize::saturating_add);
        if total <= head + tail {
            self.cut = None;
            texts(message).for_each(|text| self.push_line(text));
        } else {
            self.push_first(message, head);
            self.cut = Some(self.length);
            self.push_after(message, total - tail);
        }
        self.letters().iter().any(|letter| letter.class != Class::Space)
    }

    fn push_first(&mut self, message: &Message, mut room: usize) {
        for text in texts(message) {
            self.push_line(&text[..text.floor_char_boundary(room)]);
            room = room.saturating_sub(text.len() + 1);
            if room == 0 {
                break;
            }
        }
    }

    fn push_after(&mut self, message: &Message, mut skipped: usize) {
        for text in texts(message) {
            if skipped <= text.len() {
                self.push_line(&text[text.ceil_char_boundary(skipped)..]);
            }
            skipped = skipped.saturating_sub(text.len() + 1);
        }
    }

    fn push_line(&mut self, line: &str) {
        for char in line.chars().chain(['\n']) {
            let Some(place) = self.letters.get_mut(self.length) else { return };
            *place = Letter::of(char);
            self.length += 1;
        }
    }

    /// The characters.
    pub(crate) fn letters(&self) -> &[Letter] {
        &self.letters[..self.length]
    }

    /// Where the end of the text begins, if something before it was left out.
    pub(crate) fn cut(&self) -> Option<usize> {
        self.cut
    }

    /// Whether a fence of code begins or ends at `place`.
    pub(crate) fn is_fence(&self, place: usize) -> bool {
        let is_tick = |letter: &Letter| letter.char == '`';
        self.letters().get(place..place + FENCE).is_some_and(|letters| letters.iter().all(is_tick))
    }

    /// Whether the end of a text, which begins at `place`, begins within a block of code: then it ends one more than it
    /// begins.
    pub(crate) fn begins_in_code(&self, mut place: usize) -> bool {
        let mut is_code = false;
        while place < self.length {
            let is_fence = self.is_fence(place);
            is_code ^= is_fence;
            place += if is_fence { FENCE } else { 1 };
        }
        is_code
    }
}

/// What came before the newest turn, as far as it is read: the system prompt, and the user's turn before it.
pub(crate) fn before(request: &LlmRequest) -> impl Iterator<Item = &Message> {
    chat(request).into_iter().flat_map(|chat| chat.system.iter().take(1).chain(turns(chat).skip(1).take(1)))
}

/// The conversation. Texts to embed are not one, and ask for nothing.
fn chat(request: &LlmRequest) -> Option<&Chat> {
    match request.payload() {
        Payload::Chat(chat) | Payload::CountTokens(chat) => Some(chat),
        Payload::Embed(_) => None,
    }
}

/// The user's turns that have text, the newest first.
fn turns(chat: &Chat) -> impl Iterator<Item = &Message> {
    let is_turn = |message: &&Message| message.role == Role::User && texts(message).next().is_some();
    chat.messages.iter().rev().take(MESSAGES).filter(is_turn)
}

fn texts(message: &Message) -> impl Iterator<Item = &str> {
    message.parts.iter().filter_map(Part::as_text)
}
