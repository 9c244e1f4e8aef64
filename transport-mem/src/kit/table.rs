//! P10, P11, P12: the routing table, with the overlay's configuration, against a plain list of what it holds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::table::Quality;
use kademlia_core::{Config, Contact, Instant, Keyspace, Protocol, Rng, Service, Table, subnet};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Kit, Law, Proof};
use crate::addresses::{address_v4, address_v6};
use crate::strategies;

/// Operations in one case.
const OPERATIONS: usize = 300;
/// After so many operations the table is examined.
const PACE: usize = 20;
/// So few addresses of one family that contacts collide.
const HOSTS: u32 = 150;

/// What may happen to a table. Contacts are named by their number among those that answered so far.
#[derive(Clone, Debug)]
enum Operation<K> {
    Answered(Contact<K>),
    AnsweredAgain(usize),
    Queried(usize),
    Failed(usize),
    Asked(usize),
    Wait(Duration),
    Refresh(u64),
    Rename(K),
}

pub(super) fn prove<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let config = kit.config();
    let cases = kit.cases.div_ceil(30);
    let operations = strategies::key::<P::Key>()
        .prop_flat_map(|local| (Just(local), vec(operation(local), 1..OPERATIONS)));
    let proof = kit.try_cases(Law::Table, cases, &operations, |(local, operations)| {
        work_through(&config, *local, operations)
    })?;
    Ok(format!("{proof} of up to {OPERATIONS} operations"))
}

fn operation<K: Keyspace>(local: K) -> impl Strategy<Value = Operation<K>> {
    let contact = (strategies::key_beside(local), address()).prop_map(|(key, addr)| Contact::new(key, addr));
    prop_oneof![
        12 => contact.prop_map(Operation::Answered),
        2 => any::<usize>().prop_map(Operation::AnsweredAgain),
        2 => any::<usize>().prop_map(Operation::Queried),
        6 => any::<usize>().prop_map(Operation::Failed),
        1 => any::<usize>().prop_map(Operation::Asked),
        3 => (0..1_200_u64).prop_map(|seconds| Operation::Wait(Duration::from_secs(seconds))),
        1 => any::<u64>().prop_map(Operation::Refresh),
        1 => strategies::key_beside(local).prop_map(Operation::Rename),
    ]
}

/// Hosts of which some have two ports, and some share a subnet.
fn address() -> impl Strategy<Value = SocketAddr> {
    (0..HOSTS, prop_oneof![Just(0_u8), 0..4_u8], any::<bool>()).prop_map(|(host, near, v6)| {
        let mut addr = if v6 { address_v6(host) } else { address_v4(host) };
        match &mut addr {
            SocketAddr::V4(addr) => {
                let [a, b, c, d] = addr.ip().octets();
                addr.set_ip([a, b, c, d ^ near].into());
            }
            SocketAddr::V6(addr) => addr.set_port(6_881 + u16::from(near)),
        }
        addr
    })
}

fn work_through<K: Keyspace>(config: &Config, local: K, operations: &[Operation<K>]) -> Result<(), String> {
    let mut table = Table::new(local, config.k, config.table);
    let (mut now, mut known) = (Instant::from_secs(1_000), Vec::new());
    for (number, operation) in operations.iter().enumerate() {
        let nobody = Contact::new(local, address_v4(0));
        let nth = |n: &usize| known.get(n % known.len().max(1)).copied().unwrap_or(nobody);
        match operation {
            Operation::Answered(contact) => {
                table.answered(now, *contact, None);
                known.push(*contact);
            }
            Operation::AnsweredAgain(n) => drop(table.answered(now, nth(n), None)),
            Operation::Queried(n) => drop(table.queried_by(now, &nth(n))),
            Operation::Failed(n) => drop(table.failed(now, &nth(n))),
            Operation::Asked(n) => table.asked(now, &nth(n)),
            Operation::Wait(time) => now = now + *time,
            Operation::Refresh(seed) => drop(table.refresh(now, &mut Rng::from_number(*seed))),
            Operation::Rename(key) => table.rename(now, *key),
        }
        if number % PACE == 0 || number + 1 == operations.len() {
            examine(&table, config, now).map_err(|broken| format!("{broken}, after operation {number}"))?;
        }
    }
    Ok(())
}

fn examine<K: Keyspace>(table: &Table<K>, config: &Config, now: Instant) -> Result<(), String> {
    table.check().map_err(|broken| format!("a table in order, but {broken}"))?;
    let buckets: Vec<(usize, Vec<Contact<K>>)> = table
        .buckets()
        .map(|bucket| (bucket.index, bucket.entries.iter().map(|entry| entry.contact()).collect()))
        .collect();
    let all: Vec<_> = table.iter().map(|entry| entry.contact()).collect();
    if buckets.iter().flat_map(|(_, contacts)| contacts).ne(&all) {
        return Err("buckets that together hold what the table holds".into());
    }
    is_lawful(&table.local(), config, &buckets)?;
    let quality = |wanted: fn(Quality) -> bool| -> Vec<Contact<K>> {
        let entries = table.iter().filter(|entry| wanted(entry.quality(now, &config.table)));
        entries.map(|entry| entry.contact()).collect()
    };
    let (good, alive) = (quality(|is| is == Quality::Good), quality(|is| is != Quality::Bad));
    for target in all.iter().step_by(7).map(|contact| contact.key).chain([table.local(), K::ZERO]) {
        for n in [1, config.k, usize::MAX] {
            let (mut closest_good, mut closest) = (Vec::new(), Vec::new());
            table.closest_good(now, &target, n, None, &mut closest_good);
            table.closest(now, &target, n, &mut closest);
            is_closest(&target, n, &good, &closest_good)?;
            is_closest(&target, n, &alive, &closest)?;
        }
    }
    Ok(())
}

