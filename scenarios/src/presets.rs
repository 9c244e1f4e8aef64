//! Scenarios with names.

use std::time::Duration;

use crate::attack::Attack;
use crate::scenario::Scenario;

/// A scenario with a name.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What is wrong there.
    pub about: &'static str,
    make: fn() -> Scenario,
}

impl Preset {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// The scenario itself.
    pub fn scenario(&self) -> Scenario {
        (self.make)()
    }
}

/// All of them.
pub const PRESETS: &[Preset] = &[
    Preset { name: "healthy", about: "nothing is wrong", make: Scenario::default },
    Preset {
        name: "worn",
        about: "5 % loss each way, half of all contacts dead, then 30 % leave",
        make: || faulty(0.05, 0.5, 0.3),
    },
    Preset {
        name: "lossy",
        about: "30 % loss each way, half of all contacts dead, then 30 % leave",
        make: || faulty(0.3, 0.5, 0.3),
    },
    Preset {
        name: "broken",
        about: "50 % loss each way, half of all contacts dead, then half of all nodes leave",
        make: || faulty(0.5, 0.5, 0.5),
    },
    Preset {
        name: "natted",
        about: "half of all nodes behind NATs of all kinds, 5 % loss each way",
        make: || Scenario { nat: 0.5, ..faulty(0.05, 0.0, 0.0) },
    },
    Preset {
        name: "distant",
        about: "30 % of all contacts dead, nothing else: how long does it take?",
        make: || faulty(0.0, 0.3, 0.0),
    },
    Preset {
        name: "churning",
        about: "sessions with a half-life of 30 min, 15 min from announcement to search, 5 % loss",
        make: || Scenario {
            sessions: Duration::from_secs(30 * 60),
            wait: Duration::from_secs(15 * 60),
            ..faulty(0.05, 0.0, 0.0)
        },
    },
    Preset {
        name: "eclipse",
        about: "the owner of 8 /24s crowds around every key; 5 % loss, 30 % of all contacts dead",
        make: || Scenario { attack: Attack::Subnets(8), ..faulty(0.05, 0.3, 0.0) },
    },
    Preset {
        name: "collusion",
        about: "a tenth of all nodes colludes under forged ids; 5 % loss, 30 % of all contacts dead",
        make: || Scenario { attack: Attack::Share(0.1), ..faulty(0.05, 0.3, 0.0) },
    },
    Preset {
        name: "large",
        about: "100,000 nodes, nothing is wrong",
        make: || Scenario { nodes: 100_000, ..Scenario::default() },
    },
];

fn faulty(loss: f64, stale: f64, churn: f64) -> Scenario {
    Scenario { loss, stale, churn, ..Scenario::default() }
}
