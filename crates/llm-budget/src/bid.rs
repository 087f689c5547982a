//! A call that asks for its money, and for less of it where that helps.

use std::{future::Future, pin::Pin, sync::Arc};

use llm_core::{Error, LlmRequest, NanoUsd, Striped};
use smallvec::SmallVec;

use crate::{
    Claim, ClaimId, Claimed, Hold, LedgerFuture, Refusal,
    call::{Held, InFlight},
    cell::USUAL,
    metered::Meter,
    scope::Scoped,
    shared::{Plan, Shared},
    whose::Whose,
};

/// How often less is asked for. Others ask at the same time, so what was left may be gone.
const TRIES: u32 = 3;

/// Calls that begin leave one part in so many of what is likely to each stream under way, for when it is longer: or they would
/// take what short answers give back, and long ones would be cut. With a quarter more are cut where answers are longer than
/// was thought, with a half less of a small cap is used. `METERED.md` says what comes of it.
const LEFT_TO_STREAMS: u64 = 3;

/// What becomes of a call.
#[allow(clippy::large_enum_variant, reason = "the large one is what nearly every call is")]
pub(crate) enum Admission {
    /// It is held to nothing.
    Free(LlmRequest),
    /// Its money is set aside.
    Admitted(Admitted),
    /// The ledger has to ask somebody.
    Waiting(Waiting),
    Refused(Error),
}

/// A call whose money is set aside.
pub(crate) struct Admitted {
    pub(crate) request: LlmRequest,
    pub(crate) call: InFlight,
    /// How its stream is metered, if it is.
    pub(crate) meter: Option<Arc<Meter>>,
}

pub(crate) type Waiting = Pin<Box<dyn Future<Output = Result<Admitted, Error>> + Send>>;

type Asked = LedgerFuture<Result<Box<dyn Hold>, Refusal>>;

/// A call that has not got its money yet.
struct Bid {
    shared: Striped<Shared>,
    request: LlmRequest,
    plan: Plan,
    id: ClaimId,
    /// How much output is paid for besides the prompt.
    output: u64,
    tries: u32,
}

/// Asks for what a call may come to.
pub(crate) fn admit(shared: &Striped<Shared>, mut request: LlmRequest) -> Admission {
    let plan = match shared.plan(&mut request) {
        Ok(Some(plan)) if !plan.rules.is_empty() => plan,
        Ok(_) => return Admission::Free(request),
        Err(error) => return Admission::Refused(error),
    };
    let output = plan.metered.map_or_else(|| plan.quote.most_output(), |(_, likely)| likely);
    let id = ClaimId::new(request.context().id(), request.context().attempt().number);
    let mut bid = Bid { shared: shared.clone(), request, plan, id, output, tries: TRIES };
    loop {
        match bid.ask().into_ready() {
            Ok(Ok(hold)) => return Admission::Admitted(bid.won(hold)),
            Ok(Err(refusal)) if bid.lower(&refusal) => {}
            Ok(Err(refusal)) => return Admission::Refused(bid.refused(&refusal)),
            Err(asked) => return Admission::Waiting(Box::pin(wait(bid, asked))),
        }
    }
}

async fn wait(mut bid: Bid, mut asked: Asked) -> Result<Admitted, Error> {
    loop {
        match asked.await {
            Ok(hold) => return Ok(bid.won(hold)),
            Err(refusal) if bid.lower(&refusal) => asked = bid.ask(),
            Err(refusal) => return Err(bid.refused(&refusal)),
        }
    }
}

impl Bid {
    fn amount(&self) -> NanoUsd {
        self.plan.quote.with_output(self.output)
    }

    /// What a stream may well come to beyond what is set aside for it at first.
    fn expects(&self) -> NanoUsd {
        let Some((_, likely)) = self.plan.metered else { return NanoUsd::ZERO };
        let more = likely.saturating_add(likely / LEFT_TO_STREAMS).min(self.plan.quote.most_output());
        self.plan.quote.with_output(more).saturating_sub(self.amount())
    }

    fn ask(&self) -> Asked {
        let whose = Whose::of(&self.request, Some(&self.plan.quote.facts));
        let rules = self.plan.rules.iter().map(|at| &self.shared.settings.rules[*at]);
        let accounts = rules.map(|rule| Claimed { rule, key: rule.scope().account(&whose) });
        let accounts: SmallVec<[_; USUAL]> = accounts.collect();
        self.shared.ledger.reserve(&Claim {
            id: self.id,
            accounts: &accounts,
            amount: self.amount(),
            expects: self.expects(),
            target: whose.called,
        })
    }

    /// Asks for no more than there is, if that is of use.
    fn lower(&mut self, refusal: &Refusal) -> bool {
        let Some(fits) = self.plan.quote.output_for(refusal.available).filter(|_| self.tries > 0) else { return false };
        self.tries -= 1;
        let is_less = self.shared.lower(&mut self.plan.quote, self.request.context_mut(), fits);
        // Of a stream, too, all is set aside now: what is likely did not fit.
        self.output = self.plan.quote.most_output();
        is_less
    }

    fn refused(&self, refusal: &Refusal) -> Error {
        self.shared.short(&self.request, self.amount(), refusal)
    }

    fn won(self, hold: Box<dyn Hold>) -> Admitted {
        let Self { shared, request, plan, output, .. } = self;
        let Plan { quote, figures, raw_input, metered, .. } = plan;
        let (held, meter) = match metered {
            Some((terms, _)) => {
                let (context, quote) = (request.context(), quote.clone());
                let meter = Arc::new(Meter::new(shared.clone(), context, quote, terms, output, hold));
                (Held::Metered(Arc::clone(&meter)), Some(meter))
            }
            None => (Held::Own(hold), None),
        };
        let call = InFlight::new(shared, &request, quote, figures, raw_input, held);
        Admitted { request, call, meter }
    }
}
