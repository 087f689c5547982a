//! Which tool call a streamed fragment belongs to.

use llm_core::{Error, ErrorKind};

/// The most tool calls of one choice; whoever sends more means harm.
const MAX_CALLS: usize = 1024;

/// The tool calls of one choice so far, numbered in the order in which they began.
///
/// OpenAI numbers them itself. Compatible servers leave the number out, give every call the number 0, leave the id out
/// or repeat it on every fragment, so a fragment that brings a name and another id, or without ids another name, begins
/// another call, whatever its number.
#[derive(Default)]
pub(crate) struct ToolCalls(Vec<Known>);

struct Known {
    number: Option<u32>,
    id: Option<Box<str>>,
    name: Option<Box<str>>,
}

/// What a fragment says of the call it belongs to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fragment<'a> {
    pub(crate) number: Option<u32>,
    pub(crate) id: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
}

impl ToolCalls {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The index of the call that `fragment` belongs to, counted from 0.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when there are more than 1,024 calls.
    pub(crate) fn find(&mut self, fragment: Fragment<'_>) -> Result<u32, Error> {
        if let Some(at) = self.position(fragment) {
            let known = &mut self.0[at];
            known.id = known.id.take().or_else(|| fragment.id.map(Box::from));
            known.name = known.name.take().or_else(|| fragment.name.map(Box::from));
            return Ok(at as u32);
        }
        if self.0.len() == MAX_CALLS {
            return Err(Error::new(ErrorKind::Undecodable, "the answer has too many tool calls"));
        }
        let Fragment { number, id, name } = fragment;
        self.0.push(Known { number, id: id.map(Box::from), name: name.map(Box::from) });
        Ok(self.0.len() as u32 - 1)
    }

    fn position(&self, fragment: Fragment<'_>) -> Option<usize> {
        let Fragment { number, id, name } = fragment;
        if number.is_some() {
            let at = self.0.iter().rposition(|known| known.number == number)?;
            let known = &self.0[at];
            let is_another = match (id, known.id.as_deref()) {
                (Some(id), Some(known)) => name.is_some() && id != known,
                (None, None) => name.is_some() && known.name.is_some() && name != known.name.as_deref(),
                _ => false,
            };
            return (!is_another).then_some(at);
        }
        if id.is_some() {
            return self.0.iter().rposition(|known| known.id.as_deref() == id);
        }
        if name.is_some() { None } else { self.0.len().checked_sub(1) }
    }
}

impl std::fmt::Debug for ToolCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ToolCalls({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(fragments: &[(Option<u32>, Option<&str>, bool)]) -> Vec<u32> {
        let mut calls = ToolCalls::default();
        let mut find = |&(number, id, has_name): &(_, _, bool)| {
            calls.find(Fragment { number, id, name: has_name.then_some("f") }).unwrap()
        };
        fragments.iter().map(&mut find).collect()
    }

    #[test]
    fn numbered_fragments_join_by_number_in_any_order() {
        let found = indices(&[
            (Some(0), Some("a"), true),
            (Some(1), Some("b"), true),
            (Some(0), None, false),
            (Some(1), None, false),
        ]);
        assert_eq!(found, [0, 1, 0, 1]);
    }

    #[test]
    fn an_id_repeated_on_every_fragment_is_one_call() {
        let numbered = indices(&[(Some(0), Some("a"), true), (Some(0), Some("a"), true)]);
        assert_eq!(numbered, [0, 0]);
        let bare = indices(&[(None, Some("a"), true), (None, Some("a"), true), (None, Some("b"), true)]);
        assert_eq!(bare, [0, 0, 1]);
    }

    #[test]
    fn without_number_and_id_a_name_begins_a_call() {
        let found = indices(&[(None, None, true), (None, None, false), (None, None, true), (None, None, false)]);
        assert_eq!(found, [0, 0, 1, 1]);
    }

    #[test]
    fn whole_calls_that_are_all_numbered_zero_are_several() {
        let found = indices(&[(Some(0), Some("a"), true), (Some(0), Some("b"), true), (Some(0), None, false)]);
        assert_eq!(found, [0, 1, 1]);
    }

    #[test]
    fn without_ids_another_name_under_the_same_number_is_another_call() {
        let mut calls = ToolCalls::default();
        let names = [Some("f"), None, Some("f"), Some("g"), None];
        let found = names.map(|name| calls.find(Fragment { number: Some(0), id: None, name }).unwrap());
        assert_eq!(found, [0, 0, 0, 1, 1]);
    }

    #[test]
    fn the_number_of_calls_is_bounded() {
        let mut calls = ToolCalls::default();
        let mut results = (0..2000).map(|number| calls.find(Fragment { number: Some(number), ..Fragment::default() }));
        let error = results.find_map(Result::err).unwrap();
        assert_eq!(error.kind(), ErrorKind::Undecodable);
    }
}
