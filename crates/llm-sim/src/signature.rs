//! The signature that goes with reasoning, so that it can be told whether it comes back as it was.

use sha2::{Digest, Sha256};

/// A signature over a text: the same for the same text at every simulated provider. It is no secret, and proves
/// nothing but that nobody changed the text by mistake.
pub(crate) fn sign(text: &str) -> String {
    let hash = Sha256::new().chain_update("simulated reasoning").chain_update(text).finalize();
    hash.iter().fold(String::from("sim_"), |signature, byte| format!("{signature}{byte:02x}"))
}
