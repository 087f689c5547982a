//! A sequence of texts and numbers that can be read in one way only, and its hash.

/// As much as is collected before it is hashed: many small pieces, each hashed by itself, would take longer.
const BUFFER: usize = 512;

/// Hashes a sequence. Texts and lists carry their lengths, so that no two sequences are the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    hasher: blake3::Hasher,
    buffer: [u8; BUFFER],
    used: usize,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { hasher: blake3::Hasher::new(), buffer: [0; BUFFER], used: 0 }
    }
}

impl Tokens {
    pub(crate) fn tag(&mut self, tag: u8) {
        self.raw(&[tag]);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.raw(&number.to_le_bytes());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => {
                self.tag(1);
                write(self, value);
            }
            None => self.tag(0),
        }
    }

    pub(crate) fn finish(mut self) -> [u8; 32] {
        self.flush();
        self.hasher.finalize().into()
    }

    fn raw(&mut self, bytes: &[u8]) {
        if bytes.len() > BUFFER - self.used {
            self.flush();
        }
        if bytes.len() > BUFFER {
            self.hasher.update(bytes);
            return;
        }
        self.buffer[self.used..][..bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer[..self.used]);
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(write: impl FnOnce(&mut Tokens)) -> [u8; 32] {
        let mut tokens = Tokens::default();
        write(&mut tokens);
        tokens.finish()
    }

    #[test]
    fn where_one_text_ends_and_the_next_begins_makes_a_difference() {
        let texts = |texts: &[&str]| hash(|tokens| texts.iter().for_each(|text| tokens.text(text)));
        let all = [texts(&["ab", "c"]), texts(&["a", "bc"]), texts(&["abc"]), texts(&["abc", ""]), texts(&[])];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
    }

    #[test]
    fn the_hash_is_that_of_the_bytes_however_they_were_collected() {
        for length in [0, 1, 200, BUFFER - 9, BUFFER - 8, BUFFER, BUFFER + 1, 5_000] {
            let text = "x".repeat(length);
            let mut plain = blake3::Hasher::new();
            for _ in 0..3 {
                plain.update(&(length as u64).to_le_bytes()).update(text.as_bytes()).update(&[1]);
            }
            let tokens = hash(|tokens| {
                for _ in 0..3 {
                    tokens.text(&text);
                    tokens.tag(1);
                }
            });
            assert_eq!(tokens, *plain.finalize().as_bytes(), "{length}");
        }
    }
}
