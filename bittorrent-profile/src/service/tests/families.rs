//! BEP 32: which family's nodes and peers a reply carries.

use kademlia_core::{DualStack, Family, Reach};
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use super::*;

const V4: &str = "8.8.8.8:1";
const V6: &str = "[2a00:1450::1]:1";

/// Two nodes that know ten others each.
fn dual() -> DualStack<Mainline, MainlineService> {
    let (mut v4, mut v6) = (node(ServiceConfig::default()), node(ServiceConfig::default()));
    strangers(10, Family::V4).iter().for_each(|contact| introduce(&mut v4, *contact));
    strangers(10, Family::V6).iter().for_each(|contact| introduce(&mut v6, *contact));
    DualStack::new(Some(v4), Some(v6))
}

fn ask(dual: &mut DualStack<Mainline, MainlineService>, from: &str, request: Request) -> Response {
    let asker = Asker::at(from);
    dual.handle_datagram(START, asker.addr, &asker.bytes(request));
    let (mut bytes, mut responses) = (Vec::new(), Vec::new());
    while let Some(to) = dual.poll_transmit(&mut bytes) {
        if let Ok(Body::Response { response, .. }) = Krpc::decode(&bytes).map(|message| message.body) {
            assert_eq!(to, asker.addr);
            responses.push(response);
        }
        bytes.clear();
    }
    assert_eq!(responses.len(), 1);
    responses.remove(0)
}

fn counts(response: &Response) -> (usize, usize) {
    (response.nodes.of(Family::V4).count(), response.nodes.of(Family::V6).count())
}

#[test]
fn bep32_32_3_want_decides_and_without_it_the_family_of_the_query() {
    let mut dual = dual();
    let (n4, n6) = (Families::from(Family::V4), Families::from(Family::V6));
    for (from, want, lists, held) in [
        (V4, Families::NONE, n4, (8, 0)),
        (V6, Families::NONE, n6, (0, 8)),
        (V4, n4, n4, (8, 0)),
        (V4, n6, n6, (0, 8)),
        (V6, n4, n4, (8, 0)),
        (V4, Families::BOTH, Families::BOTH, (8, 8)),
        (V6, Families::BOTH, Families::BOTH, (8, 8)),
    ] {
        let target = Key::new(LOCAL);
        for request in [
            Request::FindNode { target, want },
            Request::get_peers(InfoHash::new(LOCAL), want),
            Request::Get { seq: None, target, want },
            Request::SampleInfohashes { target, want },
        ] {
            let response = ask(&mut dual, from, request);
            assert_eq!((response.nodes.lists(), counts(&response)), (lists, held), "{from} {want:?}");
        }
    }
}

#[test]
fn bep32_32_3_a_family_that_the_host_does_not_speak_gets_an_empty_list() {
    let mut single = DualStack::new(Some(node(ServiceConfig::default())), None);
    let want = Family::V6.into();
    let response = ask(&mut single, V4, Request::FindNode { target: Key::new(LOCAL), want });
    assert_eq!((response.nodes.lists(), counts(&response)), (want, (0, 0)));
}

#[test]
fn bep32_32_1_32_4_peers_are_stored_and_given_out_in_their_own_family_only() {
    let mut dual = dual();
    for from in [V4, V6] {
        let token = ask(&mut dual, from, get_peers(1)).token.unwrap();
        ask(&mut dual, from, announce(1, 6881, token));
    }
    for (from, expected) in [(V4, "8.8.8.8:6881"), (V6, "[2a00:1450::1]:6881")] {
        let info_hash = InfoHash::new([1; 20]);
        let response = ask(&mut dual, from, Request::get_peers(info_hash, Families::BOTH));
        assert_eq!(response.values, [addr(expected)], "whatever the query wants");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p38_a_query_without_want_gets_the_family_it_arrived_on(
        host: u32, v6: bool, port in 1_u16.., target: [u8; 20], method in 0..5_u8,
    ) {
        let [a, b, c, d] = host.to_be_bytes();
        let from = match v6 {
            true => SocketAddr::from(([0x2a00, 0, 0, 0, 0, 0, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])], port)),
            false => SocketAddr::from(([64 + a % 32, b, c, d], port)),
        };
        if Reach::Global.admits(from) {
            let mut node = node(ServiceConfig::default());
            let (want, info_hash, target) = (Families::NONE, InfoHash::new(target), Key::new(target));
            let request = match method {
                0 => Request::FindNode { target, want },
                1 => Request::get_peers(info_hash, want),
                2 => Request::GetPeers { info_hash, noseed: true, scrape: true, want },
                3 => Request::Get { seq: None, target, want },
                _ => Request::SampleInfohashes { target, want },
            };
            let response = Asker { addr: from, ..Asker::at(V4) }.ask(&mut node, request);
            prop_assert_eq!(response.nodes.lists(), Families::from(Family::of(&from)));
        }
    }
}
