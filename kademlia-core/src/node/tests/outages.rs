//! What an outage leaves behind once it is over: T20, P47.

use super::acting::acting;
use super::*;

/// Lets time pass. Everybody who is asked answers by the key that is his host's number, if the network is up.
fn live<S: Service<Bare>>(node: &mut Node<Bare, S>, from: Instant, until: Instant, up: bool) {
    let mut now = from;
    loop {
        while let Some((to, message)) = node.poll_message() {
            let host = (0..=u8::MAX).find(|host| address(*host) == to).unwrap();
            if up {
                node.handle_message(now, to, response(&message, host, Vec::new()));
            }
        }
        match node.poll_timeout() {
            Some(due) if due <= until => now = due,
            _ => break,
        }
        node.handle_timeout(now);
    }
}

const BEGINS: Instant = Instant::from_secs(60);
const ENDS: Instant = Instant::from_secs(3_660);

/// An engine that hosts 1 to 10 have answered, and that had these routers, at the end of an hour's outage.
fn cut_off(routers: &[SocketAddr]) -> Engine {
    let mut node = acquainted_with_ten();
    node.bootstrap(Instant::ZERO, routers);
    live(&mut node, Instant::ZERO, BEGINS, true);
    assert!(node.is_bootstrapped());
    live(&mut node, BEGINS, ENDS, false);
    assert!(node.is_deaf() && !node.is_bootstrapped());
    node
}

#[test]
fn t20_p47_a_node_is_in_again_as_soon_as_the_network_is_back() {
    for routers in [&[][..], &[address(1)], &[address(77)]] {
        let mut node = cut_off(routers);
        live(&mut node, ENDS, ENDS + Duration::from_secs(30), true);
        assert!(node.is_bootstrapped(), "its routers were {routers:?}");
        assert!(node.table().counts(ENDS).good >= 8, "{:?}", node.table().counts(ENDS));
    }
}

#[test]
fn t20_an_outage_says_nothing_of_the_size_of_the_network() {
    let mut node = acquainted_with_ten();
    let search = |node: &mut Engine, now: Instant, up| {
        let target = Key::new([u8::try_from(now.as_secs() % 251).unwrap()]);
        node.lookup(now, target, Ask::Near(target), LookupOptions::default()).unwrap();
        live(node, now, now + Duration::from_secs(25), up);
    };
    for n in 0..5 {
        search(&mut node, Instant::from_secs(25 * n), true);
    }
    let before = node.network_size().unwrap();
    for n in 5..40 {
        search(&mut node, Instant::from_secs(25 * n), false);
    }
    assert_eq!(node.network_size(), Some(before));
}

#[test]
fn a_lookup_that_may_not_ask_again_does_not_wait_for_an_answer_to_nothing() {
    let mut config = Config::default();
    config.lookup.messages = 3;
    let (mut node, now, target) = (acquainted(config), Instant::from_secs(1), Key::ZERO);
    node.lookup(now, target, Ask::Near(target), LookupOptions::default()).unwrap();
    let hard = node.round_trips().hard_timeout(0);
    // A second attempt would take twice as long as the first.
    live(&mut node, now, now + hard * 2, false);
    let done =
        |event: &Event<Bare>| matches!(event, Event::LookupDone { report, .. } if report.messages == 3);
    assert!(events(&mut node).iter().any(done));
}

#[test]
fn the_size_of_the_network_does_not_depend_on_how_many_are_wanted() {
    let mut node = acquainted_with_ten();
    for n in 0..10 {
        let (now, target) = (Instant::from_secs(n), Key::new([20 * u8::try_from(n).unwrap()]));
        let options = LookupOptions { k: Some(2), ..LookupOptions::default() };
        node.lookup(now, target, Ask::Near(target), options).unwrap();
        live(&mut node, now, now, true);
    }
    assert_eq!(node.network_size(), None, "two say too little");
}

/// Asks a host, and lets the request fail; nobody else is heard meanwhile.
fn fail<S: Service<Bare>>(node: &mut Node<Bare, S>, now: Instant, host: u8) -> Instant {
    node.request(now, address(host), Some(Key::new([host])), Ask::Ping);
    let over = now + Duration::from_secs(12);
    live(node, now, over, false);
    over
}

#[test]
fn p47_who_ends_a_short_silence_is_not_taken_for_gone() {
    let mut node = acquainted_with_ten();
    let mut now = Instant::from_secs(1);
    let failures = |node: &Engine| node.table().get(&Key::new([1])).unwrap().failures();
    for _ in 0..3 {
        now = fail(&mut node, now + Duration::from_secs(1), 1);
        assert!(node.is_deaf());
        // An error is a sign of life, too, and changes nothing in the table.
        node.request(now, address(1), Some(Key::new([1])), Ask::Put);
        let (to, message) = sent(&mut node).pop().unwrap();
        let body = Body::Error { code: 1, text: String::new() };
        node.handle_message(now, to, Message { transaction: message.transaction, observed: None, body });
        assert!(!node.is_deaf());
        assert_eq!(failures(&node), 0);
    }
}

#[test]
fn fs_e4_who_takes_the_place_of_one_lost_in_a_silence_is_new() {
    // Eight that share no bit with our own key, and a ninth that waits.
    let mut node = acting(Config::default(), (1..=8).chain(129..=137));
    assert!(!node.service().met.contains(&contact(137)));
    let mut now = Instant::from_secs(1);
    for _ in 0..3 {
        now = fail(&mut node, now + Duration::from_secs(1), 130);
        node.request(now, address(129), None, Ask::Ping);
        live(&mut node, now, now, true);
    }
    assert!(node.table().contains(&contact(137)) && node.service().met.contains(&contact(137)));
}

#[test]
fn fs_e4_who_takes_the_place_of_one_who_is_blocked_is_new() {
    let mut node = acting(Config::default(), (1..=8).chain(129..=137));
    node.block(Instant::ZERO, address(130).ip());
    assert_eq!(node.service().met.last(), Some(&contact(137)));
}

#[test]
fn p20_blocking_somebody_who_is_being_asked_is_no_outage() {
    let mut node = acquainted_with_ten();
    let now = Instant::from_secs(1);
    node.request(now, address(1), Some(Key::new([1])), Ask::Ping);
    node.block(now, address(1).ip());
    assert!(!node.is_deaf());
}

#[test]
fn p16_who_is_unreachable_frees_his_slot_at_once() {
    let mut node = acquainted_with_ten();
    let (now, target) = (Instant::from_secs(1), Key::ZERO);
    let options = LookupOptions { effort: Some(crate::Effort::Plain), ..LookupOptions::default() };
    node.lookup(now, target, Ask::Near(target), options).unwrap();
    let asked = sent(&mut node);
    node.handle_unreachable(now, asked[0].0);
    node.handle_timeout(now);
    let further: Vec<_> = sent(&mut node).into_iter().map(|(to, _)| to).collect();
    let new = further.iter().filter(|to| !asked.iter().any(|(known, _)| known == *to)).count();
    assert_eq!(new, 1, "{further:?}");
}
