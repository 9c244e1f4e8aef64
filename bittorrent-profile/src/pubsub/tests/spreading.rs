//! 50.1, 50.3 and 50.4 in a network.

use super::*;

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

/// 50.3: everybody gets each version, soon, and nobody sends more than a table's worth of requests for it.
#[test]
fn bep50_50_3_two_hundred_subscribers_get_every_version_at_5_percent_loss() {
    let mut network = Network::grown(1, 0.05, 200);
    let sizes: Vec<_> = network.nodes.values().map(|node| node.neighbours().count()).collect();
    for node in network.nodes.values() {
        let (_, node) = node.stack().nodes().next().unwrap();
        let far = node.table().depth() - 2;
        assert!(node.table().buckets().take(far).all(|bucket| bucket.entries.len() <= 1), "50.1: K = 1");
        assert!(node.table().len() > 8, "50.1: and more nearby");
    }
    let publisher = addr(17);
    // What a minute without a version costs.
    network.forget();
    network.run(Duration::from_secs(120));
    let idle: u64 = network.logs.values().map(|log| log.sent).sum();
    for seq in 1..=5 {
        network.forget();
        let start = network.now;
        assert!(network.call(publisher, |node, now| node.publish(now, version(seq))));
        network.run(Duration::from_secs(120));
        let mut times = Vec::new();
        for (at, log) in &network.logs {
            assert_eq!(log.versions.len(), 1, "{at} was told of version {seq} once");
            assert_eq!(log.versions[0].0, seq);
            // But for repetitions of what was asked before there was one.
            assert!(log.blind == 0 || seq == 1, "50.3: get names our own seq");
            times.push(log.versions[0].1.since(start));
        }
        let sent: u64 = network.logs.values().map(|log| log.sent).sum();
        let (puts, bytes) = network.logs.values().fold((0, 0), |(p, b), log| (p + log.puts, b + log.bytes));
        let most = network.logs.values().map(|log| log.sent).max().unwrap();
        println!(
            "version {seq}: p50 {:?}, p99 {:?}, last {:?}; a subscriber sends {:.1} datagrams ({:.1} of them idle in \
             this time), {:.1} of them puts, {} bytes; the busiest {most}",
            quantile(&mut times, 50),
            quantile(&mut times, 99),
            quantile(&mut times, 100),
            sent as f64 / 200.0,
            idle as f64 / 200.0,
            puts as f64 / 200.0,
            bytes / 200,
        );
        assert!(quantile(&mut times, 99) < Duration::from_secs(5));
        // One get, one put and their answers for everybody in the table, some of them again.
        let table = *sizes.iter().max().unwrap() as u64;
        assert!(sent / 200 <= 5 * table, "{sent} for tables of {table}");
    }
    println!("tables: {:?} to {:?}", sizes.iter().min(), sizes.iter().max());
}

#[test]
fn bep50_50_4_a_late_joiner_gets_the_latest_version_and_no_other() {
    let mut network = Network::grown(2, 0.05, 30);
    for seq in 1..=3 {
        network.call(addr(3), |node, now| node.publish(now, version(seq)));
        network.run(Duration::from_secs(10));
    }
    let start = network.now;
    let late = network.join(99);
    network.run(Duration::from_secs(20));
    let versions = &network.logs[&late].versions;
    assert_eq!(versions.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [3]);
    println!("after {:?}", versions[0].1.since(start));
    // What it publishes in its turn is known to all.
    network.call(late, |node, now| node.publish(now, version(4)));
    network.run(Duration::from_secs(10));
    assert!(network.nodes.keys().all(|at| network.latest(*at) == Some(4)));
}

#[test]
fn bep50_50_3_who_published_alone_is_heard_by_whoever_comes() {
    let mut network = Network::new(3, 0.0);
    let first = network.join(0);
    network.call(first, |node, now| node.publish(now, version(1)));
    network.run(Duration::from_secs(3600));
    let second = network.join(1);
    network.run(Duration::from_secs(5));
    assert_eq!(network.latest(second), Some(1));
}

#[test]
fn bep50_50_3_what_is_old_replayed_or_forged_goes_nowhere() {
    let mut network = Network::grown(4, 0.0, 20);
    network.call(addr(3), |node, now| node.publish(now, version(5)));
    network.run(Duration::from_secs(10));
    network.forget();
    let (liar, victim) = (addr(400), addr(7));
    for (item, code) in [(version(4), Some(302)), (version(5), None), (forged(6), Some(206))] {
        let get = Request::Get { seq: Some(9), target: topic().target(), want: Families::NONE };
        let Body::Response { response, .. } = network.ask_as(liar, victim, get) else { panic!("refused") };
        let put = Request::put(&Item::Mutable(item), None, response.token.unwrap());
        let refused = match network.ask_as(liar, victim, put) {
            Body::Error { code, .. } => Some(code),
            _ => None,
        };
        assert_eq!(refused, code);
        network.run(Duration::from_secs(10));
    }
    assert!(network.nodes.keys().all(|at| network.latest(*at) == Some(5)));
    assert!(network.logs.values().all(|log| log.puts == 0 && log.versions.is_empty()));
}

/// An owner in a hurry costs the others a table's worth of requests every half second, and no more.
#[test]
fn bep50_50_3_a_hundred_versions_in_two_seconds_are_no_storm() {
    let mut network = Network::grown(5, 0.0, 40);
    network.forget();
    for seq in 1..=100 {
        network.call(addr(3), |node, now| node.publish(now, version(seq)));
        network.run(Duration::from_millis(20));
    }
    network.run(Duration::from_secs(10));
    assert!(network.nodes.keys().all(|at| network.latest(*at) == Some(100)));
    let most = network.logs.values().map(|log| log.sent).max().unwrap();
    println!("the busiest sends {most} datagrams");
    // Five or six rounds, each with a get, a put and both their answers for everybody in a table of at most 20.
    assert!(most <= 6 * 4 * 20, "{most}");
}

#[test]
fn bep50_50_3_a_node_of_both_families_carries_a_version_from_one_to_the_other() {
    let mut network = Network::new(6, 0.0);
    let v4 = network.join(0);
    let both = network.join_through(&[addr(1), addr_v6(1)], &[v4]);
    let v6 = network.join_through(&[addr_v6(2)], &[addr_v6(1)]);
    network.run(Duration::from_secs(60));
    network.call(v4, |node, now| node.publish(now, version(1)));
    network.run(Duration::from_secs(5));
    assert_eq!([v4, both, v6].map(|at| network.latest(at)), [Some(1); 3]);
    network.call(v6, |node, now| node.publish(now, version(2)));
    network.run(Duration::from_secs(5));
    assert_eq!([v4, both, v6].map(|at| network.latest(at)), [Some(2); 3]);
}

#[test]
fn bep50_50_4_a_node_that_takes_the_main_node_s_new_id_stays_in_the_overlay() {
    let mut network = Network::grown(7, 0.0, 20);
    let id = Key::new([0x77; 20]);
    network.call(addr(9), |node, now| node.rename(now, Family::V4, id));
    network.run(Duration::from_secs(60));
    let knows = |node: &&TopicNode| node.neighbours().any(|contact| contact.key == id);
    assert!(network.nodes.values().filter(knows).count() >= 8);
    network.call(addr(3), |node, now| node.publish(now, version(1)));
    network.run(Duration::from_secs(5));
    assert_eq!(network.latest(addr(9)), Some(1));
}
