//! Lookups of one node, step by step, and what becomes of them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::searches::{Plan, Purpose, Search};
use super::{Event, LookupOptions, Named, Node};
use crate::contact::Contact;
use crate::health::HealthLog;
use crate::lookup::{
    Bounds, Effort, Gait, Lookup, LookupId, LookupLimit, LookupReport, Next, Rules, Vouched,
};
use crate::protocol::Protocol;
use crate::publish::{Outcome, Publish};
use crate::rpc::{Asking, Cause};
use crate::service::Service;
use crate::task::Verdict;
use crate::time::Instant;

/// Times as dense as the network's size explains: the nodes around a target are a crowd (T1).
const CROWDED: f64 = 4.0;

impl<P: Protocol, S: Service<P>> Node<P, S> {
    /// Starts one of the engine's own searches at once: they need no place.
    pub(super) fn start_own(
        &mut self,
        now: Instant,
        target: P::Key,
        request: P::Request,
        purpose: Purpose<P>,
    ) -> LookupId {
        let id = LookupId::from(self.take_id());
        self.start(now, id, Plan { target, request, options: LookupOptions::default(), purpose });
        id
    }

    pub(super) fn enqueue(&mut self, now: Instant, plan: Plan<P>) -> Result<LookupId, LookupLimit> {
        let id = LookupId::from(self.take_id());
        self.enqueue_as(now, id, plan)?;
        Ok(id)
    }

    pub(super) fn enqueue_as(
        &mut self,
        now: Instant,
        id: LookupId,
        plan: Plan<P>,
    ) -> Result<(), LookupLimit> {
        self.searches.queue.push(id, now + self.config.lookup.patience, plan)?;
        self.run_searches(now);
        Ok(())
    }

    fn start(&mut self, now: Instant, id: LookupId, plan: Plan<P>) {
        let Plan { target, request, options, purpose } = plan;
        let effort = options.effort.unwrap_or(match &purpose {
            Purpose::Find(watch) if watch.wants_answers() => Effort::Reinforced,
            Purpose::Find(_) => Effort::Dense,
            Purpose::Publish(_) => Effort::Hardened,
            Purpose::Join | Purpose::Refresh => Effort::Plain,
        });
        // Things that are published with the least effort are many (T23): where all nodes have many, who does not answer is
        // busy, and one question more keeps him so.
        let repeats = effort != Effort::Plain || !matches!(purpose, Purpose::Publish(_));
        let config = &self.config.lookup;
        let bounds = Bounds {
            gait: Gait { repeats, ..self.gait(effort, &options) },
            candidates: config.candidates,
            messages: if effort == Effort::Reinforced { config.reinforced_messages } else { config.messages },
            time: config.time,
            stagger: options
                .stagger
                .map_or(Duration::ZERO, |first| self.transactions.round_trips().median().unwrap_or(first)),
        };
        let paths = if effort == Effort::Hardened { config.paths } else { 1 };
        let mut lookup = Lookup::new(now, target, paths, bounds);
        lookup.seed(self.starting_points(now, &target, paths));
        let search = Search { lookup, request, options, effort, purpose };
        self.searches.running.insert(id, Box::new(search));
    }

    /// How the lookup, or each of its paths, is walked.
    fn gait(&self, effort: Effort, options: &LookupOptions) -> Gait {
        Gait { rules: self.rules(effort, options), alpha: self.alpha(effort, options), repeats: true }
    }

    /// Requests in flight on each path. Several paths together have about four times α, however many they are.
    fn alpha(&self, effort: Effort, options: &LookupOptions) -> usize {
        let alpha = options.alpha.unwrap_or(self.config.alpha);
        let shared = if effort == Effort::Hardened {
            alpha.saturating_mul(4).div_ceil(self.config.lookup.paths.max(1)).min(alpha)
        } else {
            alpha
        };
        shared.max(1)
    }

    /// What a lookup, or each of its paths, looks for.
    fn rules(&self, effort: Effort, options: &LookupOptions) -> Rules {
        let config = &self.config.lookup;
        let hardened = effort == Effort::Hardened;
        // Several paths together reach beyond the dense radius anyway.
        let dense = !hardened && effort > Effort::Plain && config.dense != 0;
        let size = dense.then(|| self.network_size()).flatten();
        Rules {
            k: if hardened { config.per_path } else { options.k.unwrap_or(self.config.k) }.max(1),
            radius: size.map_or(0, |size| size.radius(config.dense)),
            most: config.dense_most,
            bound: hardened,
            per_subnet: config.per_subnet,
            per_wide_subnet: config.per_wide_subnet,
            healthy_first: options.healthy_first,
        }
    }

