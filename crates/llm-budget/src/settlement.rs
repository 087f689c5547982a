//! What a call came to.

use llm_core::{NanoUsd, Provenance, Usage};

/// What a call came to: one attempt, or all of those that are settled together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// What it cost by what providers reported: as much as stands in their logs.
    pub reported: NanoUsd,
    /// What it cost by estimate, for want of a report.
    pub estimated: NanoUsd,
    /// The tokens that this is the price of. They count as estimated if some of them are.
    pub usage: Usage,
}

impl Settlement {
    /// Of a call that cost this by its provider's report.
    pub fn reported(cost: NanoUsd) -> Self {
        Self { reported: cost, ..Self::default() }
    }

    /// Of a call that cost this by estimate.
    pub fn estimated(cost: NanoUsd) -> Self {
        Self { estimated: cost, usage: Usage::estimated(0, 0), ..Self::default() }
    }

    /// What it cost in all.
    pub fn cost(&self) -> NanoUsd {
        self.reported.saturating_add(self.estimated)
    }

    /// An attempt more.
    pub(crate) fn add(&mut self, cost: NanoUsd, more: &Usage) {
        let Self { reported, estimated, usage } = self;
        match more.provenance {
            Provenance::Reported => *reported = reported.saturating_add(cost),
            Provenance::Estimated => {
                *estimated = estimated.saturating_add(cost);
                usage.provenance = Provenance::Estimated;
            }
        }
        let Usage { input, cache_read, cache_write, cache_write_1h, output, reasoning, provenance: _ } = usage;
        for (sum, tokens) in [
            (input, more.input),
            (cache_read, more.cache_read),
            (cache_write, more.cache_write),
            (cache_write_1h, more.cache_write_1h),
            (output, more.output),
            (reasoning, more.reasoning),
        ] {
            *sum = sum.saturating_add(tokens);
        }
    }
}
