//! The grammar of `kad sim`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kademlia_core::Effort;
use kademlia_scenarios::{Attack, PRESETS, Preset, Scenario, Swarm, effort_from};

use crate::span;

/// Run a simulated network in virtual time: announce, let things go wrong, search
#[derive(Debug, Args)]
#[command(after_help = examples())]
pub(crate) struct Sim {
    /// Conditions to start from; the other flags change them
    #[arg(long, value_name = "NAME", default_value = "healthy", value_parser = preset)]
    pub(crate) scenario: &'static Preset,
    /// Honest nodes that are up [default: 1000; with --swarm 60; with --attack-table 10000]
    #[arg(long, value_name = "N", value_parser = count::<8, 10_000_000>)]
    nodes: Option<usize>,
    /// Announcements made, each searched for once [default: 100; with --attack-table 200]
    #[arg(long, value_name = "N", value_parser = count::<1, 1_000_000>)]
    trials: Option<usize>,
    /// Decides everything that is drawn at random [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Let the nodes join one after the other; otherwise their tables are filled as if they had long since
    #[arg(long)]
    organic: bool,
    /// Share of the datagrams that are lost, in each direction
    #[arg(long, value_name = "SHARE", value_parser = share)]
    loss: Option<f64>,
    /// Share of the nodes behind NATs, of all four kinds
    #[arg(long, value_name = "SHARE", value_parser = share)]
    nat: Option<f64>,
    /// Share of all contacts in routing tables that are dead when the announcements begin
    #[arg(long, value_name = "SHARE", value_parser = share)]
    stale: Option<f64>,
    /// Share of the nodes that leave between announcement and search
    #[arg(long, value_name = "SHARE", value_parser = share)]
    churn: Option<f64>,
    /// Half-life of the nodes' sessions; their pauses are as long [default: they stay]
    #[arg(long, value_name = "DURATION", value_parser = span::parse)]
    sessions: Option<Duration>,
    /// From the last announcement to the first search; with --swarm, how long each fault plan lasts [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = span::parse, aliases = ["wait", "length"])]
    duration: Option<Duration>,
    /// Share of the nodes whose ids fit their addresses (BEP 42)
    #[arg(long, value_name = "SHARE", value_parser = portion)]
    bound: Option<f64>,
    /// Who wants the announcements to be lost: none, the owner of N /24s (subnets:N), a share of all nodes (share:S)
    #[arg(long, value_name = "ATTACK")]
    attack: Option<Attack>,
    /// How hard to mislead the announcements are: plain, dense, reinforced or hardened, see below [default: hardened]
    #[arg(long, value_name = "EFFORT", value_parser = effort_from)]
    writer: Option<Effort>,
    /// How hard to mislead the searches are: as --writer [default: reinforced]
    #[arg(long, value_name = "EFFORT", value_parser = effort_from)]
    reader: Option<Effort>,
    /// Disjoint paths of a reinforced or hardened lookup [default: 8]
    #[arg(long, value_name = "N", value_parser = count::<1, 64>)]
    paths: Option<usize>,
    /// Nodes that each of several paths looks for [default: 4]
    #[arg(long, value_name = "N", value_parser = count::<1, 64>)]
    per_path: Option<usize>,
    /// Ask everybody who should be among so many nearest; 0 for k only [default: 20]
    #[arg(long, value_name = "N", value_parser = count::<0, 64>)]
    dense: Option<usize>,
    /// Times a request is repeated [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=8))]
    retries: Option<u8>,
    /// Wait so long for every answer, instead of what the round trips suggest
    #[arg(long, value_name = "DURATION", value_parser = span::parse)]
    fixed_timeout: Option<Duration>,
    /// Run it twice, compare, and print the first failed search, or the first of all, step by step
    #[arg(long)]
    pub(crate) replay: bool,
    /// Draw that search (runs it twice): who was asked on the ring of keys, and how near it came when
    #[arg(long, value_name = "FILE", conflicts_with_all = ["swarm", "attack_table"])]
    pub(crate) svg: Option<PathBuf>,
    /// Write that search as a sequence diagram in PlantUML's language (runs it twice)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["swarm", "attack_table"])]
    pub(crate) plantuml: Option<PathBuf>,
    /// Instead: live through random fault plans, one for each seed, and shrink those that break something
    #[arg(long, conflicts_with = "attack_table")]
    pub(crate) swarm: bool,
    /// Fault plans to live through
    #[arg(long, value_name = "N", default_value_t = 20, requires = "swarm")]
    pub(crate) seeds: u64,
    /// How long nothing goes wrong after each, before everybody has to know somebody again [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = span::parse, requires = "swarm")]
    recovery: Option<Duration>,
    /// Take from each plan what shrinking took from it, as the line to replay it says
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "swarm")]
    pub(crate) shrunk: Vec<usize>,
    /// Instead: write docs/attack-table.md to stdout; takes only --seed, --nodes and --trials
    #[arg(long, conflicts_with = "replay")]
    pub(crate) attack_table: bool,
}

