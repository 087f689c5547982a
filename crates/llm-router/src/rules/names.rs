//! Names in conditions.

/// A name, or the beginning of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This name.
    Exact(Box<str>),
    /// Every name that begins so.
    Beginning(Box<str>),
}

impl Pattern {
    /// A name, or a beginning with a `*` behind it.
    pub(crate) fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(beginning) => Self::Beginning(beginning.into()),
            None => Self::Exact(text.into()),
        }
    }

    pub(crate) fn stands_for(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => **own == *name,
            Self::Beginning(own) => name.starts_with(&**own),
        }
    }

    /// Whether it stands for all that `other` does.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(name)) => self.stands_for(name),
            (Self::Beginning(own), Self::Beginning(longer)) => longer.starts_with(&**own),
            (Self::Exact(_), Self::Beginning(_)) => false,
        }
    }
}
