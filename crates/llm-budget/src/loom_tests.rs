//! What threads do to accounts at the same time, in every order that a model checker finds.

use loom::sync::{Arc as Shared, Mutex as Checked, MutexGuard as CheckedGuard};

use super::*;
use crate::{Cap, Per, Window};

impl Lock for Checked<Kept> {
    type Guard<'a> = CheckedGuard<'a, Kept>;

    fn new(kept: Kept) -> Self {
        Self::new(kept)
    }

    fn lock(&self) -> CheckedGuard<'_, Kept> {
        self.lock().expect("nothing panics while it is held")
    }
}

const NOW: Now = Now::from_secs(1_800_000_000);

/// Two tenants' accounts and one that they share, with this much in each.
struct Accounts {
    cells: Vec<Cell<Checked<Kept>>>,
    rules: Vec<Arc<CapRule>>,
}

const SHARED: usize = 0;

fn held(amount: u64) -> Held {
    Held { amount: NanoUsd(amount), expects: NanoUsd::ZERO }
}

impl Accounts {
    fn new(caps: [u64; 3]) -> Shared<Self> {
        Self::within(Window::Lifetime, caps)
    }

    fn within(window: Window, caps: [u64; 3]) -> Shared<Self> {
        let rule = |(at, cap)| {
            Arc::new(CapRule::new(format!("cap-{at}"), Per::TENANT, Cap::new(NanoUsd(cap), window.clone())))
        };
        let rules: Vec<Arc<CapRule>> = caps.into_iter().enumerate().map(rule).collect();
        let cell = |(at, rule): (usize, &Arc<CapRule>)| {
            Cell::new(at as u64, Arc::new(AccountKey::new(Arc::clone(rule.name()))), Arc::clone(rule), Arc::default())
        };
        let cells = rules.iter().enumerate().map(cell).collect();
        Shared::new(Self { cells, rules })
    }

    /// Those of a claim that names them in this order, with their rules.
    fn of(&self, accounts: &[usize]) -> (Vec<&Cell<Checked<Kept>>>, Vec<&Arc<CapRule>>) {
        let (mut cells, mut rules) = (Vec::new(), Vec::new());
        for at in accounts {
            let place = place(&cells, &self.cells[*at]);
            cells.insert(place, &self.cells[*at]);
            rules.insert(place, &self.rules[*at]);
        }
        (cells, rules)
    }

    fn reserve(&self, accounts: &[usize], amount: u64) -> bool {
        self.reserve_at(NOW, accounts, amount)
    }

    fn reserve_at(&self, now: Now, accounts: &[usize], amount: u64) -> bool {
        let (cells, rules) = self.of(accounts);
        reserve(&cells, Some(&rules), held(amount), now).expect("none is retired").is_ok()
    }

    fn extend(&self, accounts: &[usize], amount: u64) -> bool {
        reserve(&self.of(accounts).0, None, held(amount), NOW).expect("none is retired").is_ok()
    }

    fn settle(&self, accounts: &[usize], reserved: u64, spent: u64) {
        self.settle_at(NOW, accounts, reserved, spent);
    }

    fn settle_at(&self, now: Now, accounts: &[usize], reserved: u64, spent: u64) {
        settle(&self.of(accounts).0, held(reserved), &Settlement::reported(NanoUsd(spent)), now);
    }

    /// What is spent, reserved and owed; and the invariant.
    fn look(&self, at: usize) -> [u64; 3] {
        self.look_at(NOW, at)
    }

    fn look_at(&self, now: Now, at: usize) -> [u64; 3] {
        let balance = self.cells[at].status(now).expect("it is not retired").balances[0];
        assert!(balance.spent.0 + balance.reserved.0 - balance.debt.0 <= balance.cap.0);
        [balance.spent.0, balance.reserved.0, balance.debt.0]
    }
}

/// Checks all orders in which no thread is interrupted more than three times between its own steps.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

type Task<R> = Box<dyn FnOnce() -> R + Send>;

fn task<R>(accounts: &Shared<Accounts>, run: impl FnOnce(&Accounts) -> R + Send + 'static) -> Task<R> {
    let accounts = Shared::clone(accounts);
    Box::new(move || run(&accounts))
}

/// Does all of these at once, and says what came of each.
fn at_once<R: 'static>(tasks: Vec<Task<R>>) -> Vec<R> {
    let threads: Vec<_> = tasks.into_iter().map(loom::thread::spawn).collect();
    threads.into_iter().map(|thread| thread.join().expect("no task panics")).collect()
}