/// P10 and P12, from the numbers of the buckets and what is in them.
fn is_lawful<K: Keyspace>(
    local: &K,
    config: &Config,
    buckets: &[(usize, Vec<Contact<K>>)],
) -> Result<(), String> {
    let rule = |holds: bool, rule: String| if holds { Ok(()) } else { Err(rule) };
    let (mut keys, mut ips, mut subnets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (number, contacts) in buckets {
        let near = number + 2 >= buckets.len();
        let room = if near { config.k.max(config.table.near) } else { config.k };
        rule(contacts.len() <= room, format!("at most {room} entries in bucket {number} (P10)"))?;
        let mut in_bucket = BTreeMap::new();
        for contact in contacts {
            let shared = local.common_prefix(&contact.key);
            let fits = shared == *number || (number + 1 == buckets.len() && shared > *number);
            rule(fits, format!("keys in bucket {number} that share as many bits with the own (P10)"))?;
            rule(contact.key != *local, "never the own key (P12)".into())?;
            *keys.entry(contact.key).or_insert(0) += 1;
            *ips.entry(contact.addr.ip()).or_insert(0) += 1;
            *subnets.entry(subnet(contact.addr.ip())).or_insert(0) += 1;
            *in_bucket.entry(subnet(contact.addr.ip())).or_insert(0) += 1;
        }
        rule(
            within(&in_bucket, config.table.per_subnet_in_bucket),
            "few of one subnet in a bucket (P12)".into(),
        )?;
    }
    rule(within(&keys, 1), "one entry for a key (P12)".into())?;
    rule(!config.table.one_per_ip || within(&ips, 1), "one entry for an IP address (P12)".into())?;
    rule(within(&subnets, config.table.per_subnet), "few of one subnet in the table (P12)".into())
}

/// 0 is no limit.
fn within<T>(counts: &BTreeMap<T, usize>, limit: usize) -> bool {
    limit == 0 || counts.values().all(|count| *count <= limit)
}

/// P11: the same as all of them sorted.
fn is_closest<K: Keyspace>(
    target: &K,
    n: usize,
    eligible: &[Contact<K>],
    found: &[Contact<K>],
) -> Result<(), String> {
    let mut sorted = eligible.to_vec();
    sorted.sort_by_key(|contact| contact.key.distance(target));
    sorted.truncate(n);
    if sorted == found {
        Ok(())
    } else {
        Err(format!("{sorted:?} closest to {target:?}, but found {found:?} (P11)"))
    }
}

#[cfg(test)]
mod tests {
    use kademlia_core::Key;

    use super::*;

    type K = Key<1>;

    fn at(key: u8) -> Contact<K> {
        Contact::new(Key::new([key]), address_v4(key.into()))
    }

    fn broken(buckets: &[(usize, Vec<Contact<K>>)]) -> Option<String> {
        let config = Config { k: 2, ..Config::default() };
        is_lawful(&K::ZERO, &config, buckets).err()
    }

    #[test]
    fn p10_p12_every_rule_can_fail() {
        assert_eq!(broken(&[(0, vec![at(0x80), at(0xc0)]), (1, vec![at(0x40), at(1)])]), None);
        let shows = |buckets: &[(usize, Vec<Contact<K>>)], rule: &str| {
            let broken = broken(buckets);
            assert!(broken.as_ref().is_some_and(|broken| broken.contains(rule)), "{rule}: {broken:?}");
        };
        shows(&[(0, vec![at(0x80), at(0xc0), at(0xf0)])], "at most 2");
        shows(&[(0, vec![at(0x40)]), (1, vec![])], "share as many bits");
        shows(&[(0, vec![]), (1, vec![at(0x80)])], "share as many bits");
        shows(&[(0, vec![at(0)])], "own key");
        let twin = Contact::new(Key::new([0x80]), address_v4(1));
        shows(&[(0, vec![at(0x80), twin])], "one entry for a key");
        let housemate = Contact::new(Key::new([0xc0]), at(0x80).addr);
        shows(&[(0, vec![at(0x80), housemate])], "few of one subnet in a bucket");
        let elsewhere = Contact::new(Key::new([0x40]), at(0x80).addr);
        shows(&[(0, vec![at(0x80)]), (1, vec![elsewhere])], "one entry for an IP address");
    }

    #[test]
    fn p11_a_list_that_is_not_sorted_or_not_complete_is_no_answer() {
        let all = [at(1), at(2), at(4)];
        assert_eq!(is_closest(&K::ZERO, 2, &all, &[at(1), at(2)]), Ok(()));
        for wrong in [vec![at(2), at(1)], vec![at(1)], vec![at(1), at(4)], all.to_vec()] {
            assert!(is_closest(&K::ZERO, 2, &all, &wrong).is_err());
        }
    }
}
