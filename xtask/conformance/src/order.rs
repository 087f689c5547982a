//! The five layers, and the 120 orders in which they can stand.

use std::{fmt, str::FromStr};

/// One of the five layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `llm-cache`.
    Cache,
    /// `llm-router`.
    Router,
    /// `llm-retry`.
    Retry,
    /// `llm-budget`.
    Budget,
    /// `llm-breaker`.
    Breaker,
}

impl Kind {
    /// All of them, in the recommended order.
    pub const ALL: [Self; 5] = [Self::Cache, Self::Router, Self::Retry, Self::Budget, Self::Breaker];

    /// As it is written in an order.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Router => "router",
            Self::Retry => "retry",
            Self::Budget => "budget",
            Self::Breaker => "breaker",
        }
    }

    /// Whether it is ready when its inner service is. The others are always ready.
    pub const fn passes_readiness(self) -> bool {
        matches!(self, Self::Retry)
    }

    /// Whether it may call its inner service again for one call.
    pub const fn may_call_again(self) -> bool {
        matches!(self, Self::Router | Self::Retry)
    }

    /// Whether it keeps what comes before content until content comes.
    pub const fn holds_back(self) -> bool {
        matches!(self, Self::Cache | Self::Router | Self::Retry)
    }
}

/// An order of the five, outermost first: `cache>router>retry>budget>breaker`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order([Kind; 5]);

impl Order {
    /// Every order, each once.
    pub fn all() -> Vec<Self> {
        let mut orders = vec![Vec::new()];
        for _ in Kind::ALL {
            let longer = |order: Vec<Kind>| {
                let left = Kind::ALL.into_iter().filter(|kind| !order.contains(kind)).collect::<Vec<_>>();
                left.into_iter().map(move |kind| [order.as_slice(), &[kind]].concat())
            };
            orders = orders.into_iter().flat_map(longer).collect();
        }
        let whole = |order: Vec<Kind>| Self(order.try_into().expect("one of each was added"));
        orders.into_iter().map(whole).collect()
    }

    /// The layers, outermost first.
    pub fn kinds(&self) -> &[Kind; 5] {
        &self.0
    }

    /// Whether `one` stands somewhere outside `other`.
    pub fn is_above(&self, one: Kind, other: Kind) -> bool {
        let place = |kind| self.0.iter().position(|own| *own == kind);
        place(one) < place(other)
    }

    /// Whether a layer waits itself until the provider is ready, since all below it pass that on.
    pub fn shows_readiness_to(&self, kind: Kind) -> bool {
        self.0.iter().rev().take_while(|own| **own != kind).all(|below| below.passes_readiness())
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(Kind::name).join(">"))
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let orders = Self::all();
        let order = orders.into_iter().find(|order| order.to_string() == text);
        order.ok_or_else(|| format!("`{text}` is no order of {}", Kind::ALL.map(Kind::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_120_orders_and_the_recommended_one_is_the_first() {
        let orders = Order::all();
        assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), 120);
        assert_eq!(orders[0].to_string(), "cache>router>retry>budget>breaker");
        for order in &orders {
            assert_eq!(order.kinds().iter().collect::<BTreeSet<_>>().len(), 5);
            assert_eq!(order.to_string().parse(), Ok(*order));
        }
    }

    #[test]
    fn outside_is_above() {
        let order = Order::all()[0];
        assert!(order.is_above(Kind::Cache, Kind::Breaker));
        assert!(!order.is_above(Kind::Budget, Kind::Retry));
    }
}
