//! One run of the suite.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::check::{Check, Group, Judge};
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::report::{Finding, Report};
use crate::verdict::{Judged, Unmet, Verdict};

/// How the suite asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most datagrams in a second. 4 by default: libtorrent blocks whoever sends it 50 in ten seconds, for five minutes.
    pub rate: NonZeroU32,
    /// Most datagrams in all, answers to the node's own queries included. What is not judged by then is not judged.
    pub datagrams: u32,
    /// Longest time for the whole run. What is not judged by then is not judged.
    pub timeout: Duration,
    /// Longest wait for one answer. Less is waited for a node that answers quickly.
    pub patience: Duration,
    /// Decides every id, hash, key and value that is used: the same seed asks the same.
    pub seed: u64,
    /// What to judge; everything if empty.
    pub groups: Vec<Group>,
    /// Whether nodes in local networks are let off the rules that the texts, or all deployed nodes, exempt them from:
    /// ids by address (BEP 42), one peer for each address (BEP 33), no local addresses among nodes.
    pub local_exempt: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            rate: const { NonZeroU32::new(4).unwrap() },
            datagrams: 1_000,
            timeout: Duration::from_secs(300),
            patience: Duration::from_secs(2),
            seed: 1,
            groups: Vec::new(),
            local_exempt: true,
        }
    }
}

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No socket could be bound.
    #[error("cannot bind a socket: {0}")]
    Bind(#[from] io::Error),
    /// Pings met silence: there is no node, or it does not answer this host.
    #[error("{0} does not answer pings")]
    Silent(SocketAddr),
}

/// A run against one node. Nothing is sent but while [`Suite::start`] or [`Suite::next`] is awaited; dropping it ends it.
#[derive(Debug)]
pub struct Suite {
    probe: Probe,
    pending: VecDeque<&'static Check>,
    report: Report,
    began: Instant,
}

impl Suite {
    /// Binds sockets and sees whether there is a node at all.
    ///
    /// # Errors
    /// If no socket can be bound, or nothing answers a ping.
    pub async fn start(target: SocketAddr, options: Options) -> Result<Suite, Error> {
        let wanted = |check: &&Check| options.groups.is_empty() || options.groups.contains(&check.group());
        // Reviews come last: they judge by what all others saw.
        let (reviews, asked): (Vec<_>, Vec<_>) =
            Check::all().filter(wanted).partition(|check| check.is_review());
        let pending = asked.into_iter().chain(reviews).collect();
        let mut probe = Probe::bind(target, options).await?;
        match probe.try_ask(Seat::Main, Query::ping()).await {
            // The time may be up before the second ping.
            Ok(None) | Err(_) if probe.sent() > 0 => return Err(Error::Silent(target)),
            _ => {}
        }
        let report = Report::new(target, probe.options.seed);
        Ok(Suite { probe, pending, report, began: Instant::now() })
    }

    /// How many checks are still to come.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Judges the next requirement; `None` after the last.
    pub async fn next(&mut self) -> Option<&Finding> {
        let check = self.pending.pop_front()?;
        let (began, sent) = (Instant::now(), self.probe.sent());
        self.probe.log.clear();
        let judged = judge(check, &mut self.probe).await;
        self.report.complete &= !matches!(judged, Err(Unmet::Stopped(_)));
        let exchanges = std::mem::take(&mut self.probe.log);
        let finding = Finding {
            id: check.id,
            check: check.name,
            group: check.group(),
            level: check.level,
            rule: check.rule,
            verdict: Verdict::from(judged),
            exchanges,
            datagrams: self.probe.sent() - sent,
            took: began.elapsed(),
        };
        self.report.findings.push(finding);
        self.report.datagrams = self.probe.sent();
        self.report.took = self.began.elapsed();
        self.report.findings.last()
    }

    /// What was found so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Judges everything that is left.
    pub async fn finish(mut self) -> Report {
        while self.next().await.is_some() {}
        self.report
    }
}

async fn judge(check: &Check, probe: &mut Probe) -> Judged {
    match check.judge {
        Judge::Ask(ask) => ask(probe).await,
        Judge::Review(review) => review(probe),
        Judge::Unseen(why) => Err(Unmet::NotApplicable(format!("not observable: {why}"))),
    }
}
