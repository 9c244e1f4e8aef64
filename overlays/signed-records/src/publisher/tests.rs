use core::net::SocketAddr;

use super::*;
use crate::message::{Response, Token};
use crate::record::{Subject, Topic};

const WALL: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn publisher() -> Publisher {
    Publisher::new(&RecordsConfig::default(), Rng::from_number(1))
}

fn secret(n: u8) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(&[n; 32]))
}

fn at(seconds: u64) -> (Instant, Timestamp) {
    (Instant::from_secs(seconds), WALL.after(Duration::from_secs(seconds)))
}

fn hour() -> Draft {
    Draft::endpoint("x").unwrap().lasting(Duration::from_secs(3_600))
}

fn accepted() -> Replicas {
    let contact = Contact::new(Key::new([9; 32]), SocketAddr::from(([192, 0, 2, 9], 1)));
    Replicas { accepted: vec![contact], ..Replicas::default() }
}

/// Lets a publisher work until `until`; gives every version that it offered, and when.
fn offers(publisher: &mut Publisher, from: u64, until: u64, replicas: &Replicas) -> Vec<(u64, SignedRecord)> {
    let mut offers = Vec::new();
    for second in from..until {
        let (now, wall) = at(second);
        while let Some((id, effort)) = publisher.poll(now, wall) {
            offers.push((second, publisher.get(id).unwrap().record.clone()));
            publisher.offered(now, id, effort, replicas.clone(), 40);
        }
    }
    offers
}

#[test]
fn fs_d5_each_renewal_is_a_new_version_long_before_the_last_expires() {
    let mut publisher = publisher();
    let (now, wall) = at(0);
    publisher.add(now, wall, secret(1), hour(), None, None).unwrap();
    let offers = offers(&mut publisher, 0, 24 * 3_600, &accepted());
    assert!((85..=115).contains(&offers.len()), "every quarter of an hour: {}", offers.len());
    for pair in offers.windows(2) {
        let ((_, earlier), (second, later)) = (&pair[0], &pair[1]);
        assert!(later.sequence > earlier.sequence && later.is_authentic());
        assert!(earlier.expires().since(at(*second).1) > Duration::from_secs(1_800), "half an hour to spare");
        assert_eq!(later.timestamp, at(*second).1);
    }
}

#[test]
fn fs_d5_what_nobody_takes_is_offered_again_soon() {
    let mut publisher = publisher();
    let (now, wall) = at(0);
    publisher.add(now, wall, secret(1), hour(), None, None).unwrap();
    let seconds: Vec<_> = offers(&mut publisher, 0, 1_000, &Replicas::default())
        .into_iter()
        .map(|(second, _)| second)
        .collect();
    assert!(seconds[0] == 0 && seconds[1] <= 68 && seconds.len() >= 3, "{seconds:?}");
}

#[test]
fn fs_d5_a_publication_takes_the_place_of_the_one_before_and_does_not_expire_earlier() {
    let mut publisher = publisher();
    let (now, wall) = at(0);
    let first = publisher.add(now, wall, secret(1), hour(), None, None).unwrap();
    let before = publisher.get(first).unwrap().record.clone();
    let brief = Draft::endpoint("y").unwrap().lasting(Duration::from_secs(10));
    let (now, wall) = at(60);
    let second = publisher.add(now, wall, secret(1), brief, None, None).unwrap();
    assert!(publisher.get(first).is_none());
    let after = publisher.get(second).unwrap().record.clone();
    assert!(after.sequence > before.sequence);
    assert!(
        after.expires() >= before.expires(),
        "or the first could be brought back when the second is gone"
    );
    // Once the first has expired, versions are as brief as they were meant to be.
    let last = offers(&mut publisher, 60, 2 * 3_600, &accepted()).pop().unwrap().1;
    assert_eq!(last.ttl, 10);
    // What an earlier run left in the store counts like what this one published.
    let known = hour().sign(&secret(2), u64::MAX - 1, wall);
    let third = publisher.add(now, wall, secret(2), hour(), Some(&known), None).unwrap();
    assert_eq!(publisher.get(third).unwrap().record.sequence, u64::MAX);
}

#[test]
fn fs_d5_a_clock_that_was_set_back_does_not_stop_versions_from_counting() {
    let mut publisher = publisher();
    let id = publisher.add(Instant::ZERO, WALL, secret(1), hour(), None, None).unwrap();
    let first = publisher.get(id).unwrap().record.sequence;
    let back = WALL.before(Duration::from_secs(100_000));
    let id = publisher.add(Instant::from_secs(1), back, secret(1), hour(), None, None).unwrap();
    assert_eq!(publisher.get(id).unwrap().record.sequence, first + 1);
}

