//! Sets of address families.

use kademlia_core::Family;

/// A set of address families: what a request's `want` asks for, or which node lists a response carries (BEP 32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// Neither; as `want`, not said.
    pub const NONE: Families = Families { v4: false, v6: false };
    /// Both.
    pub const BOTH: Families = Families { v4: true, v6: true };

    /// Adds a family.
    pub fn insert(&mut self, family: Family) {
        match family {
            Family::V4 => self.v4 = true,
            Family::V6 => self.v6 = true,
        }
    }

    /// Whether `family` is in the set.
    pub const fn contains(self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        !self.v4 && !self.v6
    }

    /// The families in the set, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        [Family::V4, Family::V6].into_iter().filter(move |family| self.contains(*family))
    }

    /// This set, or `family` alone if it is empty: what a request without `want` gets (BEP 32).
    #[must_use]
    pub fn or(self, family: Family) -> Self {
        if self.is_empty() { family.into() } else { self }
    }
}

impl From<Family> for Families {
    fn from(family: Family) -> Self {
        let mut families = Families::NONE;
        families.insert(family);
        families
    }
}
