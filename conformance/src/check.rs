//! Requirements, and how each is judged.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::checks;
use crate::probe::Probe;
use crate::verdict::Judged;

/// How binding a requirement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The text demands it, or it is what the message is defined to be.
    Must,
    /// The text recommends it.
    Should,
    /// No text has it: what deployed nodes do, or what keeps a node from being misused.
    #[serde(rename = "practice")]
    Practice,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::Practice => "practice",
        })
    }
}

/// Where a requirement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// A BEP, by its number.
    Bep(u8),
    /// C: conventions that no BEP writes down.
    Conventions,
    /// T: what keeps a node from being misused against others.
    Resilience,
}

impl Group {
    /// All groups, in the order they are run.
    pub const ALL: [Group; 12] = [
        Group::Bep(5),
        Group::Bep(32),
        Group::Bep(33),
        Group::Bep(42),
        Group::Bep(43),
        Group::Bep(44),
        Group::Bep(45),
        Group::Bep(46),
        Group::Bep(50),
        Group::Bep(51),
        Group::Conventions,
        Group::Resilience,
    ];

    /// The group of a requirement id: the number before its dot, or its letter.
    fn of(id: &str) -> Option<Group> {
        if let Some((bep, _)) = id.split_once('.').filter(|(bep, _)| *bep != "C") {
            return bep.parse().ok().map(Group::Bep);
        }
        match id.get(..1)? {
            "C" => Some(Group::Conventions),
            "T" => Some(Group::Resilience),
            _ => None,
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Bep(number) => f.pad(&format!("BEP {number}")),
            Group::Conventions => f.pad("C"),
            Group::Resilience => f.pad("T"),
        }
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Not one of the groups of requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of 5, 32, 33, 42, 43, 44, 45, 46, 50, 51, C and T")]
pub struct NoSuchGroup;

/// `44`, `C` or `T`.
impl FromStr for Group {
    type Err = NoSuchGroup;

    fn from_str(text: &str) -> Result<Self, NoSuchGroup> {
        let group = match text {
            "C" | "c" => Group::Conventions,
            "T" | "t" => Group::Resilience,
            number => Group::Bep(number.parse().map_err(|_| NoSuchGroup)?),
        };
        Group::ALL.contains(&group).then_some(group).ok_or(NoSuchGroup)
    }
}

type Asked<'a> = Pin<Box<dyn Future<Output = Judged> + Send + 'a>>;

/// How a requirement is judged.
#[derive(Clone, Copy)]
pub(crate) enum Judge {
    /// By asking the node.
    Ask(for<'a> fn(&'a mut Probe) -> Asked<'a>),
    /// By what came from the node in the whole run, at its end.
    Review(fn(&Probe) -> Judged),
    /// Not at all: nothing of it shows from outside, for this reason.
    Unseen(&'static str),
}

/// One thing that is demanded of a node, and how it is judged.
#[derive(Clone, Copy)]
pub struct Check {
    /// The requirement: `44.6`, `C.1`, `T10`.
    pub id: &'static str,
    /// What of it, unique within the requirement.
    pub name: &'static str,
    /// How binding it is.
    pub level: Level,
    /// What is demanded, in one line.
    pub rule: &'static str,
    pub(crate) judge: Judge,
}

impl Check {
    pub(crate) const fn asked(
        id: &'static str,
        name: &'static str,
        level: Level,
        rule: &'static str,
        ask: for<'a> fn(&'a mut Probe) -> Asked<'a>,
    ) -> Self {
        Check { id, name, level, rule, judge: Judge::Ask(ask) }
    }

    pub(crate) const fn reviewed(
        id: &'static str,
        name: &'static str,
        level: Level,
        rule: &'static str,
        review: fn(&Probe) -> Judged,
    ) -> Self {
        Check { id, name, level, rule, judge: Judge::Review(review) }
    }

    pub(crate) const fn unseen(
        id: &'static str,
        level: Level,
        rule: &'static str,
        why: &'static str,
    ) -> Self {
        Check { id, name: "unseen", level, rule, judge: Judge::Unseen(why) }
    }

    /// All checks: by group, and within a group by requirement.
    pub fn all() -> impl Iterator<Item = &'static Check> {
        let mut all: Vec<_> = checks::ALL.iter().copied().flatten().collect();
        all.sort_by_key(|check| (check.group(), check.number()));
        all.into_iter()
    }

    /// Of the requirement within its group: 6 of `44.6`, 10 of `T10`.
    fn number(&self) -> u32 {
        let digits = self.id.rsplit(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
    }

    /// Where the requirement comes from.
    pub fn group(&self) -> Group {
        Group::of(self.id).unwrap_or(Group::Resilience)
    }

    /// Why it cannot be judged from outside; `None` if it can.
    pub fn unseen_because(&self) -> Option<&'static str> {
        match self.judge {
            Judge::Unseen(why) => Some(why),
            _ => None,
        }
    }

    pub(crate) fn is_review(&self) -> bool {
        matches!(self.judge, Judge::Review(_))
    }
}

/// `44.6 lower-seq`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every requirement of the texts, by how many each has.
    const REQUIREMENTS: [(&str, u32); 11] = [
        ("5.", 16),
        ("32.", 8),
        ("33.", 6),
        ("42.", 5),
        ("43.", 2),
        ("44.", 9),
        ("45.", 3),
        ("46.", 2),
        ("50.", 4),
        ("51.", 2),
        ("C.", 5),
    ];

    #[test]
    fn every_requirement_has_a_line_observable_or_not() {
        let ids: BTreeSet<_> = Check::all().map(|check| check.id).collect();
        for (prefix, count) in REQUIREMENTS {
            for number in 1..=count {
                let id = format!("{prefix}{number}");
                assert!(ids.contains(id.as_str()), "{id}");
            }
            assert_eq!(ids.iter().filter(|id| id.starts_with(prefix)).count(), count as usize, "{prefix}");
        }
    }

    #[test]
    fn checks_are_named_once_and_every_group_has_some() {
        let mut seen = BTreeSet::new();
        for check in Check::all() {
            assert!(seen.insert(check.to_string()), "{check} twice");
            assert!(Group::of(check.id).is_some_and(|group| Group::ALL.contains(&group)), "{check}");
        }
        let groups: Vec<_> = Check::all().map(Check::group).collect();
        for group in Group::ALL {
            assert!(groups.contains(&group), "{group}");
        }
    }

    #[test]
    fn checks_stand_in_the_order_of_their_requirements() {
        let mut ids: Vec<_> = Check::all().map(|check| check.id).collect();
        ids.dedup();
        let last = ids.iter().position(|id| *id == "32.1").unwrap();
        assert_eq!(ids[..last].last(), Some(&"5.16"));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each in one place");
    }

    #[test]
    fn groups_are_read_as_they_are_asked_for() {
        assert_eq!("44".parse(), Ok(Group::Bep(44)));
        assert_eq!("c".parse(), Ok(Group::Conventions));
        assert_eq!("3".parse::<Group>(), Err(NoSuchGroup));
        assert_eq!("".parse::<Group>(), Err(NoSuchGroup));
    }
}
