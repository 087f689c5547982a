//! A ledger that writes a line for everything that it is told, as a durable one would: what each line can say.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use llm_budget::{
    AccountRef, AccountStatus, BudgetLayer, CapRule, Change, Claim, ClaimId, Hold, Ledger, LedgerFuture, MemoryLedger,
    Refusal, Settlement,
};
use llm_core::{Again, Error, ErrorKind, NanoUsd, NoticeListener, Usage};
use llm_test::Answer;

use crate::stage::{Stage, TOKEN, answer, ask, mills, per_tenant, streamed, whole};

#[derive(Clone, Debug, PartialEq)]
enum Line {
    Reserved { id: ClaimId, target: String, accounts: Vec<String>, amount: NanoUsd },
    Extended(ClaimId),
    Settled(ClaimId, Settlement),
}

#[derive(Debug, Default)]
struct Written {
    memory: MemoryLedger,
    lines: Arc<Mutex<Vec<Line>>>,
}

#[derive(Debug)]
struct WrittenHold {
    id: ClaimId,
    hold: Box<dyn Hold>,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Ledger for Written {
    fn reserve(&self, claim: &Claim<'_>) -> LedgerFuture<Result<Box<dyn Hold>, Refusal>> {
        let (id, target, lines) = (claim.id, claim.target.to_string(), Arc::clone(&self.lines));
        let accounts = claim.accounts.iter().map(|account| account.key.to_string()).collect();
        let held = self.memory.reserve(claim).into_ready().expect("it is in memory").map(|hold| {
            lines.lock().unwrap().push(Line::Reserved { id, target, accounts, amount: claim.amount });
            Box::new(WrittenHold { id, hold, lines }) as Box<dyn Hold>
        });
        LedgerFuture::ready(held)
    }

    fn for_each(&self, look: &mut dyn FnMut(AccountStatus)) {
        self.memory.for_each(look);
    }

    fn look(&self, key: &AccountRef<'_>) -> Option<AccountStatus> {
        self.memory.look(key)
    }

    fn change(&self, rule: &Arc<CapRule>, key: &AccountRef<'_>, change: Change) -> LedgerFuture<bool> {
        self.memory.change(rule, key, change)
    }

    fn notices(&self) -> NoticeListener {
        self.memory.notices()
    }
}

impl Hold for WrittenHold {
    fn amount(&self) -> NanoUsd {
        self.hold.amount()
    }

    fn extend(&mut self, more: NanoUsd) -> LedgerFuture<Result<(), Refusal>> {
        self.lines.lock().unwrap().push(Line::Extended(self.id));
        self.hold.extend(more)
    }

    fn settle(&mut self, settlement: Settlement) {
        self.lines.lock().unwrap().push(Line::Settled(self.id, settlement));
        self.hold.settle(settlement);
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_line_of_its_own_for_what_was_claimed_and_what_it_came_to() {
    let ledger = Arc::new(Written::default());
    let lines = Arc::clone(&ledger.lines);
    let stage = Stage::of(BudgetLayer::new([per_tenant(mills(2_000))]).ledger(ledger), |layer| layer);
    let mut request = ask();
    let call = request.context().id();
    let failed = Error::new(ErrorKind::Interrupted, "cut").with_usage(Usage::estimated(5, 100));
    stage.send(request.clone(), Answer::fail(failed)).await.unwrap_err();
    request.context_mut().begin_attempt(Again::Retry, Duration::ZERO);
    stage.send(request, answer(20)).await.unwrap();
    let body = stage.send(streamed(3_000), Answer::stream(whole(1_000))).await.unwrap().body;
    body.collect().await.unwrap();

    let lines = std::mem::take(&mut *lines.lock().unwrap());
    let reserved = lines.iter().filter_map(|line| match line {
        Line::Reserved { id, target, accounts, amount } => Some((*id, target.as_str(), accounts.clone(), *amount)),
        Line::Extended(_) | Line::Settled(..) => None,
    });
    let reserved: Vec<_> = reserved.collect();
    let attempts: Vec<_> = reserved.iter().map(|(id, ..)| (id.call == call, id.attempt)).collect();
    assert_eq!(attempts, [(true, 0), (true, 1), (false, 0)]);
    assert_eq!(reserved.iter().map(|(id, ..)| *id).collect::<HashSet<_>>().len(), 3, "each is one of its own");
    for (_, target, accounts, _) in &reserved {
        assert_eq!((*target, &accounts[..]), ("openai/m", &["per-tenant (tenant acme)".to_owned()][..]));
    }
    assert_eq!(reserved[0].3, mills(150));
    let settled = lines.iter().filter_map(|line| match line {
        Line::Settled(id, settlement) => Some((*id, *settlement)),
        Line::Reserved { .. } | Line::Extended(_) => None,
    });
    let tokens = |tokens: u64| NanoUsd(tokens * TOKEN);
    let expected = [
        Settlement { usage: Usage::estimated(5, 100), ..Settlement::estimated(tokens(100)) },
        Settlement { usage: Usage::reported(10, 20), ..Settlement::reported(tokens(20)) },
        Settlement { usage: Usage::reported(10, 1_000), ..Settlement::reported(tokens(1_000)) },
    ];
    let expected: Vec<_> = reserved.iter().map(|(id, ..)| *id).zip(expected).collect();
    assert_eq!(settled.collect::<Vec<_>>(), expected);
    assert!(lines.contains(&Line::Extended(reserved[2].0)), "the stream asked for more");
}
