//! P13–P16 over arbitrary histories.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;
use crate::config::Config;
use crate::key::Key;

type K = Key<2>;

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 6881))
}

fn asking(transactions: &Transactions<K>, host: u8, expected: Option<K>, cause: Cause) -> Asking<K> {
    Asking { to: address(host), expected, cause, retries: transactions.retries(cause) }
}

#[derive(Clone, Debug)]
enum Step {
    Open {
        host: u8,
        key: Option<u8>,
    },
    /// A reply to the `nth` request ever opened, perhaps from elsewhere or under another key.
    Reply {
        nth: usize,
        host: Option<u8>,
        key: Option<u8>,
    },
    Wait {
        millis: u64,
    },
    Unreachable {
        host: u8,
    },
    Cancel {
        host: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u8, proptest::option::of(0..4_u8)).prop_map(|(host, key)| Step::Open { host, key }),
        3 => (any::<usize>(), proptest::option::of(0..4_u8), proptest::option::of(0..4_u8))
            .prop_map(|(nth, host, key)| Step::Reply { nth, host, key }),
        2 => (0..3_000_u64).prop_map(|millis| Step::Wait { millis }),
        1 => (0..4_u8).prop_map(|host| Step::Unreachable { host }),
        1 => (0..4_u8).prop_map(|host| Step::Cancel { host }),
        1 => Just(Step::Wait { millis: 0 }),
    ]
}

fn key_of(number: u8) -> K {
    Key::new([number, 0])
}

/// What the test knows of an open request.
#[derive(Clone, Copy, Debug)]
struct Known {
    host: u8,
    key: Option<u8>,
    sends: u32,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p13_p14_p16_every_request_ends_once_and_only_its_own_reply_ends_it(
        steps in proptest::collection::vec(step(), 1..60), seed: u64,
    ) {
        let config = RpcConfig { outstanding: 8, per_ip: 3, ..Config::default().rpc };
        let mut transactions: Transactions<K> = Transactions::new(config);
        let mut rng = Rng::from_number(seed);
        let mut now = Instant::ZERO;
        let mut open: BTreeMap<u32, Known> = BTreeMap::new();
        let mut ever: Vec<u32> = Vec::new();
        for step in steps {
            match step {
                Step::Open { host, key } => {
                    let to_host = open.values().filter(|known| known.host == host).count();
                    let cause = Cause::Request(RequestId::from(u64::from(host)));
                    let id = transactions.open(now, asking(&transactions, host, key.map(key_of), cause), &mut rng);
                    prop_assert_eq!(id.is_some(), open.len() < 8 && to_host < 3);
                    if let Some(id) = id.and_then(|id| id.number()) {
                        prop_assert!(open.insert(id, Known { host, key, sends: 1 }).is_none(), "P15: id reused");
                        ever.push(id);
                    }
                }
                Step::Reply { nth, host, key } if !ever.is_empty() => {
                    let id = ever[nth % ever.len()];
                    let known = open.get(&id).copied();
                    let from = host.or(known.map(|known| known.host)).unwrap_or(0);
                    let fits = known.is_some_and(|known| {
                        known.host == from && (known.key.is_none() || key.is_none() || known.key == key)
                    });
                    let got = transactions.accept(now, address(from), id.into(), key.map(key_of));
                    prop_assert_eq!(got.is_some(), fits);
                    if fits {
                        open.remove(&id);
                    }
                }
                Step::Reply { .. } => {}
                Step::Wait { millis } => now = now + Duration::from_millis(millis),
                Step::Unreachable { host } => {
                    let others = |transactions: &Transactions<K>| -> Vec<_> {
                        let pending = transactions.pending.iter();
                        pending.filter(|(_, p)| p.to != address(host)).map(|(id, p)| (*id, p.due)).collect()
                    };
                    let before = others(&transactions);
                    transactions.unreachable(now, address(host));
                    prop_assert_eq!(before, others(&transactions), "P16: another address was touched");
                }
                Step::Cancel { host } => {
                    transactions.cancel(Cause::Request(RequestId::from(u64::from(host))));
                    open.retain(|_, known| known.host != host);
                }
            }
            while let Some(expiry) = transactions.expire(now) {
                match expiry {
                    Expiry::Stalled(_) => {}
                    Expiry::Again(id, _) => {
                        let known = id.number().and_then(|id| open.get_mut(&id)).expect("P13: retried after its end");
                        known.sends += 1;
                        prop_assert!(known.sends <= 1 + u32::from(config.retries));
                    }
                    Expiry::Failed(pending) => {
                        let ended = open.iter().find(|(id, _)| !transactions.pending.contains_key(id));
                        let (id, known) = ended.map(|(id, known)| (*id, *known)).expect("P13: failed twice");
                        prop_assert_eq!(address(known.host), pending.to);
                        open.remove(&id);
                    }
                }
            }
            prop_assert_eq!(transactions.len(), open.len(), "P13: started = ended + outstanding");
            prop_assert!(transactions.poll_timeout().is_some() != open.is_empty());
            prop_assert!(transactions.poll_timeout().is_none_or(|due| due > now), "P4: no deadline left behind");
        }
        // Left alone, everything ends.
        for _ in 0..8 * 8 {
            let Some(due) = transactions.poll_timeout() else { break };
            while transactions.expire(due).is_some() {}
        }
        prop_assert_eq!(transactions.len(), 0);
    }
}

