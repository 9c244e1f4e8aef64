//! The table against the [model](super::model), step by step: P8, P10, P11, P12.

use alloc::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, TestCaseError, prop_oneof};

use super::model::{Known, Model};
use super::*;

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
        near: [0, 8][usize::from(n >> 8 & 1)],
        ..rules()
    }
}

fn agree<const N: usize>(k: usize, rules: u16, steps: &[Step]) -> Result<(), TestCaseError> {
    let config = config(rules);
    let (mut now, local) = (Instant::from_secs(1), key::<N>(0));
    let mut table = Table::new(local, k, config);
    let mut model = Model::new(local, k, config);
    for &(op, who, place) in steps {
        // Steps of a stamp's size and more, so that no two are simultaneous and ties need no rule; some of minutes.
        now = Instant::from_micros(
            (now.as_micros() | 0xffff) + 1 + if op > 230 { u64::from(place) << 23 } else { 0 },
        );
        let contact = match (op % 3, model.entries.get(usize::from(who) % model.entries.len().max(1))) {
            (0, Some(known)) => known.contact,
            _ => Contact::new(key(who), addr(place)),
        };
        prop_assert_eq!(table.wants(now, &contact), model.wants(now, &contact));
        match op {
            0..110 => prop_assert_eq!(table.answered(now, contact, None), model.answered(now, contact)),
            110..130 => {
                let known =
                    model.entries.iter_mut().chain(&mut model.waiting).find(|known| known.contact == contact);
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
        let checked =
            entry.due(&table.config).map_or(Instant::NEVER, |due| due - pause(entry, &table.config));
        Known { contact: entry.contact(), failures: entry.failures(), seen: entry.last_seen(), checked }
    };
    let mut found = Vec::new();
    for bucket in table.buckets() {
        prop_assert!(bucket.entries.len() <= model.capacity(bucket.index));
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
    let count = |quality| model.entries.iter().filter(|known| model.quality(known, now) == quality).count();
    let (good, questionable, bad) = (count(Quality::Good), count(Quality::Questionable), count(Quality::Bad));
    prop_assert_eq!(table.counts(now), Counts { good, questionable, bad, replacements: model.waiting.len() });
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
    let (n, except) = (n % 48, key::<N>(48));
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
    (prop_oneof![Just(1), Just(8), Just(20)], 0_u16..512, vec(any::<Step>(), 0..120))
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
        let contacts = |table: &Table<Small>| table.iter().map(Entry::contact).collect::<BTreeSet<_>>();
        let before = contacts(&table);
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
        prop_assert_eq!(contacts(&table), before);
        prop_assert_eq!(table.check(), Ok(()));
    }
}
