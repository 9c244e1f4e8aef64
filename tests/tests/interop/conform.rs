//! The conformance suite before foreign nodes: it runs to its end, and what it says of them is what their sources say.

use std::num::NonZeroU32;

use mainline_conformance::{Options, Suite, Verdict};
use tokio::time::timeout;

use crate::client::{Client, Kind};
use crate::{DEADLINE, V4, server};

/// What a reading of the source comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Pass,
    Fail,
    NotApplicable,
}
use Due::{Fail, NotApplicable, Pass};

/// Requirement, check, verdict, and why it is right: by libtorrent 2.1.1, `src/kademlia`.
const LIBTORRENT: [(&str, &str, Due, &str); 13] = [
    ("5.2", "t-length", Pass, "node::incoming_request copies `t`, whatever its length"),
    ("5.5", "unknown-method", Fail, "incoming_error(e, \"unknown message\") has its default code, 203"),
    ("5.9", "other-ip", Pass, "generate_token hashes the address"),
    ("5.9", "other-port", Pass, "and not the port"),
    (
        "5.12",
        "unverified",
        Fail,
        "a second query of an unverified node sets timeout_count to 0: it is confirmed",
    ),
    (
        "32.5",
        "nodes-too",
        Pass,
        "write_nodes_entries comes before lookup_peers, \"always return nodes as well\"",
    ),
    ("42.4", "errors", Pass, "`ip` is set before the arguments are looked at"),
    ("44.2", "too-big-code", Pass, "more than 1,000 bytes of bencoded `v` get 205"),
    ("44.5", "salt-too-big", Pass, "more than 64 bytes of salt get 207"),
    ("44.6", "equal-seq", Pass, "put_mutable_item replaces an item only if its seq is lower"),
    ("44.6", "equal-seq-told", Fail, "only `item_seq > seq` is an error; an equal one gets a response"),
    ("C.1", "target", Pass, "unknown methods with a target get write_nodes_entries"),
    ("T9", "longest", Fail, "eight nodes come beside a value of 1,000 bytes: nothing measures a reply"),
];

/// The same by bittorrent-dht 11.0.12, k-rpc 5 and k-rpc-socket 1.
const BITTORRENT_DHT: [(&str, &str, Due, &str); 14] = [
    ("5.2", "t-length", Pass, "k-rpc-socket's response sends the query's `t` back"),
    ("5.2", "version", Fail, "and nothing else but `y` and `r`"),
    ("5.3", "asker-id", Fail, "ping does not look at `a`"),
    ("5.5", "told", Fail, "_onquery's switch has no default"),
    ("5.9", "other-ip", Pass, "_generateToken hashes the host"),
    ("5.12", "unverified", Fail, "k-rpc's onquery adds whoever asks to its table"),
    ("32.5", "nodes-too", Fail, "_ongetpeers sends `values` or nodes"),
    ("33.2", "both", NotApplicable, "nothing reads `scrape`"),
    ("42.4", "responses", Fail, "nothing writes `ip`"),
    ("43.2", "not-kept", Fail, "nothing reads `ro`, and onquery adds whoever asks"),
    ("44.1", "nodes", Fail, "createGetResponse has no nodes"),
    ("44.2", "unsorted", Fail, "`v` is decoded and encoded again, which sorts its keys"),
    ("44.3", "mutable", Pass, "this one has the option `verify`; without it _onput answers 400"),
    ("T6", "linear", NotApplicable, "_generateToken knows no target: one token for all"),
];

async fn judged_rightly(kind: Kind, expected: &[(&str, &str, Due, &str)]) {
    let (_ours, router) = server(V4).await;
    let foreign = Client::start(kind, router).await;
    let options = Options { rate: NonZeroU32::new(500).unwrap(), ..Options::default() };
    let suite = Suite::start(foreign.addr, options).await.expect("it answers");
    let report = timeout(DEADLINE, suite.finish()).await.expect("runs end");
    assert!(report.complete, "everything was judged");
    for (id, check, due, why) in expected {
        let finding = report.finding(id, check).expect("a check of that name");
        let verdict = match finding.verdict {
            Verdict::Pass => Pass,
            Verdict::Fail(_) => Fail,
            Verdict::NotApplicable(_) => NotApplicable,
        };
        assert_eq!(verdict, *due, "{id} {check}, {why}: {finding:#?}");
    }
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn what_the_suite_says_of_libtorrent_is_right() {
    judged_rightly(Kind::Libtorrent, &LIBTORRENT).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn what_the_suite_says_of_bittorrent_dht_is_right() {
    judged_rightly(Kind::BittorrentDht, &BITTORRENT_DHT).await;
}
