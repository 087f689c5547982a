//! Which rules no call can ever reach.

use std::fmt;

use llm_core::catalog::Capability;

use super::{
    Needs, Pattern, Rule, When,
    when::{Names, Span},
};

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
        match self {
            Self::Contradiction(why) => write!(f, "it is never reached: {why}"),
            Self::Covered(places) => match &places[..] {
                [place] => write!(f, "it is never reached: rules[{place}] holds whenever it would"),
                places => {
                    f.write_str("it is never reached: ")?;
                    for (at, place) in places.iter().enumerate() {
                        let before = if at == 0 {
                            ""
                        } else if at + 1 == places.len() {
                            " or "
                        } else {
                            ", "
                        };
                        write!(f, "{before}rules[{place}]")?;
                    }
                    f.write_str(" holds whenever it would")
                }
            },
        }
    }
}

/// The rules of `rules` that are never reached.
pub(super) fn unreachable(rules: &[Rule]) -> Vec<Unreachable> {
    let cause = |place: usize| {
        let earlier: Vec<(usize, &When)> = rules[..place].iter().map(|rule| &rule.when).enumerate().collect();
        match Calls::of(&rules[place].when) {
            Err(why) => Some(Cause::Contradiction(why)),
            Ok(calls) => covered_by(&calls, &earlier).map(Cause::Covered),
        }
    };
    (0..rules.len()).filter_map(|place| Some(Unreachable { place, cause: cause(place)? })).collect()
}

/// The places of the earlier rules that together hold for all `calls`, if they are found.
fn covered_by(calls: &Calls<'_>, earlier: &[(usize, &When)]) -> Option<Vec<usize>> {
    let covers_but = |when: &When, spared: Option<Key>| {
        Key::ALL.into_iter().filter(|key| Some(*key) != spared).all(|key| key.covers(&[when], calls))
    };
    if let Some((place, _)) = earlier.iter().find(|(_, when)| covers_but(when, None)) {
        return Some(vec![*place]);
    }
    // Rules that hold for all the calls but for what they say of one key hold for all of them together if they do so in
    // that key.
    Key::ALL.into_iter().find_map(|key| {
        let mut together: Vec<_> = earlier.iter().copied().filter(|(_, when)| covers_but(when, Some(key))).collect();
        let cover =
            |those: &[(usize, &When)]| key.covers(&those.iter().map(|(_, when)| *when).collect::<Vec<_>>(), calls);
        if !cover(&together) {
            return None;
        }
        for at in (0..together.len()).rev() {
            let spared = together.remove(at);
            if !cover(&together) {
                together.insert(at, spared);
            }
        }
        Some(together.into_iter().map(|(place, _)| place).collect())
    })
}

/// The keys of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Stream,
    Sensitivity,
    Intent,
    Workflow,
    Tenant,
    User,
    Model,
    Tags,
    Needs,
    InputTokens,
}

impl Key {
    const ALL: [Self; 10] = [
        Self::Stream,
        Self::Sensitivity,
        Self::Intent,
        Self::Workflow,
        Self::Tenant,
        Self::User,
        Self::Model,
        Self::Tags,
        Self::Needs,
        Self::InputTokens,
    ];

    /// Whether in this key one of the `earlier` conditions holds for each of the `calls`, the other keys aside.
    fn covers(self, earlier: &[&When], calls: &Calls<'_>) -> bool {
        let Calls { when, stream, needs } = calls;
        let has_all_of = |stated: fn(&When) -> &Option<Names>| match stated(when) {
            None => earlier.iter().any(|earlier| stated(earlier).is_none()),
            Some(names) => names.iter().all(|name| {
                earlier.iter().any(|earlier| stated(earlier).as_ref().is_none_or(|names| names.contains(name)))
            }),
        };
        match self {
            Self::Stream => {
                both(*stream, |side| earlier.iter().any(|earlier| earlier.stream.is_none_or(|s| s == side)))
            }
            Self::Sensitivity => both(when.sensitivity.map(|sensitivity| sensitivity.is_sensitive()), |side| {
                let holds = |earlier: &&When| earlier.sensitivity.is_none_or(|known| known.is_sensitive() == side);
                earlier.iter().any(holds)
            }),
            Self::Intent => has_all_of(|when| &when.intent),
            Self::Workflow => has_all_of(|when| &when.workflow),
            Self::Tenant => has_all_of(|when| &when.tenant),
            Self::User => has_all_of(|when| &when.user),
            Self::Model => {
                let all = [Pattern::new("*")];
                let models = when.model.as_deref().unwrap_or(&all);
                models.iter().all(|model| {
                    earlier.iter().any(|earlier| {
                        earlier.model.as_ref().is_none_or(|known| known.iter().any(|known| known.covers(model)))
                    })
                })
            }
            // Of the calls some bear no other tags than they must, so one condition alone has to hold for these.
            Self::Tags => earlier.iter().any(|earlier| earlier.tags.iter().all(|tag| when.tags.contains(tag))),
            Self::Needs => {
                let of = |earlier: &&When| earlier.needs.unwrap_or(Needs::all());
                earlier.iter().map(of).fold(Needs::default(), Needs::or).closed().has_all_of(*needs)
            }
            Self::InputTokens => {
                let spans = earlier.iter().map(|earlier| earlier.input_tokens.unwrap_or(Span::ALL));
                spans_cover(spans.collect(), when.input_tokens.unwrap_or(Span::ALL))
            }
        }
    }
}

/// Whether `holds` is true for the side that is stated, or for both where none is.
fn both(stated: Option<bool>, holds: impl Fn(bool) -> bool) -> bool {
    stated.map_or_else(|| holds(false) && holds(true), &holds)
}

fn spans_cover(mut spans: Vec<Span>, whole: Span) -> bool {
    spans.sort_by_key(|span| span.first);
    let mut first_missing = whole.first;
    for span in spans {
        if span.first <= first_missing && span.last >= first_missing {
            if span.last >= whole.last {
                return true;
            }
            first_missing = span.last + 1;
        }
    }
    false
}

/// The calls for which a condition holds, key by key. Two keys depend on each other: only chats stream.
struct Calls<'a> {
    when: &'a When,
    stream: Option<bool>,
    needs: Needs,
}

impl<'a> Calls<'a> {
    /// Says why there are none, if there are none.
    fn of(when: &'a When) -> Result<Self, &'static str> {
        let lists = [&when.intent, &when.workflow, &when.tenant, &when.user];
        if lists.into_iter().flatten().any(|names| names.is_empty())
            || when.model.as_ref().is_some_and(|models| models.is_empty())
        {
            return Err("an empty list holds for nothing");
        }
        if when.input_tokens.is_some_and(|span| span.first > span.last) {
            return Err("no number of tokens is in that range");
        }
        let needs = when.needs.map_or(Needs::all(), Needs::closed).among(Needs::all());
        if needs.is_empty() {
            return Err("no request needs that");
        }
        let needs = match when.stream {
            Some(true) => needs.among(Needs::of_chats()),
            Some(false) | None => needs,
        };
        if needs.is_empty() {
            return Err("embeddings are never streamed");
        }
        let are_embeddings = needs == Needs::default().and(Capability::Embeddings);
        Ok(Self { when, stream: if are_embeddings { Some(false) } else { when.stream }, needs })
    }
}
