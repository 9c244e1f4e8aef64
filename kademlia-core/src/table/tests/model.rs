//! The table against a model that does everything the long way: one list, no order, a scan for every question.

use alloc::format;
use core::cmp::Reverse;

use proptest::prelude::{Just, Strategy, TestCaseError, prop_oneof};

use super::*;
use crate::address::subnet;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Known<const N: usize> {
    contact: Contact<Key<N>>,
    failures: u8,
    seen: Instant,
    checked: Instant,
}

#[derive(Debug)]
struct Model<const N: usize> {
    local: Key<N>,
    k: usize,
    config: TableConfig,
    depth: usize,
    entries: Vec<Known<N>>,
    waiting: Vec<Known<N>>,
}

impl<const N: usize> Model<N> {
    fn bucket(&self, key: &Key<N>) -> usize {
        self.local.common_prefix(key).min(self.depth - 1)
    }

    fn mates(&self, key: &Key<N>) -> Vec<Known<N>> {
        let in_bucket = |known: &&Known<N>| self.bucket(&known.contact.key) == self.bucket(key);
        self.entries.iter().filter(in_bucket).copied().collect()
    }

    fn quality(&self, known: &Known<N>, now: Instant) -> Quality {
        if known.failures >= self.config.bad_after {
            Quality::Bad
        } else if known.failures > 0 || now.since(known.seen) > self.config.good_for {
            Quality::Questionable
        } else {
            Quality::Good
        }
    }

    fn get(&self, key: &Key<N>) -> Option<Known<N>> {
        self.entries
            .iter()
            .find(|known| known.contact.key == *key)
            .copied()
    }

    fn remove(&mut self, key: &Key<N>) {
        self.entries.retain(|known| known.contact.key != *key);
    }

    fn obstacle(&self, contact: &Contact<Key<N>>) -> Option<Known<N>> {
        let ip = contact.addr.ip();
        let others = |list: &[Known<N>]| -> Vec<Known<N>> {
            list.iter()
                .filter(|known| known.contact.key != contact.key)
                .copied()
                .collect()
        };
        let crowd = |list: Vec<Known<N>>, limit: usize| {
            let near = others(&list)
                .into_iter()
                .filter(|known| subnet(known.contact.addr.ip()) == subnet(ip));
            let full = limit != 0 && near.clone().count() >= limit;
            near.min_by_key(|known| (Reverse(known.failures), known.seen))
                .filter(|_| full)
        };
        let at_address = |known: &Known<N>| {
            known.contact.addr == contact.addr || (self.config.one_per_ip && known.contact.addr.ip() == ip)
        };
        let holder = others(&self.entries).into_iter().find(at_address);
        holder
            .or_else(|| crowd(self.mates(&contact.key), self.config.per_subnet_in_bucket))
            .or_else(|| crowd(self.entries.clone(), self.config.per_subnet))
    }

    fn room(&mut self, key: &Key<N>) -> bool {
        while self.mates(key).len() == self.k {
            if self.bucket(key) + 1 != self.depth || self.depth == Key::<N>::BITS {
                return false;
            }
            self.depth += 1;
        }
        true
    }

    fn wait(&mut self, known: Known<N>) {
        let ip = known.contact.addr.ip();
        if self.config.one_per_ip {
            self.waiting.retain(|other| other.contact.addr.ip() != ip);
        }
        self.waiting.push(known);
        let per_subnet = match self.config.per_subnet_in_bucket {
            0 => usize::MAX,
            limit => limit,
        };
        self.thin(&known, per_subnet, |other| {
            subnet(other.contact.addr.ip()) == subnet(ip)
        });
        self.thin(&known, self.config.replacements, |_| true);
    }

    fn thin(&mut self, like: &Known<N>, limit: usize, alike: impl Fn(&Known<N>) -> bool) {
        let bucket = self.bucket(&like.contact.key);
        let mut group = self.waiting.clone();
        group.retain(|known| self.bucket(&known.contact.key) == bucket && alike(known));
        group.sort_by_key(|known| Reverse(known.seen));
        for surplus in group.iter().skip(limit) {
            self.waiting.retain(|known| known != surplus);
        }
    }

    fn promote(&mut self, key: &Key<N>) -> Option<Contact<Key<N>>> {
        if self.mates(key).len() == self.k {
            return None;
        }
        let fits = |known: &&Known<N>| {
            self.bucket(&known.contact.key) == self.bucket(key) && self.obstacle(&known.contact).is_none()
        };
        let next = *self.waiting.iter().filter(fits).max_by_key(|known| known.seen)?;
        self.waiting.retain(|known| *known != next);
        self.entries.push(next);
        Some(next.contact)
    }

