//! Who a thread works for.

/// How many tenants are many.
pub const MANY: usize = 10_000;

/// Coprime with [`MANY`], so that its multiples come by all of them, and by none that is near the one before.
const STRIDE: usize = 7_919;

/// Who the threads of a round work for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenants {
    /// All of them for the same tenant.
    One,
    /// Each for a tenant of its own.
    OneAThread,
    /// Each for [`MANY`] by turns, at different ones at any time.
    Many,
}

impl Tenants {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::One, Self::OneAThread, Self::Many];

    /// How it is told in the name of a case.
    pub fn name(self) -> String {
        match self {
            Self::One => "one tenant".into(),
            Self::OneAThread => "a tenant each".into(),
            Self::Many => format!("{MANY} tenants"),
        }
    }

    /// The names of those that this thread works for, in turn.
    pub fn of(self, thread: usize) -> Vec<String> {
        match self {
            Self::One => vec!["acme".into()],
            Self::OneAThread => vec![format!("acme-{thread}")],
            Self::Many => {
                (0..MANY).map(|turn| format!("acme-{:04}", (thread * MANY / 2 + turn * STRIDE) % MANY)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_thread_has_its_turn_with_all_tenants_and_never_with_another() {
        let [one, other] = [0, 1].map(|thread| Tenants::Many.of(thread));
        assert_eq!(one.iter().collect::<HashSet<_>>().len(), MANY);
        assert_eq!(one.iter().collect::<HashSet<_>>(), other.iter().collect());
        assert!(one.iter().zip(&other).all(|(one, other)| one != other));
        assert_ne!(Tenants::OneAThread.of(0), Tenants::OneAThread.of(1));
        assert_eq!(Tenants::One.of(0), Tenants::One.of(1));
    }
}
