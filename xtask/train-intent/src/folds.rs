//! Parts of the examples, to be held out in turn.

use std::{borrow::Borrow, collections::BTreeMap};

use crate::{example::Example, model};

/// The part of each example, from 0 to below `count`. Each part has about as many of each kind and label.
pub fn of(examples: &[&Example], count: usize, seed: u64) -> Vec<usize> {
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, example) in examples.iter().enumerate() {
        groups.entry((example.kind, example.label)).or_default().push(place);
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut parts = vec![0; examples.len()];
    let mut next = (0..count).cycle();
    for group in groups.values_mut() {
        model::shuffle(group, &mut random);
        for (&mut place, part) in group.iter_mut().zip(&mut next) {
            parts[place] = part;
        }
    }
    parts
}

/// What is in `part`, and the rest.
pub fn split<'a, T: Borrow<Example>>(
    examples: &'a [T],
    parts: &[usize],
    part: usize,
) -> (Vec<&'a Example>, Vec<&'a Example>) {
    let (held_out, learned): (Vec<_>, Vec<_>) = examples.iter().zip(parts).partition(|(_, of)| **of == part);
    let examples = |pairs: Vec<(&'a T, &usize)>| pairs.into_iter().map(|(example, _)| example.borrow()).collect();
    (examples(held_out), examples(learned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::{Kind, Prompt};

    #[test]
    fn each_part_has_as_many_of_each_label_and_nothing_is_in_two() {
        let prompt = |label| Prompt { text: "Why?".into(), label, source: String::new(), kind: Kind::Own };
        let examples: Vec<Example> = (0..40).map(|place| Example::of(&prompt(place % 2))).collect();
        let all: Vec<&Example> = examples.iter().collect();
        let parts = of(&all, 4, 1);
        for part in 0..4 {
            let (held_out, learned) = split(&all, &parts, part);
            assert_eq!((held_out.len(), learned.len()), (10, 30));
            assert_eq!(held_out.iter().filter(|example| example.label == 0).count(), 5);
            assert!(held_out.iter().all(|one| learned.iter().all(|other| !std::ptr::eq(*one, *other))));
        }
        assert_eq!(of(&all, 4, 1), parts);
        assert_ne!(of(&all, 4, 2), parts);
    }
}