    fn answered(&mut self, now: Instant, contact: Contact<Key<N>>) -> Insert<Key<N>> {
        let fresh = Known {
            contact,
            failures: 0,
            seen: now,
            checked: now,
        };
        if contact.key == self.local {
            return Insert::Refused;
        }
        if let Some(known) = self.entries.iter_mut().find(|known| known.contact == contact) {
            *known = fresh;
            return Insert::Updated;
        }
        self.waiting
            .retain(|known| known.contact.key != contact.key && known.contact.addr != contact.addr);
        let stale = self
            .entries
            .iter()
            .find(|known| known.contact.addr == contact.addr)
            .copied();
        if let Some(stale) = stale {
            self.remove(&stale.contact.key);
        }
        let mut freed = Vec::from_iter(stale);
        let insert = self.admit(now, fresh, &mut freed);
        for gone in &freed {
            self.promote(&gone.contact.key);
        }
        match (insert, freed.last()) {
            (Insert::Added, Some(gone)) => Insert::Replaced(gone.contact),
            _ => insert,
        }
    }

    fn admit(&mut self, now: Instant, fresh: Known<N>, freed: &mut Vec<Known<N>>) -> Insert<Key<N>> {
        let key = fresh.contact.key;
        let moved = self.get(&key);
        if moved.is_some_and(|old| self.quality(&old, now) == Quality::Good) {
            return Insert::Refused;
        }
        while let Some(obstacle) = self.obstacle(&fresh.contact) {
            match self.quality(&obstacle, now) {
                Quality::Bad => {
                    self.remove(&obstacle.contact.key);
                    freed.push(obstacle);
                }
                Quality::Questionable if moved.is_none() => {
                    self.wait(fresh);
                    return Insert::Waiting {
                        ask: Some(obstacle.contact),
                    };
                }
                _ => return Insert::Refused,
            }
        }
        if moved.is_some() {
            self.remove(&key);
            self.entries.push(fresh);
            return Insert::Updated;
        }
        let least_recent = |model: &Self, quality| {
            let mates = model
                .mates(&key)
                .into_iter()
                .filter(|known| model.quality(known, now) == quality);
            mates.min_by_key(|known| known.seen)
        };
        if self.mates(&key).len() == self.k
            && let Some(bad) = least_recent(self, Quality::Bad)
        {
            self.remove(&bad.contact.key);
            self.entries.push(fresh);
            return Insert::Replaced(bad.contact);
        }
        if self.room(&key) {
            self.entries.push(fresh);
            return Insert::Added;
        }
        let ask = least_recent(self, Quality::Questionable).map(|known| known.contact);
        self.wait(fresh);
        Insert::Waiting { ask }
    }

    fn failed(&mut self, now: Instant, contact: &Contact<Key<N>>) -> Option<Contact<Key<N>>> {
        self.waiting.retain(|known| known.contact != *contact);
        let known = self.entries.iter_mut().find(|known| known.contact == *contact)?;
        known.failures += 1;
        known.checked = now;
        let bad = *known;
        if bad.failures < self.config.bad_after {
            return None;
        }
        self.remove(&contact.key);
        let promoted = self.promote(&contact.key);
        if promoted.is_none() {
            self.entries.push(bad);
        }
        promoted
    }

    fn wants(&self, now: Instant, contact: &Contact<Key<N>>) -> bool {
        let is_good = |known: &Known<N>| self.quality(known, now) == Quality::Good;
        let waits = self.waiting.iter().any(|known| known.contact.key == contact.key);
        let mates = self.mates(&contact.key);
        let splits = self.bucket(&contact.key) + 1 == self.depth && self.depth < Key::<N>::BITS;
        let place = match self.get(&contact.key) {
            Some(known) => known.contact.addr != contact.addr && !is_good(&known),
            None => splits || mates.len() < self.k || mates.iter().any(|known| !is_good(known)),
        };
        contact.key != self.local
            && !waits
            && place
            && !self.obstacle(contact).is_some_and(|known| is_good(&known))
    }

    fn rename(&mut self, local: Key<N>) {
        self.local = local;
        self.depth = 1;
        let mut all = core::mem::take(&mut self.entries);
        let mut waiting = core::mem::take(&mut self.waiting);
        all.sort_by_key(|known| (known.failures >= self.config.bad_after, Reverse(known.seen)));
        waiting.sort_by_key(|known| Reverse(known.seen));
        all.append(&mut waiting);
        all.retain(|known| known.contact.key != local);
        for known in all {
            if self.room(&known.contact.key) && self.obstacle(&known.contact).is_none() {
                self.entries.push(known);
            } else if known.failures < self.config.bad_after {
                self.wait(known);
            }
        }
    }

