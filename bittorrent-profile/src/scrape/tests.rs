use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::{any, prop_assert, proptest};

use super::*;

/// BEP 33's filter over 192.0.2.0 to 192.0.2.255 and 2001:db8:: to 2001:db8::3e7.
const VECTOR: &str = "\
    F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAE\
    FE5EEDB1FBFAFF67F6ABFF5E43DDBCA3FD9B9FFDF4FFD3E9DFF12D1BDF59DB53DBE9FA5B\
    7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE148246C2BC5DBFF7E7EFDCF24F\
    D8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81FC7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3\
    FA1FC77BFE07FFF905B7B7FFC7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5\
    BFAF2E9EBFFFFEECD67ADBF7C67F17EFD5D75EBA6FFEBA7FFF47A91EB1BFBB53E8ABFB57\
    62ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6\
    FD8F72EF";

fn addresses() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..=255).map(|n| IpAddr::from(Ipv4Addr::new(192, 0, 2, n)));
    v4.chain((0..=0x3e7).map(|n| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n))))
}

#[test]
fn bep33_33_3_33_4_vector() {
    let mut filter = BloomFilter::new();
    addresses().for_each(|ip| filter.insert(ip));
    let hex: String = filter.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(hex, VECTOR);
    assert_eq!(filter.as_bytes().iter().map(|byte| byte.count_zeros()).sum::<u32>(), 619);
    assert!((filter.estimate() - 1_224.930_8).abs() < 0.0001, "{}", filter.estimate());
    assert!(addresses().all(|ip| filter.contains(ip)));
}

#[test]
fn bep33_33_4_the_estimate_stays_a_number_at_both_ends() {
    assert!((BloomFilter::new().estimate() - 0.5).abs() < 0.01);
    assert!(BloomFilter::new().is_empty());
    let full = BloomFilter::from_bytes([0xff; 256]).estimate();
    assert!(full.is_finite() && full > 7_000.0, "{full}");
}

#[test]
fn bep33_33_6_a_peer_that_is_known_for_a_seed_is_not_counted_again() {
    let [seed, other] = [IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2])];
    let mut scrape = Scrape::default();
    scrape.seeds.insert(seed);
    scrape.add_unknown(seed);
    assert!(scrape.peers.is_empty());
    scrape.add_unknown(other);
    assert!(scrape.peers.contains(other));
}

proptest! {
    #[test]
    fn bep33_33_4_a_union_has_what_either_has_and_counts_within_a_tenth(
        left in proptest::collection::hash_set(any::<Ipv4Addr>(), 50..400),
        right in proptest::collection::hash_set(any::<Ipv6Addr>(), 50..400),
    ) {
        let (mut a, mut b) = (BloomFilter::new(), BloomFilter::new());
        left.iter().for_each(|ip| a.insert(IpAddr::from(*ip)));
        right.iter().for_each(|ip| b.insert(IpAddr::from(*ip)));
        a.unite(&b);
        prop_assert!(left.iter().all(|ip| a.contains(IpAddr::from(*ip))));
        prop_assert!(right.iter().all(|ip| a.contains(IpAddr::from(*ip))));
        let there = (left.len() + right.len()) as f64;
        prop_assert!((a.estimate() - there).abs() < 0.1 * there + 10.0, "{} for {there}", a.estimate());
    }
}
