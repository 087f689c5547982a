//! A service whose type has been forgotten.

use tower::util::BoxCloneSyncService;

use crate::{Error, LlmRequest, LlmResponse};

/// Any model service, its type forgotten: for stacks built at run time and for maps of providers.
pub type BoxLlmService = BoxCloneSyncService<LlmRequest, LlmResponse, Error>;