    /// The contacts of the table to begin with, nearest first. Those beyond the first few for each path are only asked
    /// if the nearer ones turn out to be dead.
    fn starting_points(&self, now: Instant, target: &P::Key, paths: usize) -> Vec<Vouched<P::Key>> {
        let mut contacts: Vec<Contact<P::Key>> = Vec::new();
        self.table.closest(now, target, self.config.k.saturating_mul(paths + 3), &mut contacts);
        vouch(&self.service, &self.health, contacts).collect()
    }

    /// The first answer is in: what began along one path goes on along several.
    fn reinforce(&mut self, now: Instant, id: LookupId) {
        let Some(search) = self.searches.running.get(&id) else { return };
        if search.effort != Effort::Reinforced || search.lookup.answers() == 0 {
            return;
        }
        let (target, options) = (search.lookup.target(), search.options);
        let gait = self.gait(Effort::Hardened, &options);
        let paths = self.config.lookup.paths.max(1);
        // The first path began with the nearest.
        let seeds = self.starting_points(now, &target, paths).into_iter().skip(self.config.k);
        if let Some(search) = self.searches.running.get_mut(&id) {
            search.effort = Effort::Hardened;
            search.lookup.reinforce(paths - 1, gait, seeds);
        }
    }

    /// Lets every search take the steps it can, and waiting ones in where one ended or bootstrap did.
    pub(super) fn run_searches(&mut self, now: Instant) {
        self.turns.held_back = false;
        self.step_searches(now);
        while self.admit_waiting(now) {
            self.step_searches(now);
        }
    }

    fn admit_waiting(&mut self, now: Instant) -> bool {
        let mut admitted = false;
        while self.searches.has_place() {
            let Some((id, plan)) = self.searches.queue.pop(now, self.join.is_under_way()) else { break };
            self.start(now, id, plan);
            admitted = true;
        }
        admitted
    }

    fn step_searches(&mut self, now: Instant) {
        let mut last = None;
        // By id and not by iterator: a step may end searches and start others, which come later in order.
        while let Some(id) = self.next_running(last) {
            self.step_search(now, id);
            last = Some(id);
        }
    }

    /// Ends the lookups whose time is over; the other half of a publish has as long as its requests.
    pub(super) fn end_overdue(&mut self, now: Instant) {
        let overdue = |search: &Search<P>| search.deadline().is_some_and(|deadline| deadline <= now);
        let mut last = None;
        while let Some(id) = self.next_running(last) {
            last = Some(id);
            if let Some(search) = self.searches.get_mut(id).filter(|search| overdue(search)) {
                search.lookup.stop();
                self.end_lookup(now, id);
            }
        }
    }

    fn next_running(&self, last: Option<LookupId>) -> Option<LookupId> {
        use core::ops::Bound::{Excluded, Unbounded};
        let after = last.map_or(Unbounded, Excluded);
        self.searches.running.range((after, Unbounded)).next().map(|(id, _)| *id)
    }

    fn step_search(&mut self, now: Instant, id: LookupId) {
        self.reinforce(now, id);
        while let Some(search) = self.searches.running.get_mut(&id) {
            if search.deadline().is_none() {
                return self.step_store(now, id);
            }
            // Whoever has no room now gets it when an outstanding request ends, and then every search steps again.
            match search.lookup.next(now, |ip| self.transactions.has_room(ip)) {
                // Named before it was blocked.
                Next::Ask(contact, path) if !self.admits(contact.addr) => {
                    if let Some(search) = self.searches.get_mut(id) {
                        search.lookup.refuse(&contact, path);
                    }
                }
                Next::Ask(contact, path) => {
                    if !self.may_send(now, contact.addr.ip()) {
                        return;
                    }
                    let Some(search) = self.searches.get_mut(id) else { return };
                    search.lookup.asked(now, &contact, path);
                    let (request, repeats) = (search.request.clone(), search.lookup.repeats(path));
                    let (cause, Contact { key, addr }) = (Cause::Lookup(id), contact);
                    let retries = if repeats { self.transactions.retries(cause) } else { 0 };
                    self.ask_as(now, Asking { to: addr, expected: Some(key), cause, retries }, request);
                }
                Next::Wait => return,
                Next::Done => self.end_lookup(now, id),
            }
        }
    }

    fn end_lookup(&mut self, now: Instant, id: LookupId) {
        self.transactions.cancel(Cause::Lookup(id));
        let Some(mut search) = self.searches.running.remove(&id) else { return };
        let k = search.wanted(self.config.k);
        let mut report = search.lookup.report(now, k);
        self.learn_size(&search.lookup, k, &mut report);
        match &mut search.purpose {
            Purpose::Find(_) => self.emit(Event::LookupDone { lookup: id, report }),
            Purpose::Join => self.joined(now, &report),
            Purpose::Refresh => self.refreshed(now, id),
            Purpose::Publish(publish) => {
                let holders = search.lookup.holders(|contact| publish.has_offer_of(contact));
                publish.begin(&holders, report);
                search.lookup.forget();
                self.searches.running.insert(id, search);
            }
        }
    }