#[test]
fn fs_d5_a_greater_number_met_on_the_way_is_topped_at_once_but_not_again_and_again() {
    let mut publisher = publisher();
    let (now, wall) = at(0);
    let id = publisher.add(now, wall, secret(1), hour(), None, None).unwrap();
    let other = hour().sign(&secret(1), wall.as_millis() + 1_000_000_000, wall);
    let mut forged = other.clone();
    forged.sequence += 1_000;
    let from = Contact::new(Key::new([9; 32]), SocketAddr::from(([192, 0, 2, 9], 1)));
    let answer = |records| Response { records, token: Some(Token([1; 8])), ..Response::default() };
    let mut offered = Vec::new();
    for second in 0..600 {
        let (now, wall) = at(second);
        while let Some((id, effort)) = publisher.poll(now, wall) {
            let mut make = publisher.make(id).unwrap();
            // Wherever it comes, somebody is ahead; once there is a false one, too.
            let sequence = publisher.get(id).unwrap().record.sequence;
            let ahead = hour().sign(&secret(1), other.sequence.max(sequence + 1), wall);
            assert!(make(&from, &answer(vec![forged.clone(), ahead])).is_some());
            offered.push(sequence);
            publisher.offered(now, id, effort, accepted(), 40);
        }
    }
    assert_eq!(offered, [WALL.as_millis(), other.sequence + 1], "in ten minutes");
    assert!(publisher.get(id).is_some());
}

#[test]
fn fs_d5_a_withdrawal_is_offered_until_somebody_has_it() {
    let mut publisher = publisher();
    let (now, wall) = at(0);
    publisher.add(now, wall, secret(1), hour(), None, None).unwrap();
    assert_eq!(publisher.of(secret(1).public()).len(), 1);
    let withdrawal = Draft::withdrawal(Subject::Endpoint);
    let id = publisher.add(now, wall, secret(1), withdrawal, None, None).unwrap();
    assert!(publisher.of(secret(1).public()).is_empty());
    let first = offers(&mut publisher, 0, 300, &Replicas::default());
    assert!(first.len() >= 2 && first.iter().all(|(_, record)| *record == first[0].1), "the same again");
    offers(&mut publisher, 300, 1_000, &accepted());
    assert!(publisher.get(id).is_none(), "done");
    // Or until it says nothing any more.
    let withdrawal = Draft::withdrawal(Subject::Mailbox).lasting(Duration::from_secs(600));
    let id = publisher.add(now, wall, secret(1), withdrawal, None, None).unwrap();
    offers(&mut publisher, 0, 2_000, &Replicas::default());
    assert!(publisher.get(id).is_none());
}

#[test]
fn fs_d5_nothing_is_stored_any_more_once_it_is_replaced() {
    let mut publisher = publisher();
    let (now, wall) = at(0);
    let id = publisher.add(now, wall, secret(1), hour(), None, None).unwrap();
    let mut make = publisher.make(id).unwrap();
    let from = Contact::new(Key::new([9; 32]), SocketAddr::from(([192, 0, 2, 9], 1)));
    let answer = Response { token: Some(Token([1; 8])), ..Response::default() };
    assert!(make(&from, &answer).is_some());
    assert!(make(&from, &Response::default()).is_none(), "no token");
    publisher.add(now, wall, secret(1), hour(), None, None).unwrap();
    assert!(make(&from, &answer).is_none());
}

#[test]
fn fs_d5_publications_are_limited() {
    let config = RecordsConfig { publications: 2, ..RecordsConfig::default() };
    let mut publisher = Publisher::new(&config, Rng::from_number(1));
    let mut add = |topic: &str, ttl| {
        let draft = Draft::topic(Topic::new(topic).unwrap(), "x").unwrap().lasting(ttl);
        publisher.add(Instant::ZERO, WALL, secret(1), draft, None, None).map(|_| ())
    };
    let ttl = Draft::TTL;
    assert_eq!(
        ["a", "b", "c", "b"].map(|topic| add(topic, ttl)),
        [Ok(()), Ok(()), Err(PublishError::TooMany), Ok(())]
    );
    let day = config.max_ttl;
    for ttl in [Duration::ZERO, Duration::from_millis(999), day + Duration::from_secs(1), Duration::MAX] {
        assert_eq!(add("a", ttl), Err(PublishError::Ttl));
    }
    assert_eq!(add("a", day), Ok(()));
}
