//! A plan with everything looked up: what calls go by.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use llm_core::Target;

use crate::{
    Candidate, Choice, Plan, Rank, Route,
    attempts::{Gate, Ranks},
    candidate::History,
    route::{Choosing, Entry},
};

/// How targets have been doing, by target, and by pattern for names that callers make up.
pub(crate) type Histories = HashMap<Target, Arc<History>>;

/// A plan with everything looked up. Immutable: a change makes another one.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) plan: Plan,
    /// Routes, and the models that an operator named, by what callers ask for.
    names: HashMap<Box<str>, Tiers, RandomState>,
    /// The routes of their own that rules have, by their place.
    of_rules: Vec<Option<Tiers>>,
    candidates: HashMap<Target, Arc<Candidate>, RandomState>,
    /// By provider and pattern: one for each key.
    patterns: Vec<HashMap<Box<str>, Vec<Arc<History>>, RandomState>>,
    /// What chooses among the keys of a provider, or among all that serve a model.
    pub(crate) rank: Arc<dyn Rank>,
}

/// Candidates in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Tiers {
    ranks: Vec<Arc<dyn Rank>>,
    // By tier, the first one first.
    members: Vec<Member>,
    panic: Gate,
}

#[derive(Debug)]
struct Member {
    tier: u16,
    candidate: Arc<Candidate>,
    weight: f64,
}

/// What a name stands for.
#[derive(Debug)]
pub(crate) enum Meaning<'p> {
    /// A route, or a model that an operator named.
    Known(&'p Tiers),
    /// One target that an operator named.
    One(&'p Candidate),
    /// What a caller made up, and providers serve by a pattern. Each with its tier.
    MadeUp(Vec<(u16, Candidate)>),
}

impl Routing {
    /// Looks everything up. What is new gets a history, and histories that nobody needs any more are dropped.
    pub(crate) fn new(plan: Plan, histories: &mut Histories) -> Self {
        let mut building = Building {
            plan: &plan,
            known: std::mem::take(histories),
            used: HashMap::new(),
            candidates: HashMap::default(),
        };
        let mut names = HashMap::default();
        for name in building.plain_names() {
            if let Some(route) = building.plain(&name) {
                let tiers = building.tiers(&route);
                names.insert(name, tiers);
            }
        }
        for (name, route) in &plan.routes {
            let tiers = building.tiers(route);
            names.insert(name.clone(), tiers);
        }
        let of_rules = plan.rules.iter().map(|rule| rule.own_route().map(|route| building.tiers(route))).collect();
        let patterns = building.patterns();
        let Building { used, candidates, .. } = building;
        *histories = used;
        let rank = plan.choosing.rank();
        Self { names, of_rules, candidates, patterns, rank, plan }
    }

    /// What `name` stands for, if anything.
    pub(crate) fn meaning(&self, name: &str) -> Option<Meaning<'_>> {
        match self.names.get(name) {
            Some(tiers) => Some(Meaning::Known(tiers)),
            None => self.made_up(name).map(Meaning::MadeUp),
        }
    }

    /// What the route stands for that the rule at this place has of its own.
    pub(crate) fn of_rule(&self, place: usize) -> Option<Meaning<'_>> {
        self.of_rules.get(place)?.as_ref().map(Meaning::Known)
    }

    /// The provider that stands before the slash in a name that a caller made up, where others serve the whole of it.
    pub(crate) fn named_like<'n>(&self, name: &'n str, meaning: &Meaning<'_>) -> Option<&'n str> {
        let Meaning::MadeUp(members) = meaning else { return None };
        if members.iter().any(|(_, candidate)| candidate.target().model() != name) {
            return None;
        }
        let (provider, _) = name.split_once('/')?;
        self.plan.targets.place(provider).map(|_| provider)
    }

    fn made_up(&self, name: &str) -> Option<Vec<(u16, Candidate)>> {
        let targets = &self.plan.targets;
        let mut members = Vec::new();
        for (tier, (at, model)) in targets.serving(name).into_iter().enumerate() {
            let tier = if self.plan.choosing.is_ordered() { tier_number(tier) } else { 0 };
            let histories = targets.pattern_at(at, model).and_then(|pattern| self.patterns[at].get(pattern));
            let each = targets.targets_at(at, model).zip(histories.into_iter().flatten());
            members.extend(
                each.map(|(target, history)| {
                    (tier, self.plan.described(Candidate::made_up(target, Arc::clone(history))))
                }),
            );
        }
        (!members.is_empty()).then_some(members)
    }

    /// A target that was chosen elsewhere.
    pub(crate) fn chosen(&self, target: &Target) -> Meaning<'_> {
        if let Some(known) = self.candidates.get(target) {
            return Meaning::One(known);
        }
        let of_pattern = || {
            let at = self.plan.targets.place(target.provider())?;
            let pattern = self.plan.targets.pattern_at(at, target.model())?;
            let each = self.plan.targets.targets_at(at, target.model()).zip(self.patterns[at].get(pattern)?);
            each.into_iter().find(|(known, _)| known == target).map(|(_, history)| Arc::clone(history))
        };
        let candidate = Candidate::made_up(target.clone(), of_pattern().unwrap_or_default());
        Meaning::MadeUp(vec![(0, self.plan.described(candidate))])
    }

    /// Every target that an operator named.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.values().map(|candidate| &**candidate)
    }

    /// How the targets have been doing that share a pattern of a provider's: each pattern once, with each key.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Candidate> {
        let targets = &self.plan.targets;
        self.patterns.iter().enumerate().flat_map(move |(at, patterns)| {
            patterns.iter().flat_map(move |(pattern, histories)| {
                let each = targets.targets_at(at, pattern).zip(histories);
                each.map(|(target, history)| Candidate::made_up(target, Arc::clone(history)))
            })
        })
    }
}

