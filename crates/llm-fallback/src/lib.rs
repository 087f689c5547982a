//! What the caller gets when all else has failed.
