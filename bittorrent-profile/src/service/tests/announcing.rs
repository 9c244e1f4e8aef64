//! Tokens, announcements and the peer store behind the service.

use kademlia_core::Family;

use super::*;
use crate::krpc::{MAX_POLITE_DATAGRAM, MAX_VALUES};

#[test]
fn bep5_5_8_bep32_32_5_fs_a9_get_peers_gives_nodes_a_token_and_the_peers_there_are() {
    let mut node = node(ServiceConfig::default());
    strangers(10, Family::V4).iter().for_each(|contact| introduce(&mut node, *contact));
    let asker = Asker::at("8.8.8.8:1");
    let without = asker.ask(&mut node, get_peers(1));
    assert_eq!((without.nodes.contacts().len(), without.values.len()), (8, 0));
    assert!(without.token.is_some());
    announce_from(&mut node, "9.9.9.9:5", 1, 51413);
    let with = asker.ask(&mut node, get_peers(1));
    assert_eq!(with, Response { values: vec![addr("9.9.9.9:51413")], ..without });
    assert_eq!(asker.ask(&mut node, get_peers(2)).values, [], "info hashes are kept apart (A10)");
}

#[test]
fn bep5_5_9_fs_a9_fs_b9_an_announcement_without_our_token_gets_203_and_changes_nothing() {
    let mut node = node(ServiceConfig::default());
    let asker = Asker::at("8.8.8.8:1");
    let token = asker.ask(&mut node, get_peers(1)).token.unwrap();
    for wrong in [Token::from_array([]), Token::from_array([0; 8]), Token::from_array([0xff; 64])] {
        assert_eq!(asker.refusal(&mut node, START, announce(1, 6881, wrong)), 203);
    }
    assert_eq!(asker.refusal(&mut node, START, announce(2, 6881, token)), 203, "for another torrent (C.4)");
    let elsewhere = Asker::at("8.8.8.9:1");
    assert_eq!(elsewhere.refusal(&mut node, START, announce(1, 6881, token)), 203, "from another address");
    assert_eq!(asker.ask(&mut node, announce(1, 6881, token)), blank());
    assert_eq!(node.service().peers().len(), 1);
    assert_eq!(asker.refusal(&mut node, after(600), announce(1, 6881, token)), 203, "too late");
}

#[test]
fn fs_b11_a_token_is_good_from_another_port_of_the_same_address() {
    let mut node = node(ServiceConfig::default());
    let token = Asker::at("8.8.8.8:1").ask(&mut node, get_peers(1)).token.unwrap();
    Asker::at("8.8.8.8:2").ask(&mut node, announce(1, 6881, token));
    assert_eq!(node.service().peers().len(), 1);
}

#[test]
fn bep5_5_9_fs_a3_implied_port_means_the_source_port_whatever_port_says() {
    let mut node = node(ServiceConfig::default());
    let asker = Asker::at("8.8.8.8:4321");
    let token = asker.ask(&mut node, get_peers(1)).token.unwrap();
    for port in [None, NonZeroU16::new(6881)] {
        let info_hash = InfoHash::new([1; 20]);
        asker.ask(
            &mut node,
            Request::AnnouncePeer { implied_port: true, info_hash, port, seed: false, token },
        );
        assert_eq!(asker.ask(&mut node, get_peers(1)).values, [addr("8.8.8.8:4321")]);
    }
    asker.ask(&mut node, announce(1, 6881, token));
    assert_eq!(
        asker.ask(&mut node, get_peers(1)).values,
        [addr("8.8.8.8:6881")],
        "each peer once (A10, 33.5)"
    );
}

#[test]
fn p42_fs_a10_a_peer_is_handed_out_for_thirty_minutes_and_then_forgotten() {
    let mut node = node(ServiceConfig::default());
    let asker = Asker::at("8.8.8.8:1");
    announce_from(&mut node, "9.9.9.9:5", 1, 1);
    let ttl = 30 * 60;
    assert_eq!(asker.ask_at(&mut node, after(ttl - 1), get_peers(1)).values.len(), 1);
    assert_eq!(asker.ask_at(&mut node, after(ttl), get_peers(1)).values.len(), 0, "before any timeout");
    assert!(node.poll_timeout().is_some_and(|due| due <= after(ttl)));
    node.handle_timeout(after(ttl));
    assert_eq!(node.service().peers().len(), 0);
    assert_eq!(node.service().peers().bytes(), 0);
    assert_eq!(node.service().poll_timeout(), None);
}

