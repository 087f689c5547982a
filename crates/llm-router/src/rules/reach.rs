//! Which rules no call can ever reach.
//!
//! A condition is a product of sets, one for each key. Of each key of a rule's condition a few values are looked at, so
//! chosen that an earlier condition which holds for all of them holds for all that the rule's does: a name that no list
//! has stands for all that are in no list, the call with the fewest tags for all that bear more. A rule is in vain if
//! for every combination of such values an earlier rule holds.

use std::fmt;

use llm_core::catalog::Capability;

use super::{
    Needs, Pattern, Rule, When,
    when::{Names, Span},
};

/// After so many steps the search for a combination that no rule holds for is given up, and the rule taken for one that
/// calls reach. In general the question is NP-hard; the rules that people write take some tens of steps.
const MOST_STEPS: usize = 10_000;

/// A rule that no call can ever reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Its place among the rules, from 0.
    pub place: usize,
    /// Why.
    pub cause: Cause,
}

/// Why a rule is never reached. Displays as a sentence about the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its condition never holds, and this is why.
    Contradiction(&'static str),
    /// One of the earlier rules in these places always holds when it would.
    Covered(Vec<usize>),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is never reached: ")?;
        match self {
            Self::Contradiction(why) => f.write_str(why),
            Self::Covered(places) => {
                for (at, place) in places.iter().enumerate() {
                    let before = match at {
                        0 => "",
                        _ if at + 1 == places.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{before}rules[{place}]")?;
                }
                f.write_str(" holds whenever it would")
            }
        }
    }
}

/// The rules of `rules` that are never reached.
pub(super) fn unreachable(rules: &[Rule]) -> Vec<Unreachable> {
    let cause = |place: usize| match keys(&rules[place].when, &rules[..place]) {
        Err(why) => Some(Cause::Contradiction(why)),
        Ok(keys) => {
            let mut search = Search { steps: 0, used: Vec::new() };
            let covers = search.covers(&keys, (0..place).collect());
            search.used.sort_unstable();
            covers.then_some(Cause::Covered(search.used))
        }
    };
    (0..rules.len()).filter_map(|place| Some(Unreachable { place, cause: cause(place)? })).collect()
}

/// The earlier rules that hold for one value of a key, the other keys aside: their places, in order.
type Holders = Vec<usize>;

struct Search {
    steps: usize,
    // The rules that were found to hold.
    used: Vec<usize>,
}

impl Search {
    /// Whether for each combination of values of `keys` one of these rules holds.
    fn covers(&mut self, keys: &[Vec<Holders>], rules: Holders) -> bool {
        let always = |rule: &&usize| keys.iter().flatten().all(|holders| holders.binary_search(rule).is_ok());
        let is_used = |rule: &&usize| self.used.contains(rule);
        if let Some(rule) = rules.iter().filter(is_used).find(always).or_else(|| rules.iter().find(always)) {
            if !self.used.contains(rule) {
                self.used.push(*rule);
            }
            return true;
        }
        self.steps += 1;
        let Some((first, rest)) = keys.split_first().filter(|_| !rules.is_empty() && self.steps < MOST_STEPS) else {
            return false;
        };
        first.iter().all(|holders| {
            let both = rules.iter().copied().filter(|rule| holders.binary_search(rule).is_ok());
            self.covers(rest, both.collect())
        })
    }
}

