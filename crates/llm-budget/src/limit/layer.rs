//! The layer, which is the configuration.

use std::{num::NonZeroUsize, sync::Arc};

use llm_core::{Striped, catalog::Catalog};
use tower::Layer;

use super::{
    Limit, LimitHandle, LimitRule,
    shared::{Settings, Shared},
};
use crate::scope;

/// More callers than most gateways have within a few minutes.
const MOST_CALLERS: NonZeroUsize = NonZeroUsize::new(100_000).expect("it is not zero");

/// About a page of text: longer than most answers to people, and than nearly all answers to programs.
const EXPECTED_OUTPUT: u64 = 500;

/// Keeps each caller to its limits. See the [module docs](super).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct LimitLayer {
    shared: Striped<Shared>,
}

impl LimitLayer {
    /// Calls must pass all of these limits that concern them. Of limits of one name the last holds.
    pub fn new(limits: impl IntoIterator<Item = LimitRule>) -> Self {
        Self::of(Settings {
            rules: scope::holding(limits),
            most_callers: MOST_CALLERS,
            expected_output: EXPECTED_OUTPUT,
            catalog: None,
        })
    }

    /// How many output tokens a chat is charged with when it begins, besides its prompt; fewer where it may not have as
    /// many. The charge is put right when the call is over, so this decides only how far many calls that begin together
    /// may run into debt. Defaults to 500, about a page of text.
    pub fn expected_output(self, tokens: u64) -> Self {
        Self::of(Settings { expected_output: tokens, ..self.shared.settings.clone() })
    }

    /// The most callers that each limit remembers. At the bound those are forgotten of whom there is nothing to
    /// remember: nothing under way, a full minute's amount left. If there is something to remember of all, further
    /// callers share the amounts of one. Defaults to 100,000, which take up about 21 MB for each limit: 210 bytes each
    /// with names of usual length.
    pub fn most_callers(self, most: NonZeroUsize) -> Self {
        Self::of(Settings { most_callers: most, ..self.shared.settings.clone() })
    }

    /// Where models are known by their names. Defaults to the built-in catalogue.
    pub fn catalog(self, catalog: Arc<Catalog>) -> Self {
        Self::of(Settings { catalog: Some(catalog), ..self.shared.settings.clone() })
    }

    /// Goes on where another layer is, for a change of settings while calls are under way: limits of the same name that tell
    /// callers apart by the same know who has used what, and of calls that the other layer has let through and that end
    /// later as well. What was used stays used when an amount changes: of a lower one there may be nothing left or less,
    /// and of a higher one there is as much more. Setters begin with fresh state, so call it after them.
    pub fn resuming(self, previous: &LimitHandle) -> Self {
        let settings = self.shared.settings.clone();
        Self { shared: Striped::new(Shared::new(settings, Some(previous.shared()))) }
    }

    /// A handle to watch it with. Setters begin with fresh state, so take it after them.
    pub fn handle(&self) -> LimitHandle {
        LimitHandle::new(self.shared.clone())
    }

    fn of(settings: Settings) -> Self {
        Self { shared: Striped::new(Shared::new(settings, None)) }
    }
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limit<S>;

    fn layer(&self, inner: S) -> Limit<S> {
        Limit::new(inner, self.shared.clone())
    }
}
