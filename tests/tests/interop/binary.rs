//! The command `kad` beside foreign nodes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use bittorrent_profile::dht::Port;
use bittorrent_profile::item::{Item, RawValue};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::client::{Client, Kind};
use crate::{DEADLINE, V4, acquainted, hash, peer, port, reader, server};

static KAD: OnceCell<PathBuf> = OnceCell::const_new();

/// The command, made first in the profile and target directory of this test: cargo knows whether that has been done.
async fn kad() -> &'static PathBuf {
    KAD.get_or_init(|| async {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--locked", "--package", "kademlia-node", "--target-dir"]);
        build.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().await.unwrap().success(), "cargo builds kad");
        profile.join("kad").with_extension(std::env::consts::EXE_EXTENSION)
    })
    .await
}

async fn run(arguments: &[&str], router: SocketAddr) -> Output {
    run_alone(&[arguments, &["--bootstrap", &router.to_string()]].concat()).await
}

async fn run_alone(arguments: &[&str]) -> Output {
    let mut command = Command::new(kad().await);
    command.args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    timeout(DEADLINE, command.output()).await.expect("kad ends").unwrap()
}

async fn kad_announces_and_finds(kind: Kind) {
    let (ours, router) = server(V4).await;
    let mut foreign = Client::start(kind, router).await;
    acquainted(&ours, &[&foreign]).await;

    assert!(foreign.announce(hash(8), 7008).await >= 1);
    let output = run(&["peers", &hash(8).to_string()], router).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{}\n", peer(V4, 7008)));

    let output =
        run(&["announce", &hash(9).to_string(), "--port", "7009", "--once", "--min", "2"], router).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(foreign.get_peers(hash(9)).await, [peer(V4, 7009)]);

    let output = run(&["peers", &hash(10).to_string()], router).await;
    assert_eq!(output.status.code(), Some(1), "nothing found: {output:?}");
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn kad_and_libtorrent_find_what_the_other_announced() {
    kad_announces_and_finds(Kind::Libtorrent).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn kad_and_bittorrent_dht_find_what_the_other_announced() {
    kad_announces_and_finds(Kind::BittorrentDht).await;
}

fn text(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

/// `kad put` and `kad get` beside libtorrent's, `kad sample` and `kad conform` of its node.
#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep44_bep51_kad_puts_gets_samples_and_judges_beside_libtorrent() {
    let (ours, router) = server(V4).await;
    let mut foreign = Client::start(Kind::Libtorrent, router).await;
    acquainted(&ours, &[&foreign]).await;

    text(&run(&["put", "from kad", "--min", "2"], router).await);
    let item = Item::Immutable(RawValue::string("from kad").unwrap());
    assert_eq!(foreign.get(&item).await, Some(("from kad".to_owned(), None)));
    assert!(foreign.put("from libtorrent", None, "", 0).await >= 1);
    let theirs = Item::Immutable(RawValue::string("from libtorrent").unwrap());
    let got = run(&["get", &theirs.target().to_string()], router).await;
    assert_eq!(text(&got), "from libtorrent\n");

    let announced = reader(router).await.announce_once(hash(13), Port::Number(port(7013))).await.unwrap();
    assert_eq!(announced.accepted.len(), 2, "{announced:?}");
    let sampled = run_alone(&["sample", &foreign.addr.to_string()]).await;
    assert!(text(&sampled).contains(&hash(13).to_string()), "{sampled:?}");

    let judged =
        run_alone(&["conform", &foreign.addr.to_string(), "--rate", "500", "--bep", "51", "--json"]).await;
    let lines = std::str::from_utf8(&judged.stdout).unwrap().lines();
    let verdicts = lines.filter(|line| line.contains("\"51.1\"") && line.contains("\"pass\"")).count();
    assert!(verdicts >= 5, "libtorrent samples as BEP 51 says: {judged:?}");
}
