//! The attack table: what an attacker needs, as the simulator says.

use std::fmt::{self, Display, Formatter};

use kademlia_core::Effort;

use crate::attack::Attack;
use crate::outcome::Outcome;
use crate::parallel;
use crate::scenario::Scenario;

/// Attackers against policies; prints as a page in Markdown.
#[derive(Clone, Debug)]
pub struct AttackTable {
    seed: u64,
    nodes: usize,
    trials: usize,
    /// By policy and attack.
    outcomes: Vec<Vec<Outcome>>,
}

/// How announcements are made and searched for.
struct Policy {
    name: &'static str,
    writer: Effort,
    reader: Effort,
    paths: usize,
    per_path: usize,
    /// Share of the honest nodes whose ids fit their addresses.
    bound: f64,
    /// What a model without timing gave, in percent of all announcements found, for each attack but the first.
    model: Option<[Option<f64>; 6]>,
}

const ATTACKS: [(Attack, &str); 7] = [
    (Attack::None, "nobody"),
    (Attack::Subnets(8), "8 /24s"),
    (Attack::Subnets(20), "20 /24s"),
    (Attack::Subnets(64), "64 /24s"),
    (Attack::Share(0.05), "5 % of all"),
    (Attack::Share(0.1), "10 % of all"),
    (Attack::Share(0.2), "20 % of all"),
];

/// The model's rows are those of the same policy, but for 8 paths, where its quota was 8 a path.
const POLICIES: [Policy; 9] = [
    Policy { model: full([2.7, 0.0, 0.0, 44.9, 21.4, 3.9]), ..policy("plain", Effort::Plain, Effort::Plain) },
    Policy {
        model: full([95.4, 69.6, 0.0, 39.6, 17.0, 2.0]),
        ..policy("dense", Effort::Dense, Effort::Dense)
    },
    Policy { paths: 1, per_path: 8, ..policy("hardened, 1 path of 8", Effort::Hardened, Effort::Hardened) },
    Policy {
        paths: 4,
        per_path: 8,
        model: full([100.0, 100.0, 50.6, 100.0, 99.9, 99.1]),
        ..policy("hardened, 4 paths of 8", Effort::Hardened, Effort::Hardened)
    },
    Policy {
        model: full([100.0, 100.0, 95.0, 100.0, 100.0, 100.0]),
        ..policy("hardened, 8 paths of 4", Effort::Hardened, Effort::Hardened)
    },
    Policy {
        bound: 0.6,
        ..policy("the same, 60 % of the ids fit BEP 42", Effort::Hardened, Effort::Hardened)
    },
    policy("announce hardened, get reinforced (the default)", Effort::Hardened, Effort::Reinforced),
    Policy {
        model: Some([Some(95.7), Some(74.5), None, Some(94.6), Some(88.8), Some(76.3)]),
        ..policy("announce hardened, get dense", Effort::Hardened, Effort::Dense)
    },
    Policy {
        model: Some([Some(84.4), Some(25.6), None, Some(87.1), Some(75.5), Some(54.9)]),
        ..policy("announce hardened, get plain", Effort::Hardened, Effort::Plain)
    },
];

const fn policy(name: &'static str, writer: Effort, reader: Effort) -> Policy {
    Policy { name, writer, reader, paths: 8, per_path: 4, bound: 1.0, model: None }
}

const fn full(model: [f64; 6]) -> Option<[Option<f64>; 6]> {
    let [a, b, c, d, e, f] = model;
    Some([Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)])
}

impl AttackTable {
    /// Lives through all of it: 63 networks of so many honest nodes, with so many trials in each, as many at a time as
    /// there are processors. Says after each how many are done, and of how many.
    pub fn run(seed: u64, nodes: usize, trials: usize, progress: &mut dyn FnMut(usize, usize)) -> Self {
        let (columns, cells) = (ATTACKS.len(), POLICIES.len() * ATTACKS.len());
        let cell = |place: usize| {
            let (attack, _) = ATTACKS[place % columns];
            POLICIES[place / columns].scenario(seed, nodes, trials, attack).run()
        };
        let mut done = 0;
        let outcomes = parallel::map(cells, cell, || {
            done += 1;
            progress(done, cells);
        });
        let outcomes = outcomes.chunks(columns).map(<[_]>::to_vec).collect();
        AttackTable { seed, nodes, trials, outcomes }
    }
}

