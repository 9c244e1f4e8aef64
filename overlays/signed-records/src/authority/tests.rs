use super::*;
use crate::identity::{SecretKey, Signature};
use crate::record::{Draft, Payload, Topic};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn authority(policy: Option<Policy>) -> Authority {
    let authority = Authority::new(&RecordsConfig::default(), policy);
    authority.set_time(NOW);
    authority
}

fn publisher() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn signed(draft: &Draft, at: Timestamp) -> SignedRecord {
    draft.sign(&publisher(), 1, at)
}

fn endpoint() -> Draft {
    Draft::endpoint("udp://192.0.2.1:7").unwrap()
}

#[test]
fn fs_d1_a_record_in_order_passes_under_its_own_key_only() {
    let record = signed(&endpoint(), NOW);
    let authority = authority(None);
    assert_eq!(authority.check(&publisher().public().key(), &record), Ok(()));
    assert_eq!(authority.check(&Key::new([0; 32]), &record), Err(Refusal::WrongKey));
    let topic = Topic::new("weather").unwrap();
    let record = signed(&Draft::topic(topic.clone(), "x").unwrap(), NOW);
    assert_eq!(authority.check(&topic.key(), &record), Ok(()));
    assert_eq!(authority.check(&publisher().public().key(), &record), Err(Refusal::WrongKey));
    assert_eq!(authority.check(&Topic::new("whether").unwrap().key(), &record), Err(Refusal::WrongKey));
}

#[test]
fn fs_d1_every_field_is_signed() {
    let authority = authority(None);
    let good = signed(&Draft::topic(Topic::new("a").unwrap(), "x").unwrap(), NOW);
    let changes: [fn(&mut SignedRecord); 7] = [
        |record| record.publisher = SecretKey::from_seed(&[2; 32]).public(),
        |record| record.subject = crate::Subject::Topic(Topic::new("b").unwrap()),
        |record| record.sequence += 1,
        |record| record.timestamp = record.timestamp.before(Duration::from_millis(1)),
        |record| record.ttl += 1,
        |record| record.payload = Some(Payload::new(b"y").unwrap()),
        |record| record.payload = None,
    ];
    for change in changes {
        let mut record = good.clone();
        change(&mut record);
        assert_eq!(authority.check(&record.target(), &record), Err(Refusal::BadSignature), "{record:?}");
    }
    for bit in 0..512 {
        let mut bytes = *good.signature.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let record = SignedRecord { signature: Signature::new(bytes), ..good.clone() };
        assert_eq!(authority.check(&record.target(), &record), Err(Refusal::BadSignature), "bit {bit}");
    }
}

#[test]
fn fs_d1_time_is_checked_to_the_millisecond() {
    let authority = authority(None);
    let (ttl, skew) = (Duration::from_secs(3_600), RecordsConfig::default().skew);
    let tick = Duration::from_millis(1);
    let outcome = |draft: &Draft, at| {
        let record = signed(draft, at);
        authority.check(&record.target(), &record)
    };
    let draft = endpoint().lasting(ttl);
    assert_eq!(outcome(&draft, NOW.before(ttl)), Err(Refusal::Expired));
    assert_eq!(outcome(&draft, NOW.before(ttl).after(tick)), Ok(()));
    assert_eq!(outcome(&draft, NOW.after(skew)), Ok(()));
    assert_eq!(outcome(&draft, NOW.after(skew).after(tick)), Err(Refusal::Future));
    let day = RecordsConfig::default().max_ttl;
    assert_eq!(outcome(&endpoint().lasting(day), NOW.after(skew)), Ok(()));
    assert_eq!(outcome(&endpoint().lasting(day + skew), NOW.after(tick)), Err(Refusal::TooLong));
    assert_eq!(outcome(&endpoint().lasting(Duration::ZERO), NOW), Err(Refusal::Expired));
    let forever = endpoint().lasting(Duration::MAX);
    assert_eq!(outcome(&forever, NOW), Err(Refusal::TooLong));
    assert_eq!(outcome(&forever, Timestamp::from_millis(u64::MAX)), Err(Refusal::Future));
}

#[test]
fn fs_d1_signature_comes_before_expiry_and_expiry_before_policy() {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let policy: Policy = Arc::new(move |key, record, now| {
        counter.fetch_add(1, Ordering::Relaxed);
        assert_eq!((key, now), (&record.target(), NOW));
        Decision::Deny
    });
    let authority = authority(Some(policy));
    let mut record = signed(&endpoint(), NOW.before(Duration::from_secs(86_400)));
    assert_eq!(authority.check(&record.target(), &record), Err(Refusal::Expired));
    record.sequence = 2;
    assert_eq!(authority.check(&record.target(), &record), Err(Refusal::BadSignature));
    assert_eq!(asked.load(Ordering::Relaxed), 0, "the policy sees only what is in order");
    let record = signed(&endpoint(), NOW);
    assert_eq!(authority.check(&record.target(), &record), Err(Refusal::Denied));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