#[test]
fn expiry_goes_in_batches_and_never_storms() {
    let mut service = MainlineService::new(ServiceConfig::default(), [1; 32]);
    for n in 0..20_000_u32 {
        let peer = Peer::sole(SocketAddr::from((core::net::Ipv4Addr::from_bits(n << 8), 1)));
        let key = Key::<20>::random(&mut Rng::from_number(u64::from(n)));
        service.stores.insert_peer(START, Key::new(LOCAL), key, peer, after(60)).unwrap();
    }
    let (mut now, mut timeouts) = (START, 0);
    while let Some(due) = service.poll_timeout() {
        assert!(due >= now);
        now = due;
        service.handle_timeout(now);
        timeouts += 1;
    }
    assert_eq!(service.peers().len(), 0);
    assert_eq!(timeouts, 20_000_u32.div_ceil(4_096));
    assert_eq!(now, after(60) + EXPIRY_PAUSE * (timeouts - 1));
}

#[test]
fn t7_bep33_33_5_no_token_where_there_is_no_room() {
    let storage = StorageLimits { per_source: 2, per_key: 3, ..StorageLimits::default() };
    let mut node = node(ServiceConfig { storage, ..ServiceConfig::default() });
    announce_from(&mut node, "8.8.8.8:1", 1, 1);
    announce_from(&mut node, "8.8.8.8:1", 2, 1);
    let asker = Asker::at("8.8.8.8:1");
    assert_eq!(asker.ask(&mut node, get_peers(3)).token, None, "it has its share");
    assert!(asker.ask(&mut node, get_peers(2)).token.is_some(), "but may renew what it has");
    announce_from(&mut node, "9.9.9.9:1", 1, 1);
    announce_from(&mut node, "9.9.10.9:1", 1, 1);
    let late = Asker::at("9.9.11.9:1");
    assert_eq!(late.ask(&mut node, get_peers(1)).token, None, "the torrent has enough peers");
    let token = late.ask(&mut node, get_peers(2)).token.unwrap();
    announce_from(&mut node, "9.9.12.9:1", 2, 1);
    announce_from(&mut node, "9.9.13.9:1", 2, 1);
    assert_eq!(late.refusal(&mut node, START, announce(2, 1, token)), 202, "filled up since");
}

#[test]
fn c3_bep32_32_6_a_popular_torrent_s_reply_is_full_but_not_too_long() {
    let config = ServiceConfig { peers_per_reply: MAX_VALUES, ..ServiceConfig::default() };
    for (family, least) in [(Family::V4, 70), (Family::V6, 20)] {
        let mut node = node(config);
        let strangers = strangers(10, family);
        strangers.iter().for_each(|contact| introduce(&mut node, *contact));
        for n in 0..200_u8 {
            let ip = match family {
                Family::V4 => [65, n, 1, 1].into(),
                Family::V6 => [0x2a01, u16::from(n), 0, 0, 0, 0, 0, 1].into(),
            };
            let peer = Peer::sole(SocketAddr::new(ip, 1));
            let stores = &mut node.service_mut().stores;
            stores.insert_peer(START, Key::new(LOCAL), Key::new([1; 20]), peer, Instant::NEVER).unwrap();
        }
        let asker = Asker { addr: strangers[0].addr, id: strangers[0].key, ..Asker::at("8.8.8.8:1") };
        node.handle_datagram(START, asker.addr, &asker.bytes(get_peers(1)));
        let mut reply = Vec::new();
        node.poll_transmit(&mut reply);
        assert!(reply.len() <= MAX_POLITE_DATAGRAM, "{} bytes", reply.len());
        let Ok(Body::Response { response, .. }) = Krpc::decode(&reply).map(|message| message.body) else {
            panic!("no response");
        };
        assert_eq!(response.nodes.contacts().len(), 8);
        assert!((least..=MAX_VALUES).contains(&response.values.len()), "{}", response.values.len());
    }
}

#[test]
fn bep5_5_9_a_private_network_holds_one_peer_per_port() {
    let service = MainlineService::new(ServiceConfig::default().private_network(), [1; 32]);
    let config = Config::default().private_network();
    let mut node = Node::new(service, Key::new(LOCAL), config, [2; 32], START);
    for port in 1..=100 {
        announce_from(&mut node, "8.8.8.8:1", 1, port);
    }
    assert_eq!(node.service().peers().len(), 100);
}

#[test]
fn t6_the_service_s_debug_output_does_not_hold_the_secret() {
    let shown = format!("{:?}", MainlineService::new(ServiceConfig::default(), [1; 32]));
    assert!(shown.contains("Tokens(..)") && shown.contains("Rng(..)"), "{shown}");
}
