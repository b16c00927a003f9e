//! Some of a worker's connections, by their numbers.

/// Place of a number that is not in the set.
const NOWHERE: usize = usize::MAX;

/// A set of small numbers: adding, removing and asking take the same few instructions however many there
/// are, and going through it touches its members only. A number costs eight bytes, up to the highest that was ever
/// added.
///
/// Source: P. Briggs, L. Torczon, "An efficient representation for sparse sets" (1993); ours sets the
/// places of absent numbers, so that none has to be verified.
#[derive(Debug, Default)]
pub(crate) struct SparseSet {
    members: Vec<usize>,
    /// By number: where it stands among the members.
    places: Vec<usize>,
}

impl SparseSet {
    /// Its members, in no order. Removing one moves the last to its place.
    pub(crate) fn members(&self) -> &[usize] {
        &self.members
    }

    /// Adds a number, or removes it.
    #[inline]
    pub(crate) fn set(&mut self, number: usize, is_member: bool) {
        let place = self.places.get(number).copied().unwrap_or(NOWHERE);
        match (is_member, place) {
            (true, NOWHERE) => self.add(number),
            (false, place) if place != NOWHERE => self.remove(number, place),
            _ => {}
        }
    }

    fn add(&mut self, number: usize) {
        if number >= self.places.len() {
            self.places.resize(number + 1, NOWHERE);
        }
        self.places[number] = self.members.len();
        self.members.push(number);
    }

    fn remove(&mut self, number: usize, place: usize) {
        self.places[number] = NOWHERE;
        self.members.swap_remove(place);
        if let Some(&moved) = self.members.get(place) {
            self.places[moved] = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_has_what_a_set_has(steps in prop::collection::vec((0_usize..40, any::<bool>()), 0..200)) {
            let (mut set, mut model) = (SparseSet::default(), BTreeSet::new());
            for (number, is_member) in steps {
                set.set(number, is_member);
                match is_member {
                    true => model.insert(number),
                    false => model.remove(&number),
                };
                let mut members = set.members().to_vec();
                members.sort_unstable();
                prop_assert!(members.iter().eq(&model));
            }
        }
    }
}
