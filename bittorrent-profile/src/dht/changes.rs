//! What a user changes of a default that is not known yet.

use std::fmt;
use std::sync::Arc;

type Change<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// Changes to a `T`, in the order they were asked for. Which defaults a node starts from depends on where it is bound,
/// so they are kept until then, and made on top: whatever the user said stands.
#[derive(Clone, Default)]
pub(super) struct Changes<T>(Vec<Change<T>>);

impl<T> Changes<T> {
    pub(super) fn add(&mut self, change: impl Fn(&mut T) + Send + Sync + 'static) {
        self.0.push(Arc::new(change));
    }

    pub(super) fn apply(&self, mut to: T) -> T {
        for change in &self.0 {
            change(&mut to);
        }
        to
    }
}

impl<T> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes", self.0.len())
    }
}