    /// The contacts of the given qualities, nearest to the target first.
    fn sorted(&self, now: Instant, target: &Key<N>, worst: Quality) -> Vec<Contact<Key<N>>> {
        let fit = self
            .entries
            .iter()
            .filter(|known| self.quality(known, now) <= worst);
        let mut contacts: Vec<_> = fit.map(|known| known.contact).collect();
        contacts.sort_by_key(|contact| contact.key.distance(target));
        contacts
    }
}

/// What one step does, chosen by three bytes so that cases are cheap to make and shrink well.
type Step = (u8, u8, u8);

/// Keys at all depths around zero, some twice as likely to meet in one bucket as chance would have it.
fn key<const N: usize>(n: u8) -> Key<N> {
    if N == 1 {
        return Key::from_slice(&[n]).unwrap_or(Key::ZERO);
    }
    let mut key = Key::ZERO;
    let (depth, rest) = (usize::from(n % 13), n / 13);
    for (byte, at) in key.as_bytes_mut().iter_mut().zip(0_u8..).skip(depth / 8) {
        *byte = rest.wrapping_mul(37).wrapping_add(at.wrapping_mul(11));
    }
    let first = &mut key.as_bytes_mut()[depth / 8];
    *first = (*first | 0x80) >> (depth % 8);
    key
}

/// Twelve subnets of either family, with four addresses in each and two ports at each.
fn addr(n: u8) -> SocketAddr {
    let (network, host, port) = (n % 12, n / 12 % 4, 1 + u16::from(n / 48 % 2));
    match network {
        0..9 => SocketAddr::from(([9, 9, network, host], port)),
        _ => SocketAddr::from(([0x2001, 0x470, 0, network.into(), 0, 0, 0, host.into()], port)),
    }
}

fn config(n: u16) -> TableConfig {
    TableConfig {
        bad_after: 1 + (n & 1) as u8,
        one_per_ip: n & 2 != 0,
        per_subnet_in_bucket: [0, 1, 2, 4][usize::from(n >> 2 & 3)],
        per_subnet: [0, 3, 8, 16][usize::from(n >> 4 & 3)],
        replacements: [0, 1, 3, 8][usize::from(n >> 6 & 3)],
        ..rules()
    }
}

fn agree<const N: usize>(k: usize, rules: u16, steps: &[Step]) -> Result<(), TestCaseError> {
    let config = config(rules);
    let (mut now, local) = (Instant::from_secs(1), key::<N>(0));
    let mut table = Table::new(local, k, config);
    let mut model = Model {
        local,
        k,
        config,
        depth: 1,
        entries: Vec::new(),
        waiting: Vec::new(),
    };
    for &(op, who, place) in steps {
        // Steps of a stamp's size and more, so that no two are simultaneous and ties need no rule; some of minutes.
        now = Instant::from_micros(
            (now.as_micros() | 0xffff) + 1 + if op > 230 { u64::from(place) << 23 } else { 0 },
        );
        let contact = match (
            op % 3,
            model.entries.get(usize::from(who) % model.entries.len().max(1)),
        ) {
            (0, Some(known)) => known.contact,
            _ => Contact::new(key(who), addr(place)),
        };
        prop_assert_eq!(table.wants(now, &contact), model.wants(now, &contact));
        match op {
            0..110 => prop_assert_eq!(table.answered(now, contact, None), model.answered(now, contact)),
            110..130 => {
                let known = model
                    .entries
                    .iter_mut()
                    .chain(&mut model.waiting)
                    .find(|known| known.contact == contact);
                let found = known.map(|known| known.seen = now).is_some();
                prop_assert_eq!(table.queried_by(now, &contact), found);
            }
            130..220 => prop_assert_eq!(table.failed(now, &contact), model.failed(now, &contact)),
            220..228 => {
                table.asked(now, &contact);
                if let Some(known) = model.entries.iter_mut().find(|known| known.contact == contact) {
                    known.checked = now;
                }
            }
            228..230 => {
                table.rename(now, contact.key);
                if contact.key != model.local {
                    model.rename(contact.key);
                }
            }
            _ => {}
        }
        same(&table, &model, now)?;
        closest(&table, &model, now, &key(place), usize::from(who))?;
    }
    prop_assert_eq!(table.check(), Ok(()));
    Ok(())
}

