use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use kademlia_core::runtime::{Inbox, Outbox, Transport};
use kademlia_core::{Config, Contact, Family, Key, Reach};

use super::*;
use crate::node_id;
use crate::service::ServiceConfig;

/// Sockets that nothing comes from, bound wherever a test needs them.
struct Silent(Vec<SocketAddr>);

#[async_trait::async_trait]
impl Transport for Silent {
    async fn recv(&mut self, _: &mut Inbox) -> io::Result<()> {
        std::future::pending().await
    }

    async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        outbox.clear();
        Ok(())
    }

    fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.clone())
    }
}

fn spawn(builder: Builder, bound: &[&str]) -> Dht {
    builder.spawn(Silent(bound.iter().map(|addr| addr.parse().unwrap()).collect())).unwrap()
}

/// What the node of one family is configured to.
async fn configs(dht: &Dht, family: Family) -> (Config, ServiceConfig) {
    dht.handle()
        .with(move |shell, _| {
            let node = shell.stack.node(family).unwrap();
            (node.config().clone(), *node.service().config())
        })
        .await
        .unwrap()
}

fn read_only() -> Config {
    Config { read_only: true, ..Config::default() }
}

#[tokio::test]
async fn fs_b10_what_the_user_sets_holds_on_a_private_address_and_the_rest_is_relaxed() {
    let builder = Dht::builder()
        .configure(|config| config.inbound.per_ip = 10)
        .configure_service(|config| config.storage.per_source = 7)
        .configure(|config| config.table.per_subnet = 3);
    let dht = spawn(builder, &["127.0.0.1:1"]);
    let (config, service) = configs(&dht, Family::V4).await;
    let mut expected = read_only().private_network();
    (expected.inbound.per_ip, expected.table.per_subnet) = (10, 3);
    assert_eq!(config, expected);
    let mut expected = ServiceConfig::default().private_network();
    expected.storage.per_source = 7;
    assert_eq!(service, expected);
}

#[tokio::test]
async fn each_family_has_the_defaults_of_its_own_address() {
    let builder = Dht::builder().server(true).strict_bep42(true).configure(|config| config.k = 20);
    let dht = spawn(builder, &["203.0.113.1:1", "[2a00::1]:1"]);
    let public = Config { k: 20, ..Config::default() };
    let (v4, v6) = (configs(&dht, Family::V4).await, configs(&dht, Family::V6).await);
    assert_eq!(v4.0, public.clone().private_network(), "documentation addresses are not routable");
    let mut service = ServiceConfig { strict_bep42: true, ..ServiceConfig::default() };
    service.storage.bytes /= 2;
    assert_eq!(v6, (public, service));
    assert!(v4.1.strict_bep42);
}

#[tokio::test]
async fn t7_the_nodes_of_a_host_share_one_byte_budget() {
    let builder = || Dht::builder().configure_service(|config| config.storage.bytes = 6_000_000);
    let bytes = async |dht: &Dht, family| configs(dht, family).await.1.storage.bytes;
    assert_eq!(bytes(&spawn(builder(), &["127.0.0.1:1"]), Family::V4).await, 6_000_000);
    let dual =
        |port: u16| Silent(vec![([127, 0, 0, 1], port).into(), ([0, 0, 0, 0, 0, 0, 0, 1], port).into()]);
    let host = builder().spawn_many([1, 2, 3].map(dual)).unwrap();
    for dht in host.nodes() {
        assert_eq!([bytes(dht, Family::V4).await, bytes(dht, Family::V6).await], [1_000_000; 2]);
    }
}

#[tokio::test]
async fn a_description_may_be_used_again_and_the_last_change_wins() {
    let builder = Dht::builder().configure(|config| config.alpha = 4).server(true);
    let again = builder.clone().configure(|config| config.alpha = 5).server(false);
    let (first, _) = configs(&spawn(builder, &["127.0.0.1:1"]), Family::V4).await;
    let (second, _) = configs(&spawn(again, &["127.0.0.1:1"]), Family::V4).await;
    assert_eq!((first.alpha, first.read_only), (4, false));
    assert_eq!((second.alpha, second.read_only), (5, true));
}

#[tokio::test]
async fn reach_is_a_setting_like_any_other() {
    let builder = Dht::builder().configure(|config| config.reach = Reach::Private);
    let dht = spawn(builder, &["0.0.0.0:1"]);
    assert_eq!(configs(&dht, Family::V4).await.0, Config { reach: Reach::Private, ..read_only() });
}

#[tokio::test]
async fn contacts_and_addresses_go_to_the_node_of_their_family() {
    // Nobody is there: on a slow machine a repetition would be counted, too.
    let once = || Dht::builder().configure(|config| config.rpc.retries = 0);
    let dual = || spawn(once(), &["127.0.0.1:1", "[::1]:1"]);
    let asked = async |dht: &Dht| {
        let families = dht.state().await.unwrap().families;
        families.iter().map(|family| family.counters.asked).collect::<Vec<_>>()
    };
    let addrs = ["127.0.0.1:2", "[::1]:2", "[::1]:3"].map(|addr| addr.parse().unwrap());
    let (first, second) = (dual(), dual());
    first.add_contacts(addrs.map(|addr| Contact::new(Key::new([1; 20]), addr)).to_vec()).await.unwrap();
    assert_eq!(asked(&first).await, [1, 2]);
    second.add_nodes(addrs.to_vec()).await.unwrap();
    assert_eq!(asked(&second).await, [1, 2]);
}

#[tokio::test]
async fn the_driver_is_configured_too() {
    let pause = Duration::from_millis(3);
    let builder = Dht::builder().configure_driver(|driver| driver.first_pause = pause);
    assert!(format!("{builder:?}").contains("first_pause: 3ms"));
}

#[tokio::test]
async fn bep45_45_1_an_id_fits_the_public_address_of_its_family() {
    let transport = |n: u8| {
        Silent(vec![
            SocketAddr::from(([20, 0, 0, n], 6_881)),
            SocketAddr::from((Ipv6Addr::new(0x2a00, u16::from(n), 0, 0, 0, 0, 0, 1), 6_881)),
        ])
    };
    let ids = async |nodes: &MultiDht| {
        let states = nodes.states().await;
        states.iter().map(|state| [0, 1].map(|family| state.families[family].id)).collect::<Vec<_>>()
    };
    let first = Dht::builder().spawn_many([transport(1), transport(2)]).unwrap();
    let before = ids(&first).await;
    for (ids, Silent(addrs)) in before.iter().zip([transport(1), transport(2)]) {
        assert!(
            ids.iter().zip(&addrs).all(|(id, addr)| node_id::verify(addr.ip(), &Key::from(*id))),
            "{ids:?} at {addrs:?}"
        );
    }
    let last = first.snapshots().await.unwrap();
    let again = Dht::builder().remember(last).spawn_many([transport(1), transport(2)]).unwrap();
    assert_eq!(ids(&again).await, before, "in both families");

    let behind_nat = || Silent(vec![SocketAddr::from(([192, 168, 0, 1], 6_881))]);
    let given = IpAddr::from([20, 0, 0, 9]);
    let hidden = Dht::builder().public_ip(given).spawn_many([behind_nat()]).unwrap();
    let state = hidden.states().await.remove(0);
    assert!(node_id::verify(given, &state.families[0].id.into()));
}
