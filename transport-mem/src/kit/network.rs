//! P23, P25, P26: lookups in a network, compared with the truth.

use std::time::Duration;

use kademlia_core::{Contact, Event, Keyspace, LookupOptions, LookupReport, Protocol, Service};

use super::{Kit, Law, Proof, Violation};
use crate::churn::{Churn, Churner};
use crate::link::LinkModel;
use crate::simulation::{NodeIndex, Simulation};

/// Lookups for each law.
const LOOKUPS: usize = 200;
/// So many run at a time.
const AT_ONCE: usize = 20;
/// Nodes that do not come and go, and look.
const LOOKERS: usize = 4;

/// What goes wrong while lookups must still find nearly everything.
fn rough() -> (LinkModel, Churn) {
    let links = LinkModel {
        loss: 0.05,
        duplicate: 0.05,
        reorder: 0.05,
        hold: Duration::from_millis(500),
        corrupt: 0.01,
        ..LinkModel::internet()
    };
    (links, Churn::with_half_life(Duration::from_secs(30 * 60)))
}

/// Who looked, for what, and what the truth was.
struct Search<K> {
    by: NodeIndex,
    target: K,
    truth: Vec<Contact<K>>,
}

/// A search, and what came of it.
type Ended<K> = (Search<K>, LookupReport<K>);

pub(super) fn exact<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Exact;
    let mut rng = kit.rng(law);
    let mut network = grown(kit, rng.next_u64());
    let watch = kit.watch(&mut network);
    let mut most = 0;
    for _ in 0..LOOKUPS / AT_ONCE {
        let searches: Vec<_> = (0..AT_ONCE)
            .map(|_| begin(&mut network, rng.below(kit.nodes), P::Key::random(&mut rng)))
            .collect();
        network.run_for(kit.patience());
        for (search, report) in ended(kit, law, &mut network, searches)? {
            most = most.max(report.messages);
            is_exact(kit, &search, &report)?;
        }
    }
    let seen = kit.audit(&network, &watch)?;
    Ok(format!(
        "{LOOKUPS} lookups among {} nodes, each with at most {most} messages; of {} datagrams the longest has {} bytes",
        kit.nodes, seen.datagrams, seen.longest
    ))
}

fn is_exact<P: Protocol, S: Service<P> + Send + 'static>(
    kit: &Kit<P, S>,
    search: &Search<P::Key>,
    report: &LookupReport<P::Key>,
) -> Result<(), Violation> {
    let config = kit.config();
    let rule = |holds: bool, rule: String| {
        let case = format!("node {} looking for {}: {report:?}", search.by, search.target);
        if holds { Ok(()) } else { Err(kit.violation(Law::Exact, case, rule)) }
    };
    rule(report.closest == search.truth, format!("the {} closest: {:?}", config.k, search.truth))?;
    rule(report.complete, "a complete lookup".into())?;
    // f of P23, with everybody around the target asked who should be among the nearest of the whole network.
    let wanted = config.k.max(config.lookup.dense_most) as f64;
    let most = wanted * ((kit.nodes as f64).log2() + 4.0) * f64::from(config.rpc.retries + 1);
    rule((report.messages as f64) <= most, format!("at most {most:.0} messages (P23)"))
}

pub(super) fn recall<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Recall;
    let mut rng = kit.rng(law);
    let mut network = grown(kit, rng.next_u64());
    let watch = kit.watch(&mut network);
    let (links, churn) = rough();
    *network.links_mut().model_mut() = links;
    let mut churner = Churner::new(churn, LOOKERS, &mut network);
    // Until some of what everybody knew is no longer true.
    let mut until = network.now() + Duration::from_secs(600);
    churner.run_until(&mut network, until, &kit.make);
    network.take_events();
    let (mut found, mut wanted) = (0, 0);
    for _ in 0..LOOKUPS / AT_ONCE {
        let searches: Vec<_> =
            (0..AT_ONCE).map(|_| begin(&mut network, rng.below(LOOKERS), P::Key::random(&mut rng))).collect();
        until = until + kit.patience();
        churner.run_until(&mut network, until, &kit.make);
        let everybody = network.census();
        for (mut search, report) in ended(kit, law, &mut network, searches)? {
            let all = everybody.closest(&search.target, everybody.len(), None);
            search.truth.retain(|contact| all.contains(contact));
            wanted += search.truth.len();
            found += search.truth.iter().filter(|contact| report.closest.contains(contact)).count();
        }
        kit.audit(&network, &watch)?;
    }
    let share = found as f64 / wanted.max(1) as f64;
    let text = format!(
        "{:.1} % of {wanted} closest nodes found by {LOOKUPS} lookups with 5 % loss each way, half-lives of 30 min, \
         duplicates, reordering and inverted bits",
        100.0 * share
    );
    if wanted > 0 && share >= kit.recall {
        Ok(text)
    } else {
        Err(kit.violation(law, text, format!("{:.1} %", 100.0 * kit.recall)))
    }
}

