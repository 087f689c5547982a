//! What a call of the service leaves behind: a line in the log, and a record in the call's trail.

use llm_core::{Frame, LlmRequest, Observer, Outcome, Price, Progress, Target, Trail};

use crate::log::{Ended, Entry};

/// Writes the beginning of an attempt, and when it is over how it ended, what it used and what that cost.
pub(crate) struct CallObserver {
    trail: Trail,
    number: u32,
    price: Option<Price>,
    entry: Entry,
    is_faulted: bool,
}

impl CallObserver {
    pub(crate) fn begin(
        request: &LlmRequest,
        target: &Target,
        price: Option<Price>,
        entry: Entry,
        is_faulted: bool,
    ) -> Self {
        let context = request.context();
        let (trail, attempt) = (context.trail(), context.attempt());
        trail.begin(attempt, Some(target));
        Self { trail, number: attempt.number, price, entry, is_faulted }
    }
}

impl Observer for CallObserver {
    fn on_frame(&mut self, _: &Frame, progress: &Progress) {
        self.entry.sent(progress.content_events());
    }

    fn on_end(&mut self, outcome: &Outcome<'_>) {
        let usage = outcome.progress().usage();
        self.trail.update(self.number, |record| {
            record.end = Some(outcome.to_end());
            record.usage = Some(usage);
            record.cost = self.price.as_ref().map(|price| price.cost(&usage).total());
        });
        self.entry.end(match outcome {
            Outcome::Complete(_) => {
                self.entry.sent(usage.output);
                Ended::Complete
            }
            Outcome::Failed(..) if self.is_faulted => Ended::Faulted,
            // A refusal that nobody scripted is what the provider has to say.
            Outcome::Failed(..) => Ended::Complete,
            Outcome::Abandoned(_) => Ended::CallerLeft { after_tokens: self.entry.tokens() },
        });
    }
}
