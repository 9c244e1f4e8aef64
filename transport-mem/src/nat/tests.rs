use super::*;
use crate::addresses::address_v4;

const HOST: u32 = 7;

fn seconds(seconds: u64) -> Instant {
    Instant::from_secs(seconds)
}

fn behind(kind: NatKind) -> (Translator, AddressMap<Place>) {
    let mut addresses = AddressMap::default();
    addresses.insert(address_v4(0), Place::Host(HOST));
    (Translator::new(Nat::new(kind), address_v4(0), HOST), addresses)
}

fn other_port(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port() + 1)
}

/// Who gets in after a datagram to A: A itself, A from another port, a stranger.
fn admitted(kind: NatKind, after: u64) -> [bool; 3] {
    let (mut nat, mut addresses) = behind(kind);
    let asked = address_v4(1);
    let own = nat.outgoing(seconds(100), asked, &mut addresses);
    [asked, other_port(asked), address_v4(2)].map(|from| nat.admits(seconds(100 + after), from, own))
}

#[test]
fn nobody_gets_in_before_a_datagram_went_out() {
    for kind in [NatKind::FullCone, NatKind::AddressRestricted, NatKind::PortRestricted, NatKind::Symmetric] {
        let (nat, _) = behind(kind);
        assert!(!nat.admits(seconds(100), address_v4(1), address_v4(0)), "{kind:?}");
    }
}

#[test]
fn each_kind_lets_in_whom_it_should_until_the_mapping_ends() {
    for (kind, expected) in [
        (NatKind::FullCone, [true, true, true]),
        (NatKind::AddressRestricted, [true, true, false]),
        (NatKind::PortRestricted, [true, false, false]),
        (NatKind::Symmetric, [true, false, false]),
    ] {
        assert_eq!(admitted(kind, 0), expected, "{kind:?}");
        assert_eq!(admitted(kind, 29), expected, "{kind:?}");
        assert_eq!(admitted(kind, 30), [false; 3], "{kind:?}");
    }
}

#[test]
fn outgoing_datagrams_prolong_a_mapping_and_incoming_ones_do_not() {
    let (mut nat, mut addresses) = behind(NatKind::PortRestricted);
    let asked = address_v4(1);
    let own = nat.outgoing(seconds(0), asked, &mut addresses);
    nat.outgoing(seconds(20), asked, &mut addresses);
    assert!(nat.admits(seconds(49), asked, own) && !nat.admits(seconds(50), asked, own));
    nat.outgoing(seconds(60), address_v4(2), &mut addresses);
    assert!(!nat.admits(seconds(61), asked, own), "somebody else's mapping");
}

#[test]
fn the_cone_kinds_keep_their_port() {
    for kind in [NatKind::FullCone, NatKind::AddressRestricted, NatKind::PortRestricted] {
        let (mut nat, mut addresses) = behind(kind);
        for n in 1..1_000 {
            assert_eq!(nat.outgoing(seconds(n.into()), address_v4(n), &mut addresses), address_v4(0));
        }
        assert_eq!(addresses.len(), 1);
    }
}

#[test]
fn a_symmetric_one_shows_every_destination_another_port_and_lets_only_that_one_in_there() {
    let (mut nat, mut addresses) = behind(NatKind::Symmetric);
    let (a, b) = (address_v4(1), address_v4(2));
    let (for_a, for_b) =
        (nat.outgoing(seconds(0), a, &mut addresses), nat.outgoing(seconds(0), b, &mut addresses));
    assert!(for_a != for_b && for_a.ip() == for_b.ip() && for_a != address_v4(0));
    assert_eq!(nat.outgoing(seconds(10), a, &mut addresses), for_a, "as long as it is open");
    assert!(nat.admits(seconds(10), a, for_a) && nat.admits(seconds(10), b, for_b));
    assert!(!nat.admits(seconds(10), a, for_b) && !nat.admits(seconds(10), a, address_v4(0)));
    assert_eq!(
        (addresses.get(&for_a), addresses.get(&for_b)),
        (Some(&Place::Port(HOST)), Some(&Place::Port(HOST)))
    );
    assert_ne!(nat.outgoing(seconds(40), a, &mut addresses), for_a, "a new mapping, a new port");
    assert_eq!(addresses.get(&for_a), None);
    nat.clear(&mut addresses);
    assert_eq!(addresses.len(), 1, "the host's own address");
}

#[test]
fn a_port_that_somebody_has_is_passed_over() {
    let (mut nat, mut addresses) = behind(NatKind::Symmetric);
    let neighbour = other_port(address_v4(0));
    addresses.insert(neighbour, Place::Host(8));
    assert_eq!(nat.outgoing(seconds(0), address_v4(1), &mut addresses), other_port(neighbour));
    nat.clear(&mut addresses);
    assert_eq!(addresses.get(&neighbour), Some(&Place::Host(8)));
}

#[test]
fn memory_is_bounded_and_the_oldest_mapping_goes() {
    for kind in [NatKind::AddressRestricted, NatKind::PortRestricted, NatKind::Symmetric] {
        let (mut nat, mut addresses) = behind(kind);
        let most = u32::try_from(MAPPINGS).unwrap();
        let own: Vec<_> = (0..=most)
            .map(|n| nat.outgoing(Instant::from_micros(n.into()), address_v4(1 + n), &mut addresses))
            .collect();
        let admits = |n: u32| nat.admits(seconds(1), address_v4(1 + n), own[n as usize]);
        assert!(!admits(0) && (1..=most).all(admits), "{kind:?}");
        assert!(nat.mappings.len() == MAPPINGS && addresses.len() <= MAPPINGS + 1, "{kind:?}");
        nat.outgoing(seconds(100), address_v4(0), &mut addresses);
        assert_eq!(nat.mappings.len(), 1, "expired ones make room first: {kind:?}");
    }
}
