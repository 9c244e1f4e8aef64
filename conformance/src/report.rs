//! What a run found.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::check::{Group, Level};
use crate::probe::Exchange;
use crate::verdict::Verdict;

/// One requirement, judged.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The requirement: `44.6`.
    pub id: &'static str,
    /// What of it.
    pub check: &'static str,
    /// Where the requirement comes from.
    #[serde(rename = "from")]
    pub group: Group,
    /// How binding it is.
    pub level: Level,
    /// What is demanded.
    pub rule: &'static str,
    /// Whether the node does it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What was sent, and what came back.
    pub exchanges: Vec<Exchange>,
    /// Datagrams sent.
    pub datagrams: u32,
    /// Time it took; in milliseconds as JSON.
    #[serde(rename = "ms", serialize_with = "millis")]
    pub took: Duration,
}

/// How many checks of one level a node passed, of those that apply to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Score {
    /// Those that it passed.
    pub passed: usize,
    /// Those that it passed or failed.
    pub applicable: usize,
}

/// The scores of one group of requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Scores {
    /// Which.
    pub group: Group,
    /// What the text demands.
    pub must: Score,
    /// What the text recommends.
    pub should: Score,
    /// What no text has.
    pub practice: Score,
    /// Checks that do not apply, or of which nothing shows.
    pub not_applicable: usize,
}

/// All findings of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The node.
    pub target: SocketAddr,
    /// What everything random was drawn from.
    pub seed: u64,
    /// In the order they were judged.
    pub findings: Vec<Finding>,
    /// Datagrams sent in all.
    pub datagrams: u32,
    /// Time it took.
    pub took: Duration,
    /// Whether neither time nor datagrams ran out.
    pub complete: bool,
}

impl Report {
    pub(crate) fn new(target: SocketAddr, seed: u64) -> Self {
        Report { target, seed, findings: Vec::new(), datagrams: 0, took: Duration::ZERO, complete: true }
    }

    /// What failed.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| matches!(finding.verdict, Verdict::Fail(_)))
    }

    /// Whether nothing failed that the texts demand, and everything was judged.
    pub fn conforms(&self) -> bool {
        self.complete && self.failures().all(|finding| finding.level != Level::Must)
    }

    /// The finding of one check.
    pub fn finding(&self, id: &str, check: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id && finding.check == check)
    }

    /// One score of one group, or of all.
    pub fn score(&self, group: Option<Group>, level: Level) -> Score {
        let mut score = Score::default();
        for finding in self.findings.iter().filter(|finding| group.is_none_or(|group| group == finding.group))
        {
            if finding.level == level && !matches!(finding.verdict, Verdict::NotApplicable(_)) {
                score.applicable += 1;
                score.passed += usize::from(finding.verdict == Verdict::Pass);
            }
        }
        score
    }

    /// The scores of every group that was judged.
    pub fn scores(&self) -> Vec<Scores> {
        let judged = |group: &Group| self.findings.iter().any(|finding| finding.group == *group);
        let scores = |group: Group| {
            let of_group = self.findings.iter().filter(|finding| finding.group == group);
            Scores {
                group,
                must: self.score(Some(group), Level::Must),
                should: self.score(Some(group), Level::Should),
                practice: self.score(Some(group), Level::Practice),
                not_applicable: of_group
                    .filter(|finding| matches!(finding.verdict, Verdict::NotApplicable(_)))
                    .count(),
            }
        };
        Group::ALL.into_iter().filter(judged).map(scores).collect()
    }
}

fn millis<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 1e6).round() / 1e3)
}