#[test]
fn p15_ids_are_spread_evenly_and_say_nothing_about_the_next() {
    const DRAWS: u32 = 1_000_000;
    let mut rng = Rng::from_seed([7; 32]);
    let mut transactions: Transactions<K> =
        Transactions::new(RpcConfig { per_ip: 0, ..Config::default().rpc });
    let mut counts = [0_u32; 256];
    let (mut sum_xy, mut previous) = (0.0, 0.0);
    for _ in 0..DRAWS {
        let id =
            transactions.open(Instant::ZERO, asking(&transactions, 1, None, Cause::Join), &mut rng).unwrap();
        transactions.cancel(Cause::Join);
        counts[usize::from(id.as_bytes()[0])] += 1;
        let unit = f64::from(id.number().unwrap()) / f64::from(u32::MAX) - 0.5;
        sum_xy += unit * previous;
        previous = unit;
    }
    let expected = f64::from(DRAWS) / 256.0;
    let chi: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    // 255 degrees of freedom: mean 255, deviation 22.6; six deviations.
    assert!(chi < 255.0 + 6.0 * 22.6, "chi-square {chi}");
    let correlation = sum_xy / f64::from(DRAWS) * 12.0;
    assert!(correlation.abs() < 6.0 / f64::from(DRAWS).sqrt(), "serial correlation {correlation}");
}

#[test]
fn t5_ten_million_forged_replies_from_the_right_endpoint_find_no_id() {
    let mut rng = Rng::from_seed([9; 32]);
    let mut transactions: Transactions<K> = Transactions::new(Config::default().rpc);
    transactions.open(Instant::ZERO, asking(&transactions, 1, None, Cause::Join), &mut rng).unwrap();
    let mut forger = Rng::from_number(1);
    let mut accepted = 0;
    for _ in 0..10_000_000 {
        let guess = TransactionId::from(forger.next_u32());
        accepted += u32::from(transactions.accept(Instant::ZERO, address(1), guess, None).is_some());
    }
    assert!(accepted <= 1);
}

#[test]
fn a_late_answer_counts_a_retry_comes_then_failure() {
    let config = RpcConfig { retries: 1, ..Config::default().rpc };
    let mut rng = Rng::from_number(3);
    let mut transactions: Transactions<K> = Transactions::new(config);
    let id = transactions.open(Instant::ZERO, asking(&transactions, 1, None, Cause::Join), &mut rng).unwrap();
    let mut seen = Vec::new();
    while let Some(due) = transactions.poll_timeout() {
        while let Some(expiry) = transactions.expire(due) {
            seen.push(match expiry {
                Expiry::Stalled(_) => "stalled",
                Expiry::Again(again, _) => {
                    assert_eq!(again, id);
                    "again"
                }
                Expiry::Failed(_) => "failed",
            });
        }
    }
    assert_eq!(seen, ["stalled", "again", "failed"]);
    let id = transactions.open(Instant::ZERO, asking(&transactions, 1, None, Cause::Join), &mut rng).unwrap();
    let stalled_at = transactions.poll_timeout().unwrap();
    assert!(matches!(transactions.expire(stalled_at), Some(Expiry::Stalled(_))));
    let (_, round_trip) = transactions.accept(stalled_at, address(1), id, None).unwrap();
    assert_eq!(round_trip, Some(stalled_at.since(Instant::ZERO)));
}
