//! Rules that say which calls go to which route: conditions, and the first of them that holds.

mod facts;
mod names;
mod needs;
mod reach;
mod when;

use std::fmt;

use crate::Route;

use self::names::Pattern;
pub(crate) use self::needs::{Needs, name_of};
pub use self::{
    facts::Facts,
    reach::{Cause, Unreachable},
    when::When,
};

/// Rules in their order. The first one whose condition holds decides, and the others are not looked at.
///
/// ```
/// use llm_core::LlmRequest;
/// use llm_router::{Facts, Rule, Rules, When};
///
/// let rules = Rules::new([
///     Rule::new(When::new().intent(["code"]).input_tokens(..=4_000)).to("coder").named("code goes to the coder"),
///     Rule::new(When::new().workflow(["routing", "extraction"])).to("fast"),
/// ]);
///
/// let mut request = LlmRequest::chat("smart").user("fn main() {").build();
/// request.context_mut().set_intent("code");
/// let rule = rules.choose(&mut Facts::of(&request)).expect("the first rule is about code");
/// assert_eq!(rule.route(), Some("coder"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rules(Box<[Rule]>);

impl Rules {
    /// These rules. What they say is taken as it is; [`unreachable`](Self::unreachable) finds those that are in vain.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self(rules.into_iter().enumerate().map(|(place, rule)| Rule { place, ..rule }).collect())
    }

    /// The first rule whose condition holds. Pure: the same facts always choose the same rule.
    pub fn choose(&self, facts: &mut Facts<'_>) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.when.holds(facts))
    }

    /// The rules that no call can ever reach, each with the cause.
    ///
    /// That is exact for what conditions can say of a call, whether one earlier rule is the cause or several together,
    /// but for two things: that a prompt is never of no tokens at all is not considered, and rules that are so entangled
    /// that it would take long to tell are taken for reached.
    pub fn unreachable(&self) -> Vec<Unreachable> {
        reach::unreachable(&self.0)
    }

    /// Every rule, in its place.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A condition, and what becomes of the calls for which it holds.
///
/// A rule that is given nothing to do lets its calls go where they would have gone, past all later rules. Displays as
/// its name, or as its place where it has none.
#[derive(Clone, Debug)]
pub struct Rule {
    when: When,
    name: Option<Box<str>>,
    effect: Effect,
    required_tags: Box<[Box<str>]>,
    // Among the rules, once it is one of them.
    place: usize,
}

#[derive(Clone, Debug)]
enum Effect {
    Stay,
    Use(Box<str>),
    UseOwn(Route),
    Refuse(Box<str>),
}

impl Rule {
    /// A rule for the calls for which `when` holds.
    pub fn new(when: When) -> Self {
        Self { when, name: None, effect: Effect::Stay, required_tags: Box::default(), place: 0 }
    }

    /// They go where a call would that asks for this route or model, whatever they ask for. Of this,
    /// [`to_own`](Self::to_own) and [`refuse`](Self::refuse) the last one holds.
    pub fn to(mut self, route: impl Into<Box<str>>) -> Self {
        self.effect = Effect::Use(route.into());
        self
    }

    /// They go to a route that has no name, and that nobody can ask for.
    pub fn to_own(mut self, route: Route) -> Self {
        self.effect = Effect::UseOwn(route);
        self
    }

    /// They are refused with this sentence, which the caller gets: lowercase, no full stop.
    pub fn refuse(mut self, sentence: impl Into<Box<str>>) -> Self {
        self.effect = Effect::Refuse(sentence.into());
        self
    }

    /// They go only to targets that bear all these tags.
    pub fn require_tags(mut self, tags: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.required_tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// What the rule is called in logs and in the handle.
    pub fn named(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// When it holds.
    pub fn when(&self) -> &When {
        &self.when
    }

    /// What it is called.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The route or model that its calls go to, where it names one.
    pub fn route(&self) -> Option<&str> {
        match &self.effect {
            Effect::Use(route) => Some(route),
            Effect::Stay | Effect::UseOwn(_) | Effect::Refuse(_) => None,
        }
    }

    /// The route that its calls go to, where it has one of its own.
    pub fn own_route(&self) -> Option<&Route> {
        match &self.effect {
            Effect::UseOwn(route) => Some(route),
            Effect::Stay | Effect::Use(_) | Effect::Refuse(_) => None,
        }
    }

    /// The sentence that its calls are refused with, where they are.
    pub fn refusal(&self) -> Option<&str> {
        match &self.effect {
            Effect::Refuse(sentence) => Some(sentence),
            Effect::Stay | Effect::Use(_) | Effect::UseOwn(_) => None,
        }
    }

    /// The tags that a target must bear.
    pub fn required_tags(&self) -> &[Box<str>] {
        &self.required_tags
    }

    /// Its place among the rules, from 0.
    pub fn place(&self) -> usize {
        self.place
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "rules[{}]", self.place),
        }
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
