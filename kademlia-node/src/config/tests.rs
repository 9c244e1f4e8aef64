use std::collections::BTreeSet;
use std::io::Write;

use bittorrent_profile::{Mainline, MainlineService};
use kademlia_core::runtime::Shell;

use super::*;

fn load(pairs: &[&str]) -> Result<Settings, Failure> {
    let pairs: Vec<_> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
    Settings::load(None, &pairs)
}

/// The values alone.
fn pairs(pairs: &[&str]) -> Result<Settings, Failure> {
    load(pairs).map(|settings| Settings { changes: Arc::default(), ..settings })
}

fn file(text: &str) -> Result<Settings, Failure> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Settings::load(Some(file.path()), &[])
}

#[test]
fn defaults_are_those_of_the_parts() {
    let settings = Settings::load(None, &[]).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.engine, Config::default());
    assert_eq!(settings.sockets(), UdpConfig::default());
}

/// Fields that flags decide, not keys; a new field of the engine does not compile here until it is named.
#[test]
fn fs_b10_every_limit_has_a_key() {
    let Config {
        k: _,
        alpha: _,
        read_only: _,
        reach: _,
        table,
        rpc,
        lookup,
        verify,
        observed,
        inbound,
        strangers,
        egress,
        bootstrap,
        health: _,
    } = Config::default();
    let ServiceConfig {
        strict_bep42: _,
        peer_ttl: _,
        item_ttl: _,
        large_answers: _,
        peers_per_reply: _,
        one_peer_per_ip: _,
        storage,
    } = ServiceConfig::default();
    let named = |section: &str, debug: String| {
        // The derived `Debug` names every field: `TableConfig { good_for: 900s, … }`.
        let fields = debug.split_once('{').unwrap().1.to_owned();
        let names: Vec<_> = fields
            .split([',', '{', '}'])
            .filter_map(|field| field.split_once(':'))
            .map(|(name, _)| format!("{section}.{}", name.trim()))
            .collect();
        names
    };
    let mut expected: BTreeSet<String> = ["k", "alpha", "health"].map(str::to_owned).into();
    expected.extend(
        ["peer_ttl", "item_ttl", "large_answers", "peers_per_reply", "one_peer_per_ip"]
            .map(|name| format!("service.{name}")),
    );
    expected.extend(named("table", format!("{table:?}")));
    expected.extend(named("rpc", format!("{rpc:?}")));
    expected.extend(named("lookup", format!("{lookup:?}")));
    expected.extend(named("verify", format!("{verify:?}")));
    expected.extend(named("observed", format!("{observed:?}")));
    expected.extend(named("inbound", format!("{inbound:?}")));
    expected.extend(named("strangers", format!("{strangers:?}")));
    expected.extend(named("egress", format!("{egress:?}")));
    expected.extend(named("bootstrap", format!("{bootstrap:?}")));
    expected.extend(named("storage", format!("{storage:?}")));
    expected.extend(named("udp", format!("{:?}", UdpConfig::default())));
    expected.extend(named("driver", format!("{:?}", DriverConfig::default())));
    expected.extend(["renewal", "renewal_budget", "requery"].map(|name| format!("dht.{name}")));
    assert_eq!(KEYS.iter().map(|key| key.name.to_owned()).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_key_changes_one_setting() {
    let mut seen = Vec::new();
    for Key { name: key, .. } in KEYS {
        let changed =
            ["7", "3.25", "false"].iter().find_map(|value| pairs(&[&format!("{key}={value}")]).ok());
        let changed = if changed == Some(Settings::default()) {
            pairs(&[&format!("{key}=true")]).ok()
        } else {
            changed
        };
        let changed = changed.unwrap_or_else(|| panic!("{key}"));
        assert_ne!(changed, Settings::default(), "{key}");
        assert!(!seen.contains(&changed), "{key} sets what another key sets");
        seen.push(changed);
    }
}

#[test]
fn what_a_key_shows_it_also_takes() {
    for key in KEYS {
        for value in [key.default(), key.private()].into_iter().flatten() {
            let set = pairs(&[&format!("{}={value}", key.name)]).unwrap();
            let mut expected = Settings::default();
            assert!(expected.slot(key.name).unwrap().set(&value).is_ok());
            assert_eq!(set, expected, "{}", key.name);
        }
    }
    let of = |name| KEYS.iter().find(|key| key.name == name).unwrap();
    assert_eq!(of("rpc.min_timeout").default(), Some(Value::Float(0.2)));
    assert_eq!(of("table.one_per_ip").private(), Some(Value::Boolean(false)));
    assert_eq!(of("alpha").private(), None);
}

#[test]
fn zero_turns_a_rate_limit_off() {
    let settings = pairs(&["inbound.per_ip=0", "verify.rate = 0", "verify.per_ip=0"]).unwrap();
    assert_eq!(settings.engine.inbound.per_ip, 0);
    assert_eq!(settings.engine.verify.rate, 0);
    assert_eq!(settings.engine.verify.per_ip, Duration::ZERO);
}

/// The engine's and the answering side's settings of a node on this address.
async fn settings_on(addr: &str, settings: &Settings) -> (Config, ServiceConfig) {
    let transport = settings.sockets().bind(addr).await.unwrap();
    let dht = settings.builder().spawn(transport).unwrap();
    let read = |shell: &mut Shell<Mainline, MainlineService>, _| {
        let (_, node) = shell.stack.nodes().next().unwrap();
        (node.config().clone(), *node.service().config())
    };
    dht.handle().with(read).await.unwrap()
}

#[tokio::test]
async fn fs_b10_limits_hold_on_a_private_address_and_leave_the_others_relaxed() {
    let settings = load(&["inbound.per_ip=10", "storage.per_source=7", "k=20"]).unwrap();
    let (engine, service) = settings_on("127.0.0.1:0", &settings).await;
    let mut expected = Config { read_only: true, k: 20, ..Config::default() }.private_network();
    expected.inbound.per_ip = 10;
    assert_eq!(engine, expected);
    let mut expected = ServiceConfig::default().private_network();
    expected.storage.per_source = 7;
    assert_eq!(service, expected);
}

#[tokio::test]
async fn a_limit_set_to_its_default_is_set_all_the_same() {
    let settings = load(&["inbound.per_ip=64", "table.one_per_ip=true"]).unwrap();
    let (engine, _) = settings_on("127.0.0.1:0", &settings).await;
    assert!(engine.inbound.per_ip == 64 && engine.table.one_per_ip && engine.table.per_subnet == 0);
}

#[test]
fn files_have_sections_and_durations_in_seconds() {
    let text = "alpha = 4\n[rpc]\nmin_timeout = 0.1\nmax_timeout = \"900ms\"\n[table]\ngood_for = 60\none_per_ip = false\n";
    let settings = file(text).unwrap();
    assert_eq!(settings.engine.alpha, 4);
    assert_eq!(settings.engine.rpc.min_timeout, Duration::from_millis(100));
    assert_eq!(settings.engine.rpc.max_timeout, Duration::from_millis(900));
    assert_eq!(settings.engine.table.good_for, Duration::from_secs(60));
    assert!(!settings.engine.table.one_per_ip);
}

#[test]
fn what_cannot_be_used_is_named() {
    for (text, name) in [
        ("[inbound]\nperip = 1", "inbound.perip"),
        ("[inbound.per_ip]\nx = 1", "inbound.per_ip.x"),
        ("inbound = 1", "inbound"),
        ("colour = 1", "colour"),
        ("k = 0", "k = 0"),
        ("k = -1", "k = -1"),
        ("k = 2.5", "k = 2.5"),
        ("[rpc]\nretries = 256", "rpc.retries"),
        ("[lookup]\ntime = \"soon\"", "lookup.time"),
        ("[lookup]\ntime = -1", "lookup.time"),
        ("[udp]\nbatched = 1", "udp.batched"),
        ("k = ", "cannot use the configuration"),
    ] {
        let failure = file(text).unwrap_err().to_string();
        assert!(failure.contains(name), "{text}: {failure}");
    }
    assert!(pairs(&["k"]).unwrap_err().to_string().contains("`k`"));
    assert!(Settings::load(Some(Path::new("/nonexistent/kad.toml")), &[]).is_err());
}