/// P8, P10, P12 and that both know the same.
fn same<const N: usize>(table: &Table<Key<N>>, model: &Model<N>, now: Instant) -> Result<(), TestCaseError> {
    let mut expected: Vec<_> = model.entries.clone();
    expected.sort_by_key(|known| (model.bucket(&known.contact.key), known.contact.key));
    let known = |entry: &Entry<Key<N>>| {
        let checked = entry
            .due(&table.config)
            .map_or(Instant::NEVER, |due| due - pause(entry, &table.config));
        Known {
            contact: entry.contact(),
            failures: entry.failures(),
            seen: entry.last_seen(),
            checked,
        }
    };
    let mut found = Vec::new();
    for bucket in table.buckets() {
        prop_assert!(bucket.entries.len() <= model.k);
        let start = found.len();
        found.extend(bucket.entries.iter().map(known));
        found[start..].sort_by_key(|known| known.contact.key);
    }
    for known in expected.iter_mut() {
        known.seen = Stamp::new(known.seen).instant();
        known.checked = Stamp::new(known.checked).instant();
    }
    prop_assert_eq!(found, expected);
    prop_assert_eq!((table.depth(), table.len()), (model.depth, model.entries.len()));
    let count = |quality| {
        model
            .entries
            .iter()
            .filter(|known| model.quality(known, now) == quality)
            .count()
    };
    let (good, questionable, bad) = (
        count(Quality::Good),
        count(Quality::Questionable),
        count(Quality::Bad),
    );
    prop_assert_eq!(
        table.counts(now),
        Counts {
            good,
            questionable,
            bad,
            replacements: model.waiting.len()
        }
    );
    Ok(())
}

fn pause<const N: usize>(entry: &Entry<Key<N>>, config: &TableConfig) -> Duration {
    match entry.failures() {
        0 => config.keepalive,
        1 if config.bad_after == 2 => config.keepalive / 8,
        failures => config.keepalive * (1 << (failures - config.bad_after + 1).min(5)),
    }
}

/// P11.
fn closest<const N: usize>(
    table: &Table<Key<N>>,
    model: &Model<N>,
    now: Instant,
    target: &Key<N>,
    n: usize,
) -> Result<(), TestCaseError> {
    let (n, except) = (n % 48, key::<N>(n as u8));
    let (mut good, mut alive) = (Vec::new(), Vec::new());
    table.closest_good(now, target, n, Some(except), &mut good);
    table.closest(now, target, n, &mut alive);
    let mut expected = model.sorted(now, target, Quality::Good);
    expected.retain(|contact| contact.key != except);
    prop_assert_eq!(&good[..], &expected[..n.min(expected.len())]);
    let expected = model.sorted(now, target, Quality::Questionable);
    prop_assert_eq!(&alive[..], &expected[..n.min(expected.len())]);
    Ok(())
}

fn cases() -> impl Strategy<Value = (usize, u16, Vec<Step>)> {
    (
        prop_oneof![Just(1), Just(8), Just(20)],
        0_u16..256,
        vec(any::<Step>(), 0..120),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p10_p11_p12_a_table_of_8_bit_keys_agrees_with_the_model((k, rules, steps) in cases()) {
        agree::<1>(k, rules, &steps)?;
    }

    #[test]
    fn p10_p11_p12_a_table_of_160_bit_keys_agrees_with_the_model((k, rules, steps) in cases()) {
        agree::<20>(k, rules, &steps)?;
    }

    #[test]
    fn p10_p11_p12_a_table_of_256_bit_keys_agrees_with_the_model((k, rules, steps) in cases()) {
        agree::<32>(k, rules, &steps)?;
    }

    /// P12: nothing but an answer brings a contact in, moves one or takes one out of a table without replacements.
    #[test]
    fn p12_only_an_answer_gets_in(known in vec(1_u8.., 0..40), steps in vec(any::<Step>(), 0..200)) {
        let mut table = filled(4, known);
        table.replacements.clear();
        let before: Vec<_> = table.iter().map(Entry::contact).collect();
        for (op, who, place) in steps {
            let contact = if op % 2 == 0 { at(who) } else { Contact::new(key(who), addr(place)) };
            let now = Instant::from_secs(u64::from(place) * 60);
            match op % 8 / 2 {
                0 => drop(table.queried_by(now, &contact)),
                1 => drop(table.failed(now, &contact)),
                2 => table.asked(now, &contact),
                _ => drop(table.wants(now, &contact)),
            }
        }
        prop_assert_eq!(table.iter().map(Entry::contact).collect::<Vec<_>>(), before);
        prop_assert_eq!(table.check(), Ok(()), "{}", format!("{table:?}"));
    }
}
