//! The hash by which words and pieces of words find their row of weights. Trained weights depend on it.

/// Adds a character to a hash.
pub(crate) const fn add(hash: u32, char: char) -> u32 {
    mix(hash, char as u32)
}

/// Adds a number to a hash.
pub(crate) const fn mix(hash: u32, value: u32) -> u32 {
    // The constant is 2^32 over the golden ratio: odd, and with no pattern in its bits.
    (hash.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9)
}