    /// What the result of a lookup for `k` nodes says of the network's size, and the network's size of the result.
    fn learn_size(&mut self, lookup: &Lookup<P::Key>, k: usize, report: &mut LookupReport<P::Key>) {
        // Fewer than k are all there are only if nobody failed: our own link may be down.
        let all_heard = report.closest.len() >= k || report.answered == report.asked;
        if !report.complete || !all_heard {
            return;
        }
        let expected = self.network_size();
        let found = self.sizes.record(&report.target, &report.closest, k);
        self.sizes.record_bound(&report.target, &lookup.closest_bound(k));
        report.crowded =
            found.zip(expected).is_some_and(|(found, expected)| found > CROWDED * expected.nodes);
        self.counters.crowded += u64::from(report.crowded);
    }

    /// Sends what storing requests may be sent; ends the publish once all holders have answered or failed.
    fn step_store(&mut self, now: Instant, id: LookupId) {
        while let Some(publish) = self.publish_mut(id) {
            let Some(addr) = publish.peek().map(|holder| holder.addr) else { break };
            if !self.may_send(now, addr.ip()) {
                break;
            }
            let Some((holder, request)) = self.publish_mut(id).and_then(Publish::take) else { break };
            if !self.admits(holder.addr) {
                self.settle(id, holder.addr, Outcome::NoAnswer);
                continue;
            }
            self.ask(now, holder.addr, Some(holder.key), Cause::Store(id), request);
        }
        if let Some(stored) = self.publish_mut(id).and_then(Publish::finish) {
            self.searches.running.remove(&id);
            self.emit(Event::Stored { lookup: id, stored });
        }
    }

    fn publish_mut(&mut self, id: LookupId) -> Option<&mut Publish<P>> {
        match &mut self.searches.running.get_mut(&id)?.purpose {
            Purpose::Publish(publish) => Some(publish),
            _ => None,
        }
    }

    /// A node answered a lookup.
    pub(super) fn search_answered(
        &mut self,
        now: Instant,
        id: LookupId,
        from: Contact<P::Key>,
        response: &P::Response,
        named: &Named<P::Key>,
    ) {
        let Some(search) = self.searches.running.get_mut(&id) else { return };
        let named = vouch(&self.service, &self.health, named.iter().copied());
        search.lookup.answer(from.addr, named);
        match &mut search.purpose {
            Purpose::Find(watch) => {
                let verdict = watch.judge(&from, response);
                if verdict != Verdict::Pass {
                    self.emit(Event::Answer { lookup: id, from, response: response.clone() });
                }
                if verdict == Verdict::Finish {
                    self.finish_early(now, id);
                }
            }
            Purpose::Publish(publish) => {
                if publish.is_crowded() {
                    let holders = search.lookup.holders(|contact| publish.has_offer_of(contact));
                    publish.keep(&holders);
                }
                publish.offer(from, response);
            }
            Purpose::Join | Purpose::Refresh => {}
        }
    }

    /// A lookup has what it was for, whoever may still be closer.
    fn finish_early(&mut self, now: Instant, id: LookupId) {
        if let Some(search) = self.searches.get_mut(id) {
            search.lookup.stop();
        }
        self.end_lookup(now, id);
    }

    /// A node that a search asked will not answer.
    pub(super) fn search_failed(&mut self, id: LookupId, addr: SocketAddr) {
        if let Some(search) = self.searches.running.get_mut(&id) {
            search.lookup.failed(addr);
        }
        self.settle(id, addr, Outcome::NoAnswer);
    }

    pub(super) fn store_accepted(&mut self, id: LookupId, addr: SocketAddr) {
        self.settle(id, addr, Outcome::Accepted);
    }

    pub(super) fn store_refused(&mut self, id: LookupId, addr: SocketAddr, code: i64, text: String) {
        self.settle(id, addr, Outcome::Refused(code, text));
    }

    fn settle(&mut self, id: LookupId, addr: SocketAddr, outcome: Outcome) {
        if let Some(publish) = self.publish_mut(id) {
            publish.settle(addr, outcome);
        }
    }
}

/// Contacts, and what is known of them.
pub(super) fn vouch<P: Protocol>(
    service: &impl Service<P>,
    health: &HealthLog,
    contacts: impl IntoIterator<Item = Contact<P::Key>>,
) -> impl Iterator<Item = Vouched<P::Key>> {
    contacts.into_iter().map(|contact| Vouched {
        contact,
        bound: service.is_bound(&contact),
        health: health.of(contact.addr),
    })
}