impl Policy {
    fn scenario(&self, seed: u64, nodes: usize, trials: usize, attack: Attack) -> Scenario {
        let (writer, reader, bound) = (self.writer, self.reader, self.bound);
        let normal = Scenario::default();
        let mut scenario =
            Scenario { seed, nodes, trials, attack, writer, reader, bound, loss: 0.05, stale: 0.3, ..normal };
        scenario.config.lookup.paths = self.paths;
        scenario.config.lookup.per_path = self.per_path;
        scenario
    }
}

impl Display for AttackTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let AttackTable { seed, nodes, trials, outcomes } = self;
        let before = INTRODUCTION
            .replace("{seed}", &seed.to_string())
            .replace("{nodes}", &nodes.to_string())
            .replace("{trials}", &trials.to_string());
        writeln!(f, "{before}")?;
        writeln!(f, "## Announcements found\n")?;
        rows(f, outcomes, |place, model, outcome| {
            let found = format!("{:.1} %", 100.0 * outcome.success());
            match model.filter(|_| place > 0) {
                Some(model) => format!("{found} ({model})"),
                None => found,
            }
        })?;
        writeln!(f, "\n## Messages of a search: half of them take at most, 99 of 100 take at most\n")?;
        rows(f, outcomes, |_, _, outcome| {
            format!("{} · {}", outcome.searches.messages.p50, outcome.searches.messages.p99)
        })?;
        writeln!(f, "\n## Messages of an announcement, its storing requests included\n")?;
        rows(f, outcomes, |_, _, outcome| {
            format!("{} · {}", outcome.announcements.messages.p50, outcome.announcements.messages.p99)
        })?;
        writeln!(f, "\n## Searches that noticed the crowd\n")?;
        rows(f, outcomes, |_, _, outcome| {
            format!("{:.0} %", 100.0 * outcome.crowded as f64 / outcome.trials.max(1) as f64)
        })
    }
}

fn rows(
    f: &mut Formatter<'_>,
    outcomes: &[Vec<Outcome>],
    cell: impl Fn(usize, Option<f64>, &Outcome) -> String,
) -> fmt::Result {
    let heads: Vec<_> = ATTACKS.iter().map(|(_, name)| *name).collect();
    writeln!(f, "| | {} |\n|---|{}", heads.join(" | "), "---:|".repeat(heads.len()))?;
    for (policy, outcomes) in POLICIES.iter().zip(outcomes) {
        let model = |place: usize| *policy.model.as_ref()?.get(place.checked_sub(1)?)?;
        let cells = outcomes.iter().enumerate().map(|(place, outcome)| cell(place, model(place), outcome));
        writeln!(f, "| {} | {} |", policy.name, cells.collect::<Vec<_>>().join(" | "))?;
    }
    Ok(())
}

const INTRODUCTION: &str = "\
# What an attacker needs

Written by the simulator; not to be edited. To write it anew:

```console
$ kad sim --attack-table --seed {seed} --nodes {nodes} --trials {trials} > docs/attack-table.md
```

Each cell has networks of its own (several where keys are crowded, so that the crowds are at most a tenth of each):
{nodes} honest nodes, 5 % of all datagrams lost in each direction, 30 % of all contacts in routing tables dead, seed {seed}, {trials} announcements, each searched for once by another node. An announcement is found if
the search is told of the peer. Networks on the Internet are larger: attacks by subnets do not become harder with that,
attacks by a share of all nodes become more expensive.

The attackers collude, know every key that is attacked and everything about this program, answer whoever asks, and
keep nothing. *Subnets*: somebody owns an address in each of so many /24s, and stands with all of them next to each key,
known to the key's neighbours long since. *Of all*: this share of all nodes, all over the keyspace, tells whoever
searches of others under ids forged to be nearest to the key, and under the nearest that BEP 42 allows their addresses.

How hard a lookup is to mislead: *plain* is the Kademlia paper's, with at most one node of a /24 in the result; *dense*
also asks everybody who should be among the 20 nearest, by the estimated size of the network; *hardened* does so on
disjoint paths, each with a result of its own, in which the nodes whose ids fit their addresses (BEP 42) are found for
themselves too; *reinforced* is dense, and from the first answer on has seven companions that go as hardened paths do, but
ask nobody twice: 250 messages in all, the others have 400.

In brackets, where there is one: the percentage that a model of the same policy gave, with ideal tables and no timing;
its 8 paths had 8 nodes each.
";