/// For each key the values of `when` that must be looked at, as the earlier rules that hold for them. Says why its
/// condition never holds, if a key has none.
fn keys(when: &When, earlier: &[Rule]) -> Result<Vec<Vec<Holders>>, &'static str> {
    let holders = |holds: &dyn Fn(&When) -> bool| -> Holders {
        earlier.iter().enumerate().filter(|(_, rule)| holds(&rule.when)).map(|(place, _)| place).collect()
    };
    let names = |stated: fn(&When) -> &Option<Names>| match stated(when) {
        // One that no list has.
        None => vec![holders(&|earlier| stated(earlier).is_none())],
        Some(names) => names
            .iter()
            .map(|name| holders(&|earlier| stated(earlier).as_ref().is_none_or(|names| names.contains(name))))
            .collect(),
    };
    let all_models = [Pattern::new("*")];
    let models = when.model.as_deref().unwrap_or(&all_models).iter();
    // Of what begins so, one that goes on as no other pattern does.
    let models = models.map(|model| {
        holders(&|earlier| earlier.model.as_ref().is_none_or(|known| known.iter().any(|known| known.covers(model))))
    });
    // The call that bears no more than it must.
    let tags = vec![holders(&|earlier| earlier.tags.iter().all(|tag| when.tags.contains(tag)))];
    let sensitivities =
        [false, true].into_iter().filter(|side| when.sensitivity.is_none_or(|s| s.is_sensitive() == *side));
    let sensitivities = sensitivities
        .map(|side| holders(&|earlier| earlier.sensitivity.is_none_or(|known| known.is_sensitive() == side)));
    let kinds = kinds(when)?.into_iter().map(|(needs, stream)| {
        holders(&|earlier| {
            earlier.stream.is_none_or(|known| known == stream)
                && earlier.needs.is_none_or(|known| needs.has_any_of(known))
        })
    });
    let span = when.input_tokens.unwrap_or(Span::ALL);
    let spans = earlier.iter().filter_map(|rule| rule.when.input_tokens);
    // Where the earlier rules begin or have ended.
    let ends = spans.flat_map(|span| [Some(span.first), span.last.checked_add(1)]).flatten();
    let tokens = ends.chain([span.first]).filter(|tokens| span.contains(*tokens));
    let tokens: Vec<_> = tokens
        .map(|tokens| holders(&|earlier| earlier.input_tokens.is_none_or(|span| span.contains(tokens))))
        .collect();
    if tokens.is_empty() {
        return Err("no number of tokens is in that range");
    }
    let keys = [
        names(|when| &when.intent),
        names(|when| &when.workflow),
        names(|when| &when.tenant),
        names(|when| &when.user),
        models.collect(),
        tags,
        sensitivities.collect(),
        kinds.collect(),
        tokens,
    ];
    if keys.iter().any(Vec::is_empty) {
        return Err("an empty list holds for nothing");
    }
    Ok(keys.map(hardest).into())
}

/// The values that matter: where a rule holds for one it holds for those for which it and others do.
fn hardest(mut values: Vec<Holders>) -> Vec<Holders> {
    values.sort_by_key(Vec::len);
    let mut hardest: Vec<Holders> = Vec::new();
    for holders in values {
        if !hardest.iter().any(|fewer| fewer.iter().all(|rule| holders.binary_search(rule).is_ok())) {
            hardest.push(holders);
        }
    }
    hardest
}

/// The kinds of call for which `when` holds: what they need at least, and whether they stream, which only chats do.
fn kinds(when: &When) -> Result<Vec<(Needs, bool)>, &'static str> {
    let any = Needs::default().and(Capability::Chat).and(Capability::Embeddings);
    let least = |capability| match capability {
        Capability::Embeddings => Needs::default().and(Capability::Embeddings),
        capability => Needs::default().and(Capability::Chat).and(capability),
    };
    let needs: Vec<_> = when.needs.unwrap_or(any).iter().map(least).collect();
    if needs.is_empty() {
        return Err("no request needs that");
    }
    let sides = |needs: Needs| {
        let streams = when.stream.unwrap_or(true) && !needs.has(Capability::Embeddings);
        let is_whole = !when.stream.unwrap_or(false);
        [streams.then_some((needs, true)), is_whole.then_some((needs, false))]
    };
    let kinds: Vec<_> = needs.into_iter().flat_map(sides).flatten().collect();
    if kinds.is_empty() { Err("embeddings are never streamed") } else { Ok(kinds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_takes_too_long_is_given_up() {
        let keys = vec![vec![vec![0], vec![1]], vec![vec![0, 1]]];
        let mut search = Search { steps: 0, used: Vec::new() };
        assert!(search.covers(&keys, vec![0, 1]));
        assert_eq!((search.steps, &search.used[..]), (1, &[0, 1][..]));
        let mut tired = Search { steps: MOST_STEPS - 1, used: Vec::new() };
        assert!(!tired.covers(&keys, vec![0, 1]));
    }
}
