//! A sequence of texts and numbers that can be read in one way only, and its hash.

/// As much as is collected before it is hashed: many small pieces, each hashed by itself, would take longer.
const BUFFER: usize = 512;

/// From so many bytes on, more is collected at a time.
const LARGE: usize = 4 << 10;

/// As much as is collected then: the hash works on sixteen kilobytes side by side, where the processor can.
const BLOCK: usize = 16 << 10;

/// Hashes a sequence. Texts and lists carry their lengths, so that no two sequences are the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    buffer: [u8; BUFFER],
    used: usize,
    hash: Hash,
}

#[derive(Clone, Debug)]
struct Hash {
    hasher: blake3::Hasher,
    taken: usize,
    // Of what is not large nothing is collected here, and nothing allocated.
    block: Vec<u8>,
}

impl Hash {
    fn take(&mut self, bytes: &[u8]) {
        self.taken += bytes.len();
        if self.taken <= LARGE {
            self.hasher.update(bytes);
            return;
        }
        if bytes.len() > BLOCK - self.block.len() {
            self.hasher.update(&self.block);
            self.block.clear();
        }
        if bytes.len() > BLOCK {
            self.hasher.update(bytes);
            return;
        }
        if self.block.capacity() == 0 {
            self.block.reserve_exact(BLOCK);
        }
        self.block.extend_from_slice(bytes);
    }

    fn finish(mut self) -> [u8; 32] {
        self.hasher.update(&self.block);
        self.hasher.finalize().into()
    }
}

impl Default for Tokens {
    fn default() -> Self {
        let hash = Hash { hasher: blake3::Hasher::new(), taken: 0, block: Vec::new() };
        Self { buffer: [0; BUFFER], used: 0, hash }
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
        self.hash.finish()
    }

    fn raw(&mut self, bytes: &[u8]) {
        if bytes.len() > BUFFER - self.used {
            self.flush();
        }
        if bytes.len() > BUFFER {
            self.hash.take(bytes);
            return;
        }
        self.buffer[self.used..][..bytes.len()].copy_from_slice(bytes);
        self.used += bytes.len();
    }

    fn flush(&mut self) {
        self.hash.take(&self.buffer[..self.used]);
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
        for length in
            [0, 1, 200, BUFFER - 9, BUFFER - 8, BUFFER, BUFFER + 1, LARGE, 5_000, BLOCK - 9, BLOCK, BLOCK + 1, 50_000]
        {
            let text = "x".repeat(length);
            let mut plain = blake3::Hasher::new();
            for _ in 0..40 {
                plain.update(&(length as u64).to_le_bytes()).update(text.as_bytes()).update(&[1]);
            }
            let tokens = hash(|tokens| {
                for _ in 0..40 {
                    tokens.text(&text);
                    tokens.tag(1);
                }
            });
            assert_eq!(tokens, *plain.finalize().as_bytes(), "{length}");
        }
    }
}
