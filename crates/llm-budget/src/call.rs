//! A call under way, from its admission to its outcome.

use std::sync::Arc;

use llm_core::{
    AttemptRecord, Frame, LlmRequest, NanoUsd, Observer, Outcome, Progress, Provenance, Striped, Trail, Usage,
};
use smallvec::SmallVec;

use crate::{Covers, Hold, Settlement, metered::Meter, models::Figures, quote::Quote, shared::Shared};

/// What a call has set aside. It observes the call, and settles what it came to at its end.
pub(crate) struct InFlight {
    shared: Striped<Shared>,
    held: Held,
    quote: Quote,
    figures: Arc<Figures>,
    raw_input: u64,
    covered: Covered,
}

/// Where the money is. Dropped before the call is over, it goes back.
pub(crate) enum Held {
    Own(Box<dyn Hold>),
    /// With whoever asks for more of it.
    Metered(Arc<Meter>),
}

/// What is to be settled.
enum Covered {
    Attempt,
    /// All attempts of the trail but those that had been made before.
    Call {
        trail: Trail,
        before: SmallVec<[u32; 4]>,
    },
}

impl InFlight {
    pub(crate) fn new(
        shared: Striped<Shared>,
        request: &LlmRequest,
        quote: Quote,
        figures: Arc<Figures>,
        raw_input: u64,
        held: Held,
    ) -> Self {
        let context = request.context();
        let by_place = || if context.target().is_some() { Covers::Attempt } else { Covers::Call };
        let covered = match shared.settings.covers.unwrap_or_else(by_place) {
            Covers::Attempt => Covered::Attempt,
            Covers::Call => {
                let trail = context.trail();
                // An attempt of this very number is one that is to be made.
                let own = context.attempt().number;
                let before = trail.attempts().into_iter().map(|attempt| attempt.number);
                Covered::Call { before: before.filter(|number| *number != own).collect(), trail }
            }
        };
        Self { shared, held, quote, figures, raw_input, covered }
    }

    /// What the call came to.
    fn settlement(&self, progress: &Progress, usage: &Usage) -> Settlement {
        let mut settlement = Settlement::default();
        if let Covered::Call { trail, before } = &self.covered {
            let attempts = trail.attempts();
            let made = attempts.iter().filter(|attempt| attempt.was_made() && !before.contains(&attempt.number));
            let mut is_told = false;
            for attempt in made {
                if let Some(usage) = &attempt.usage {
                    is_told = true;
                    settlement.add(self.cost_of(attempt, usage), usage);
                }
            }
            if is_told {
                return settlement;
            }
        }
        // Where no edge writes the trail, there is only what the call itself has seen.
        if !progress.is_unpaid() {
            settlement.add(self.quote.price().cost(usage).total(), usage);
        }
        settlement
    }

    fn cost_of(&self, attempt: &AttemptRecord, usage: &Usage) -> NanoUsd {
        let facts = || self.shared.facts(attempt.target.as_ref()?.names());
        attempt.cost.unwrap_or_else(|| {
            let price = facts().and_then(|facts| facts.price.as_ref());
            price.unwrap_or_else(|| self.quote.price()).cost(usage).total()
        })
    }
}

impl Observer for InFlight {
    fn on_frame(&mut self, frame: &Frame, progress: &Progress) {
        if let Held::Metered(meter) = &self.held
            && frame.is_content()
        {
            meter.saw(progress.output().bound);
        }
    }

    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let progress = outcome.progress();
        let usage = progress.usage();
        let settlement = self.settlement(progress, &usage);
        match &mut self.held {
            Held::Own(hold) => hold.settle(settlement),
            Held::Metered(meter) => meter.settle(settlement),
        }
        if !progress.is_unpaid() {
            self.figures.book(&settlement);
        }
        let is_whole = matches!(outcome, Outcome::Complete(_)) && usage.provenance == Provenance::Reported;
        if is_whole {
            self.figures.learn_input(self.raw_input, usage.input);
        }
        if usage.output > 0 {
            let length = usage.output / self.quote.answers;
            self.figures.learn_output(length, is_whole, self.shared.settings.likely_output());
        }
    }
}
