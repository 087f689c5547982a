//! JSON written field by field, with raw values as they are spelled.

use bytes::{BufMut, BytesMut};
use llm_core::Extra;
use serde::Serialize;

/// Writes an object; [`end`](Self::end) closes it.
pub(crate) struct ObjectWriter<'o> {
    out: &'o mut BytesMut,
    is_first: bool,
}

/// Writes a list; [`end`](Self::end) closes it.
pub(crate) struct ArrayWriter<'o> {
    out: &'o mut BytesMut,
    is_first: bool,
}

fn write_value<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut) {
    serde_json::to_writer(out.writer(), value).expect("text, numbers and raw JSON can always be written to memory");
}

impl<'o> ObjectWriter<'o> {
    pub(crate) fn begin(out: &'o mut BytesMut) -> Self {
        out.put_u8(b'{');
        Self { out, is_first: true }
    }

    pub(crate) fn end(self) {
        self.out.put_u8(b'}');
    }

    fn name(&mut self, name: &str) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.put_u8(b',');
        }
        write_value(name, self.out);
        self.out.put_u8(b':');
    }

    /// A field whose value serde can write: text, number, boolean, [`Json`](llm_core::Json), lists of them.
    pub(crate) fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        write_value(value, self.out);
    }

    /// A field that is left out when it has no value.
    pub(crate) fn optional<T: Serialize>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.field(name, &value);
        }
    }

    /// A field whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
    }

    pub(crate) fn object(&mut self, name: &str) -> ObjectWriter<'_> {
        self.name(name);
        ObjectWriter::begin(self.out)
    }

    pub(crate) fn array(&mut self, name: &str) -> ArrayWriter<'_> {
        self.name(name);
        ArrayWriter::begin(self.out)
    }

    /// Unknown fields in their own spelling, but for those that are `written` already.
    pub(crate) fn extra(&mut self, extra: &Extra, written: &[&str]) {
        for (name, json) in extra.iter().filter(|(name, _)| !written.contains(name)) {
            self.raw(name, json.get());
        }
    }
}

impl<'o> ArrayWriter<'o> {
    pub(crate) fn begin(out: &'o mut BytesMut) -> Self {
        out.put_u8(b'[');
        Self { out, is_first: true }
    }

    pub(crate) fn end(self) {
        self.out.put_u8(b']');
    }

    fn next(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.put_u8(b',');
        }
    }

    pub(crate) fn object(&mut self) -> ObjectWriter<'_> {
        self.next();
        ObjectWriter::begin(self.out)
    }

    pub(crate) fn item<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.next();
        write_value(value, self.out);
    }
}