/// A network of real bytes that has grown without a fault, and settled.
pub(super) fn grown<P: Protocol, S: Service<P> + Send + 'static>(
    kit: &Kit<P, S>,
    seed: u64,
) -> Simulation<P, S> {
    let mut network = Simulation::new(seed, LinkModel::internet()).wire(true);
    network.grow(kit.nodes, Duration::from_millis(500), &kit.make);
    network.run_for(kit.settle);
    network.take_events();
    network
}

fn begin<P: Protocol, S: Service<P>>(
    network: &mut Simulation<P, S>,
    by: NodeIndex,
    target: P::Key,
) -> Search<P::Key> {
    let k = network.node(by).map_or(0, |node| node.config().k);
    let truth = network.closest_live(&target, k, Some(by));
    let options = LookupOptions::default();
    // What could not begin does not end, and is found out then.
    let _ = network.call(by, |node, now| node.lookup(now, target, P::find_node(target), options));
    Search { by, target, truth }
}

/// Pairs lookups with their reports: each has ended, within its budgets, with different nodes, nearest first.
fn ended<P: Protocol, S: Service<P> + Send + 'static>(
    kit: &Kit<P, S>,
    law: Law,
    network: &mut Simulation<P, S>,
    searches: Vec<Search<P::Key>>,
) -> Result<Vec<Ended<P::Key>>, Violation> {
    let mut reports: Vec<_> = network.take_events();
    let mut report_of = |search: &Search<P::Key>| {
        let is_it = |(by, event): &(NodeIndex, Event<P>)| {
            *by == search.by
                && matches!(event, Event::LookupDone { report, .. } if report.target == search.target)
        };
        let at = reports.iter().position(is_it)?;
        if let (_, Event::LookupDone { report, .. }) = reports.swap_remove(at) { Some(report) } else { None }
    };
    let mut pairs = Vec::new();
    for search in searches {
        let case = format!("node {} looking for {}", search.by, search.target);
        let Some(report) = report_of(&search) else {
            return Err(kit.violation(law, case, format!("that it ends within {:?}", kit.patience())));
        };
        kit.is_in_budget(law, &case, &report)?;
        pairs.push((search, report));
    }
    Ok(pairs)
}

impl<P: Protocol, S: Service<P> + Send + 'static> Kit<P, S> {
    /// By when a lookup has ended, its wait for a place included.
    pub(super) fn patience(&self) -> Duration {
        let limits = self.config().lookup;
        limits.patience + limits.time + Duration::from_secs(10)
    }

    /// What a lookup may take and must give, whatever goes wrong (P23, P26).
    pub(super) fn is_in_budget(
        &self,
        law: Law,
        case: &str,
        report: &LookupReport<P::Key>,
    ) -> Result<(), Violation> {
        let limits = self.config().lookup;
        let rule = |holds: bool, rule: String| {
            if holds { Ok(()) } else { Err(self.violation(law, format!("{case}: {report:?}"), rule)) }
        };
        rule(report.messages <= limits.messages, format!("at most {} messages (P23)", limits.messages))?;
        rule(report.took <= limits.time, format!("an end within {:?} (P23)", limits.time))?;
        let target = report.target;
        let sorted = report.closest.is_sorted_by(|a, b| target.cmp_distance(&a.key, &b.key).is_lt());
        rule(sorted, "different nodes, nearest first (P26)".into())
    }
}
