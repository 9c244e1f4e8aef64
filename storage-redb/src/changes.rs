//! What has to be done to the file.

use std::collections::{BTreeMap, HashMap};

use crate::row::Place;

/// Changes as callers note them, which has to be quick: what is to be put, by id, and which places are to be cleared.
///
/// What comes and goes leaves nothing here.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    puts: HashMap<u64, (u64, Box<[u8]>)>,
    clears: Vec<Place>,
}

impl Notes {
    /// Puts bytes in a new place.
    pub(crate) fn put(&mut self, place: Place, bytes: Box<[u8]>) {
        self.puts.insert(place.id, (place.expires, bytes));
    }

    /// Clears a place. If it was to be filled here, the file never heard of it.
    pub(crate) fn clear(&mut self, place: Place) {
        if self.puts.remove(&place.id).is_none() {
            self.clears.push(place);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.puts.len() + self.clears.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.clears.is_empty()
    }
}

/// The last word on every place that is not yet as it should be: bytes to put there, or `None` to clear it.
///
/// There are never more of them than records held and records in the file, however long nobody makes them.
#[derive(Debug, Default)]
pub(crate) struct Changes(BTreeMap<Place, Option<Box<[u8]>>>);

impl Changes {
    /// Adds what has to be done after this. Places with an id above `tried` cannot be in the file, whatever became of the
    /// attempts to make these changes.
    pub(crate) fn append(&mut self, notes: Notes, tried: u64) {
        for place in notes.clears {
            if place.id > tried {
                self.0.remove(&place);
            } else {
                self.0.insert(place, None);
            }
        }
        let puts = notes.puts.into_iter().map(|(id, (expires, bytes))| (Place { expires, id }, Some(bytes)));
        self.0.extend(puts);
    }

    /// Calls `clear` with every place that is to be cleared, and forgets those for which it says that nothing was there.
    ///
    /// # Errors
    /// The first of `clear`.
    pub(crate) fn try_clear<E>(&mut self, mut clear: impl FnMut(Place) -> Result<bool, E>) -> Result<(), E> {
        let mut result = Ok(());
        self.0.retain(|place, change| {
            if change.is_some() || result.is_err() {
                return true;
            }
            match clear(*place) {
                Ok(was_there) => was_there,
                Err(error) => {
                    result = Err(error);
                    true
                }
            }
        });
        result
    }

    /// What is to be put, in the order of places.
    pub(crate) fn puts(&self) -> impl Iterator<Item = (Place, &[u8])> {
        self.0.iter().filter_map(|(place, change)| Some((*place, change.as_deref()?)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: u64) -> Place {
        Place { expires: 7, id }
    }

    fn notes(puts: &[u64], clears: &[u64]) -> Notes {
        let mut notes = Notes::default();
        puts.iter().for_each(|id| notes.put(place(*id), Box::from([0])));
        clears.iter().for_each(|id| notes.clear(place(*id)));
        notes
    }

    fn listed(changes: &Changes) -> Vec<(u64, bool)> {
        changes.0.iter().map(|(place, change)| (place.id, change.is_some())).collect()
    }

    #[test]
    fn what_comes_and_goes_between_two_commits_never_reaches_the_file() {
        let notes = notes(&[1, 2], &[1, 0]);
        assert_eq!(notes.len(), 2);
        let mut changes = Changes::default();
        changes.append(notes, 0);
        assert_eq!(listed(&changes), [(0, false), (2, true)]);
    }

    #[test]
    fn changes_that_cannot_be_made_do_not_pile_up() {
        let mut changes = Changes::default();
        (1..1_000).for_each(|id| changes.append(notes(&[id], &[id - 1]), 0));
        assert_eq!(listed(&changes), [(0, false), (999, true)], "none but 0 can be in the file");
        changes.append(notes(&[], &[999]), 999);
        assert_eq!(listed(&changes), [(0, false), (999, false)], "now 999 can be, too");
        assert_eq!(changes.try_clear(|_| Ok::<_, ()>(false)), Ok(()));
        assert!(changes.is_empty());
    }

    #[test]
    fn after_an_error_nothing_more_is_cleared_and_nothing_forgotten() {
        let mut changes = Changes::default();
        changes.append(notes(&[4], &[1, 2, 3]), 4);
        let result = changes.try_clear(|place| if place.id == 2 { Err(()) } else { Ok(false) });
        assert_eq!(result, Err(()));
        assert_eq!(listed(&changes), [(2, false), (3, false), (4, true)]);
    }
}
