//! Scenarios in words: what `kad sim` reads and prints.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

use kademlia_core::{Config, Effort};

use crate::attack::Attack;
use crate::scenario::Scenario;

/// All efforts and their names, the least first.
const EFFORTS: [(Effort, &str); 4] = [
    (Effort::Plain, "plain"),
    (Effort::Dense, "dense"),
    (Effort::Reinforced, "reinforced"),
    (Effort::Hardened, "hardened"),
];

/// The name of an effort.
pub fn effort_name(effort: Effort) -> &'static str {
    EFFORTS.iter().find(|(of, _)| *of == effort).map_or("", |(_, name)| name)
}

/// The effort of this name.
///
/// # Errors
/// If there is none of this name.
pub fn effort_from(name: &str) -> Result<Effort, NotAnEffort> {
    EFFORTS.iter().find(|(_, of)| *of == name).map(|(effort, _)| *effort).ok_or(NotAnEffort)
}

/// No effort has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected plain, dense, reinforced or hardened")]
pub struct NotAnEffort;

/// No attack is written like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected none, subnets:N with N from 1 to 1000, or share:S with S from 0 to 0.5")]
pub struct NotAnAttack;

impl Display for Attack {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Attack::None => write!(f, "none"),
            Attack::Subnets(subnets) => write!(f, "subnets:{subnets}"),
            Attack::Share(share) => write!(f, "share:{share}"),
        }
    }
}

impl FromStr for Attack {
    type Err = NotAnAttack;

    fn from_str(text: &str) -> Result<Self, NotAnAttack> {
        let attack = match text.split_once(':') {
            None if text == "none" => Some(Attack::None),
            Some(("subnets", count)) => {
                count.parse().ok().filter(|count| (1..=1_000).contains(count)).map(Attack::Subnets)
            }
            Some(("share", share)) => {
                share.parse().ok().filter(|share| (0.0..=0.5).contains(share)).map(Attack::Share)
            }
            _ => None,
        };
        attack.ok_or(NotAnAttack)
    }
}

/// The flags with which `kad sim` lives through it again. Of the nodes' constants only those that `kad sim` can set.
impl Display for Scenario {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (normal, usual) = (Scenario::default(), Config::default());
        write!(f, "--seed {} --nodes {} --trials {}", self.seed, self.nodes, self.trials)?;
        if self.organic {
            write!(f, " --organic")?;
        }
        for (name, share, normal) in [
            ("loss", self.loss, normal.loss),
            ("nat", self.nat, normal.nat),
            ("stale", self.stale, normal.stale),
            ("churn", self.churn, normal.churn),
            ("bound", self.bound, normal.bound),
        ] {
            if share != normal {
                write!(f, " --{name} {share}")?;
            }
        }
        for (name, span) in [("sessions", self.sessions), ("duration", self.wait)] {
            if span > Duration::ZERO {
                write!(f, " --{name} {}s", span.as_secs())?;
            }
        }
        if self.attack != Attack::None {
            write!(f, " --attack {}", self.attack)?;
        }
        for (name, effort, normal) in
            [("writer", self.writer, normal.writer), ("reader", self.reader, normal.reader)]
        {
            if effort != normal {
                write!(f, " --{name} {}", effort_name(effort))?;
            }
        }
        let (lookup, rpc) = (&self.config.lookup, &self.config.rpc);
        for (name, set, usual) in [
            ("paths", lookup.paths, usual.lookup.paths),
            ("per-path", lookup.per_path, usual.lookup.per_path),
            ("dense", lookup.dense, usual.lookup.dense),
            ("retries", usize::from(rpc.retries), usize::from(usual.rpc.retries)),
        ] {
            if set != usual {
                write!(f, " --{name} {set}")?;
            }
        }
        if rpc.min_timeout == rpc.max_timeout {
            write!(f, " --fixed-timeout {}ms", rpc.max_timeout.as_millis())?;
        }
        Ok(())
    }
}