impl Meaning<'_> {
    /// Its candidates in the order of the tiers, each with its tier's number.
    pub(crate) fn choices(&self) -> impl Iterator<Item = (u16, Choice<'_>)> {
        let (known, one, made_up): (&[Member], _, &[(u16, Candidate)]) = match self {
            Self::Known(tiers) => (&tiers.members, None, &[]),
            Self::One(candidate) => (&[], Some(*candidate), &[]),
            Self::MadeUp(members) => (&[], None, members),
        };
        let known =
            known.iter().map(|Member { tier, candidate, weight }| (*tier, Choice { candidate, weight: *weight }));
        let others = one.map(|candidate| (0, candidate)).into_iter();
        let others = others.chain(made_up.iter().map(|(tier, candidate)| (*tier, candidate)));
        known.chain(others.map(|(tier, candidate)| (tier, Choice { candidate, weight: 1.0 })))
    }

    /// What chooses among them; `otherwise` where they have nothing of their own.
    pub(crate) fn ranks<'a>(&'a self, otherwise: &'a Arc<dyn Rank>) -> Ranks<'a> {
        match self {
            Self::Known(tiers) => Ranks::Each(&tiers.ranks),
            Self::One(_) | Self::MadeUp(_) => Ranks::Same(&**otherwise),
        }
    }

    /// What limits the calls that are made although everything is open.
    pub(crate) fn panic_gate(&self) -> &Gate {
        match self {
            Self::Known(tiers) => &tiers.panic,
            Self::One(candidate) => candidate.panic_gate(),
            Self::MadeUp(members) => members[0].1.panic_gate(),
        }
    }
}

/// A routing in the making.
struct Building<'p> {
    plan: &'p Plan,
    known: Histories,
    used: Histories,
    candidates: HashMap<Target, Arc<Candidate>, RandomState>,
}

impl Building<'_> {
    /// What callers may ask for that an operator named: models with a name of their own, and those of routes and rules,
    /// alone and behind their provider's name.
    fn plain_names(&self) -> Vec<Box<str>> {
        let Plan { targets, routes, rules, .. } = self.plan;
        let mut names: Vec<Box<str>> = rules.iter().filter_map(|rule| rule.route()).map(Box::from).collect();
        let own = rules.iter().filter_map(|rule| rule.own_route());
        let of_routes = routes.values().chain(own).flat_map(Route::targets).cloned();
        for target in targets.iter().chain(of_routes) {
            names.push(target.model().into());
            names.push(format!("{}/{}", target.provider(), target.model()).into());
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The route that a model's name is: the providers that serve it, most preferred first.
    fn plain(&self, name: &str) -> Option<Route> {
        let targets = &self.plan.targets;
        let entry = |(at, model): (usize, &str)| Entry {
            name: name.into(),
            targets: targets.targets_at(at, model).collect(),
            weight: 1.0,
        };
        let entries: Vec<_> = targets.serving(name).into_iter().map(entry).collect();
        (!entries.is_empty()).then_some(Route { entries, choosing: None, then: Vec::new() })
    }

    fn tiers(&mut self, route: &Route) -> Tiers {
        let mut tiers = Tiers { ranks: Vec::new(), members: Vec::new(), panic: Gate::default() };
        self.add_tiers(&mut tiers, route, &self.plan.choosing);
        tiers
    }

    fn add_tiers(&mut self, tiers: &mut Tiers, route: &Route, otherwise: &Choosing) {
        let choosing = route.choosing.as_ref().unwrap_or(otherwise);
        let mut is_begun = false;
        for entry in &route.entries {
            if !is_begun || choosing.is_ordered() {
                tiers.ranks.push(choosing.rank());
                is_begun = true;
            }
            let tier = tier_number(tiers.ranks.len() - 1);
            for target in &entry.targets {
                // A target that is named twice is called once.
                if tiers.members.iter().all(|member| member.candidate.target() != target) {
                    let candidate = self.candidate(target);
                    tiers.members.push(Member { tier, candidate, weight: entry.weight });
                }
            }
        }
        for then in &route.then {
            self.add_tiers(tiers, then, &Choosing::Ordered);
        }
    }

    fn candidate(&mut self, target: &Target) -> Arc<Candidate> {
        if let Some(candidate) = self.candidates.get(target) {
            return Arc::clone(candidate);
        }
        let history = self.history(target.clone());
        let candidate = Arc::new(self.plan.described(Candidate::with_history(target, history)));
        self.candidates.insert(target.clone(), Arc::clone(&candidate));
        candidate
    }

    fn history(&mut self, key: Target) -> Arc<History> {
        let Self { known, used, .. } = self;
        Arc::clone(used.entry(key).or_insert_with_key(|key| known.remove(key).unwrap_or_default()))
    }

    fn patterns(&mut self) -> Vec<HashMap<Box<str>, Vec<Arc<History>>, RandomState>> {
        let targets = &self.plan.targets;
        let count = targets.providers().count();
        let of_provider = |at| {
            let each = targets.patterns_at(at).map(|pattern| {
                let histories = targets.targets_at(at, pattern).map(|target| self.history(target)).collect();
                (pattern.into(), histories)
            });
            each.collect()
        };
        (0..count).map(of_provider).collect()
    }
}

fn tier_number(tier: usize) -> u16 {
    // A route of more tiers would take longer than any caller waits; the last ones are one then.
    u16::try_from(tier).unwrap_or(u16::MAX)
}
