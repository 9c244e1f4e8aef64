//! Lookups and publishes: starting many of them, and seeing how they end.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bittorrent_profile::InfoHash;
use bittorrent_profile::Mainline;
use bittorrent_profile::krpc::{Families, Request, Response};
use kademlia_core::{Contact, Effort, Event, Instant, Key, LookupId, LookupOptions};
use transport_mem::{NodeIndex, Step};

use crate::network::{Net, Network};
use crate::observed::Recorder;

/// A lookup or a publish of one node.
pub(crate) type Call = (NodeIndex, LookupId);

/// A lookup or a publish, and how it ended.
pub(crate) struct Deed {
    pub(crate) begun: Instant,
    /// `None` if the node refused.
    pub(crate) call: Option<Call>,
    /// `None` if it never ended.
    pub(crate) end: Option<Event<Mainline>>,
}

const PORT: NonZeroU16 = NonZeroU16::new(51_413).expect("not zero");
/// From one deed of a client to its next: a few run at a time.
const PACE: Duration = Duration::from_secs(1);
/// Longer than any deed takes, in steps of [`PACE`].
const PATIENCE: usize = 60;

/// Starts `count` deeds, `lanes` of them at a time, and lets time pass until all have ended.
pub(crate) fn perform(
    network: &mut Network,
    lanes: usize,
    count: usize,
    mut progress: impl FnMut(f64),
    mut start: impl FnMut(&mut Network, usize) -> Option<Call>,
) -> Vec<Deed> {
    let mut deeds: Vec<Deed> = Vec::with_capacity(count);
    let mut running = BTreeMap::new();
    let mut patience = PATIENCE;
    while deeds.len() < count || (!running.is_empty() && patience > 0) {
        if deeds.len() == count {
            patience -= 1;
        }
        for at in deeds.len()..count.min(deeds.len() + lanes.max(1)) {
            let begun = network.simulation.now();
            let call = start(network, at);
            running.extend(call.map(|call| (call, at)));
            deeds.push(Deed { begun, call, end: None });
        }
        network.run_for(PACE);
        for (node, event) in network.simulation.take_events() {
            if let Event::LookupDone { lookup, .. } | Event::Stored { lookup, .. } = &event
                && let Some(at) = running.remove(&(node, *lookup))
            {
                deeds[at].end = Some(event);
            }
        }
        progress((deeds.len() - running.len()) as f64 / count as f64);
    }
    deeds
}

/// A search for peers.
pub(crate) fn search(simulation: &mut Net, from: NodeIndex, key: Key<20>, effort: Effort) -> Option<Call> {
    let request = Request::get_peers(InfoHash::from(key), Families::NONE);
    let options = LookupOptions { answers: true, effort: Some(effort), ..LookupOptions::default() };
    let id = simulation.call(from, |node, now| node.lookup(now, key, request, options).ok());
    Some((from, id.flatten()?))
}

/// An announcement.
pub(crate) fn announce(simulation: &mut Net, from: NodeIndex, key: Key<20>, effort: Effort) -> Option<Call> {
    let info_hash = InfoHash::from(key);
    let request = Request::get_peers(info_hash, Families::NONE);
    let make = Box::new(move |_: &Contact<Key<20>>, response: &Response| {
        let token = response.token?;
        Some(Request::AnnouncePeer { implied_port: false, info_hash, port: Some(PORT), seed: false, token })
    });
    let options = LookupOptions { effort: Some(effort), ..LookupOptions::default() };
    let id = simulation.call(from, |node, now| node.publish(now, key, request, make, options).ok());
    Some((from, id.flatten()?))
}

/// Sees what happens during the searches.
#[derive(Clone, Debug)]
pub(crate) struct Lookout(Arc<Mutex<Seen>>);

#[derive(Debug)]
pub(crate) struct Seen {
    /// When each lookup was first told of a peer. Attackers tell of none.
    firsts: BTreeMap<Call, Instant>,
    pub(crate) recorder: Option<Recorder>,
}

impl Seen {
    /// How long a search took to be told of a peer.
    pub(crate) fn first(&self, deed: &Deed) -> Option<Duration> {
        Some(self.firsts.get(&deed.call?)?.since(deed.begun))
    }
}

impl Lookout {
    /// Looks from now on.
    pub(crate) fn new(simulation: &mut Net, recorder: Option<Recorder>) -> Self {
        let lookout = Lookout(Arc::new(Mutex::new(Seen { firsts: BTreeMap::new(), recorder })));
        let shared = lookout.clone();
        simulation.observe(move |now, step| {
            let mut seen = shared.seen();
            if let Step::Event { node, event: Event::Answer { lookup, response, .. } } = step
                && !response.values.is_empty()
            {
                seen.firsts.entry((*node, *lookup)).or_insert(now);
            }
            if let Some(recorder) = &mut seen.recorder {
                recorder.see(now, step);
            }
        });
        lookout
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