#[test]
fn of_a_crowd_exactly_as_many_are_let_through_as_the_cap_pays_for() {
    model(|| {
        let accounts = Accounts::new([100, 1_000, 1_000]);
        let call = |own| task(&accounts, move |accounts| accounts.reserve(&[own, SHARED], 40));
        let granted = at_once(vec![call(1), call(2), call(1)]);
        assert_eq!(granted.iter().filter(|granted| **granted).count(), 2);
        assert_eq!(accounts.look(SHARED), [0, 80, 0]);
        assert_eq!(accounts.look(1)[1] + accounts.look(2)[1], 80, "who is refused has nothing anywhere");
    });
}

#[test]
fn who_is_refused_elsewhere_keeps_nobody_from_anything() {
    model(|| {
        let accounts = Accounts::new([40, 40, 10]);
        let fits = task(&accounts, |accounts| accounts.reserve(&[1, SHARED], 40));
        // Its own account has too little, in whatever order the two are named.
        let refused = task(&accounts, |accounts| accounts.reserve(&[SHARED, 2], 40));
        assert_eq!(at_once(vec![fits, refused]), [true, false]);
        assert_eq!(accounts.look(2), [0, 0, 0]);
    });
}

#[test]
fn calls_that_name_their_accounts_in_different_orders_do_not_wait_for_each_other() {
    model(|| {
        let accounts = Accounts::new([100, 100, 100]);
        let call = |order| task(&accounts, move |accounts: &Accounts| accounts.reserve(order, 60));
        let granted = at_once(vec![call(&[1, SHARED]), call(&[SHARED, 1])]);
        assert_eq!(granted.iter().filter(|granted| **granted).count(), 1);
    });
}

#[test]
fn calls_that_settle_extend_and_begin_at_once_leave_nothing_reserved_and_lose_nothing() {
    model(|| {
        let accounts = Accounts::new([100, 100, 100]);
        let call = |own, spent| {
            task(&accounts, move |accounts: &Accounts| {
                let mut reserved = 40;
                if !accounts.reserve(&[own, SHARED], reserved) {
                    return 0;
                }
                if accounts.extend(&[own, SHARED], 20) {
                    reserved += 20;
                }
                let seen = accounts.look(SHARED);
                assert!(seen[0] + seen[1] >= reserved);
                accounts.settle(&[own, SHARED], reserved, spent);
                spent
            })
        };
        let spent: u64 = at_once(vec![call(1, 30), call(2, 70)]).into_iter().sum();
        assert_eq!(accounts.look(SHARED)[..2], [spent, 0]);
        assert_eq!(accounts.look(1)[0] + accounts.look(2)[0], spent);
        assert_eq!(accounts.look(1)[1] + accounts.look(2)[1], 0);
    });
}

#[test]
fn over_midnight_nothing_is_lost_and_nothing_counts_twice_though_threads_read_the_time_before_it() {
    const TOMORROW: Now = NOW.saturating_add(Now::from_secs(86_400));
    model(|| {
        let accounts = Accounts::within(Window::DAY, [100, 100, 100]);
        assert!(accounts.reserve(&[1, SHARED], 60));
        // What it was reserved for is booked in the new day, while others begin in that, and in the old one.
        let ends = task(&accounts, |accounts| {
            accounts.settle_at(TOMORROW, &[1, SHARED], 60, 50);
            true
        });
        let begins = task(&accounts, |accounts| accounts.reserve_at(TOMORROW, &[2, SHARED], 30));
        let late = task(&accounts, |accounts| accounts.reserve(&[SHARED], 20));
        let granted = at_once(vec![ends, begins, late]);
        let reserved = 30 * u64::from(granted[1]) + 20 * u64::from(granted[2]);
        assert_eq!(accounts.look_at(TOMORROW, SHARED), [50, reserved, 0]);
        assert_eq!(accounts.look_at(TOMORROW, 1), [50, 0, 0]);
    });
}

#[test]
fn an_account_is_forgotten_or_used_but_never_both() {
    model(|| {
        let accounts = Accounts::new([100, 100, 100]);
        let forget = task(&accounts, |accounts| accounts.cells[SHARED].retire(NOW));
        let call = task(&accounts, |accounts| {
            let (cells, rules) = accounts.of(&[1, SHARED]);
            // Of nothing: also a call that reserves nothing may spend something.
            match reserve(&cells, Some(&rules), held(0), NOW) {
                Ok(answer) => {
                    answer.expect("it fits");
                    accounts.settle(&[1, SHARED], 0, 30);
                    true
                }
                Err(Retired) => false,
            }
        });
        let [forgotten, called] = at_once(vec![forget, call])[..] else { panic!("two tasks") };
        assert_ne!(forgotten, called);
        assert_eq!(accounts.look(1), [if called { 30 } else { 0 }, 0, 0]);
    });
}