impl Sim {
    /// The scenario that the flags describe.
    pub(crate) fn scenario(&self) -> Scenario {
        let mut scenario = self.scenario.scenario();
        set(&mut scenario.seed, self.seed);
        set(&mut scenario.nodes, self.nodes);
        set(&mut scenario.trials, self.trials);
        set(&mut scenario.loss, self.loss);
        set(&mut scenario.nat, self.nat);
        set(&mut scenario.stale, self.stale);
        set(&mut scenario.churn, self.churn);
        set(&mut scenario.sessions, self.sessions);
        set(&mut scenario.wait, self.duration);
        set(&mut scenario.bound, self.bound);
        set(&mut scenario.attack, self.attack);
        set(&mut scenario.writer, self.writer);
        set(&mut scenario.reader, self.reader);
        set(&mut scenario.config.lookup.paths, self.paths);
        set(&mut scenario.config.lookup.per_path, self.per_path);
        set(&mut scenario.config.lookup.dense, self.dense);
        set(&mut scenario.config.rpc.retries, self.retries);
        scenario.organic |= self.organic;
        match self.fixed_timeout {
            Some(timeout) => scenario.with_fixed_timeout(timeout),
            None => scenario,
        }
    }

    /// The network that lives through fault plans.
    pub(crate) fn swarm_of(&self) -> Swarm {
        let mut swarm = Swarm::default();
        set(&mut swarm.nodes, self.nodes);
        set(&mut swarm.length, self.duration);
        set(&mut swarm.recovery, self.recovery);
        swarm
    }

    /// `--nodes`, if it was given.
    pub(crate) fn nodes(&self) -> Option<usize> {
        self.nodes
    }

    /// `--trials`, if it was given.
    pub(crate) fn trials(&self) -> Option<usize> {
        self.trials
    }
}

fn set<T>(place: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *place = value;
    }
}

fn examples() -> String {
    let lookup = Scenario::default().config.lookup;
    let presets = PRESETS.iter().map(|preset| format!("  {:<10} {}\n", preset.name, preset.about));
    format!(
        "\
Examples:
  kad sim                                               a thousand nodes, and nothing is wrong
  kad sim --scenario lossy --nodes 10000                …ten thousand, and much is
  kad sim --scenario eclipse --writer plain --reader plain --replay
                                                        why did it fail?
  kad sim --loss 5% --stale 30% --svg search.svg        look at it
  kad sim --swarm --nodes 100 --seeds 50                whatever can go wrong, in all combinations

Scenarios:
{}
How hard a lookup is to mislead, each more than the one before, for more messages:
  plain      the nearest nodes, along one path, as in the Kademlia paper
  dense      and everybody who should be among the {} nearest, so that a crowd at the key hides nobody
  reinforced and along {} paths that share no node, from the first answer on
  hardened   along all of the paths from the start, each with a result of its own

Unless a scenario or a flag says otherwise, nothing is wrong. SHARE is a number from 0 to 0.95, or a percentage. Needs no
network, and the same line gives the same run on every machine. Exits with 0 if everything was found, and 1 otherwise.",
        presets.collect::<String>(),
        lookup.dense,
        lookup.paths,
    )
}

fn preset(name: &str) -> Result<&'static Preset, String> {
    let names = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
    Preset::named(name).ok_or_else(|| format!("expected one of {}", names()))
}

/// A share of which something has to be left.
fn share(text: &str) -> Result<f64, String> {
    portion(text)
        .ok()
        .filter(|share| *share <= 0.95)
        .ok_or_else(|| "expected 0 to 0.95, or 0% to 95%".to_owned())
}

fn portion(text: &str) -> Result<f64, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    parsed
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected 0 to 1, or 0% to 100%".to_owned())
}

fn count<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (LEAST..=MOST).contains(count));
    count.ok_or_else(|| format!("expected a number from {LEAST} to {MOST}"))
}
