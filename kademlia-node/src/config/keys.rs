//! The keys: the one list of what can be configured, for the parser, for `kad config keys` and for docs/configuration.md.

use bittorrent_profile::ServiceConfig;
use kademlia_core::Config;
use kademlia_core::runtime::DriverConfig;
use toml::Value;

use super::{Dht, Setting, Settings, Udp};

/// What can be configured under one name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What its number counts; of durations the unit of a bare number.
    pub(crate) unit: &'static str,
    pub(crate) about: &'static str,
}

impl Key {
    /// What holds if it is not set.
    pub(crate) fn default(&self) -> Option<Value> {
        Settings::default().slot(self.name).map(|slot| slot.get())
    }

    /// What holds then on a loopback or private address, if that is something else.
    pub(crate) fn private(&self) -> Option<Value> {
        let value = Settings::private_network().slot(self.name).map(|slot| slot.get());
        value.filter(|value| Some(value) != self.default().as_ref())
    }
}

/// Settings that are found by their keys.
pub(super) trait Keyed {
    fn slot(&mut self, key: &str) -> Option<&mut dyn Setting>;
}

/// Each key, where its value is kept, its unit and its meaning.
macro_rules! keys {
    ($($part:ident: $settings:ty { $($key:literal => $($field:ident).+, $unit:literal, $about:literal;)* })*) => {
        pub(crate) const KEYS: &[Key] = &[$($(Key { name: $key, unit: $unit, about: $about },)*)*];

        $(impl Keyed for $settings {
            fn slot(&mut self, key: &str) -> Option<&mut dyn Setting> {
                match key {
                    $($key => Some(&mut self.$($field).+),)*
                    _ => None,
                }
            }
        })*

        impl Keyed for Settings {
            fn slot(&mut self, key: &str) -> Option<&mut dyn Setting> {
                $(if let Some(slot) = self.$part.slot(key) {
                    return Some(slot);
                })*
                None
            }
        }
    };
}

keys! {
    engine: Config {
        "k" => k, "nodes", "Size of a bucket, and of what a lookup finds (BEP 5: 8, the Kademlia paper: 20)";
        "alpha" => alpha, "requests", "Requests that one path of a lookup keeps in flight (paper: 3)";
        "health" => health, "nodes", "Nodes of which it is remembered how they answered; 0 for none";
        "table.good_for" => table.good_for, "s",
            "A node is good for so long after it answered (BEP 5: 15 minutes)";
        "table.keepalive" => table.keepalive, "s", "A node that has not answered for so long is asked again";
        "table.refresh" => table.refresh, "s",
            "A bucket in which nothing changed for so long is refreshed (BEP 5: 15 minutes)";
        "table.bad_after" => table.bad_after, "failures",
            "Requests in a row without an answer after which a node is bad";
        "table.replacements" => table.replacements, "nodes",
            "Nodes in waiting for each bucket; the oldest gives way";
        "table.one_per_ip" => table.one_per_ip, "true/false", "One node at most of each IP address";
        "table.near" => table.near, "nodes",
            "What the own bucket and its sibling hold, if that is more than k";
        "table.per_subnet_in_bucket" => table.per_subnet_in_bucket, "nodes",
            "Nodes of one /24 or /64 in a bucket; 0 for no limit";
        "table.per_subnet" => table.per_subnet, "nodes",
            "Nodes of one /24 or /64 in the whole table; 0 for no limit";
        "rpc.outstanding" => rpc.outstanding, "requests",
            "Requests that wait for answers at once; one more fails";
        "rpc.per_ip" => rpc.per_ip, "requests",
            "Requests that wait for answers of one IP address; 0 for no limit";
        "rpc.initial_timeout" => rpc.initial_timeout, "s",
            "Wait for an answer before any round trip was measured";
        "rpc.min_timeout" => rpc.min_timeout, "s", "Shortest wait for an answer";
        "rpc.max_timeout" => rpc.max_timeout, "s", "Longest wait for an answer";
        "rpc.retries" => rpc.retries, "requests", "Times a request is repeated";
        "lookup.running" => lookup.running, "lookups",
            "Lookups at once, those of maintenance included; more wait";
        "lookup.waiting" => lookup.waiting, "lookups", "Lookups that wait for their turn; more are refused";
        "lookup.patience" => lookup.patience, "s", "Longest wait of a lookup for the node to join";
        "lookup.messages" => lookup.messages, "messages",
            "Messages of one lookup, repetitions included; then it ends with what it has";
        "lookup.reinforced_messages" => lookup.reinforced_messages, "messages",
            "The same of a reinforced lookup, which is what looks for values";
        "lookup.time" => lookup.time, "s", "Longest time of one lookup; then it ends with what it has";
        "lookup.candidates" => lookup.candidates, "nodes",
            "Nodes that one lookup remembers; the farthest not yet asked give way";
        "lookup.paths" => lookup.paths, "paths", "Disjoint paths of a hardened lookup";
        "lookup.per_path" => lookup.per_path, "nodes", "Nodes that each of several paths looks for";
        "lookup.dense" => lookup.dense, "nodes",
            "Ask everybody who should be among so many nearest; 0 for k only";
        "lookup.dense_most" => lookup.dense_most, "nodes",
            "Nodes that one path asks for that reason, k included";
        "lookup.per_subnet" => lookup.per_subnet, "nodes",
            "Nodes of one /24 or /64 among those a path finds; 0 for no limit";
        "lookup.per_wide_subnet" => lookup.per_wide_subnet, "nodes",
            "Nodes of one /16 or /32 among those a path finds; 0 for no limit";
        "verify.per_ip" => verify.per_ip, "s",
            "A stranger's IP address is pinged once in so long; 0 for no limit";
        "verify.per_subnet" => verify.per_subnet, "pings/min",
            "Pings to strangers in one /24 or /64; 0 for no limit";
        "verify.rate" => verify.rate, "pings/s", "Pings to strangers in all; 0 for no limit";
        "verify.remembered" => verify.remembered, "addresses",
            "IP addresses remembered for verify.per_ip; then nobody new is pinged";
        "observed.quorum" => observed.quorum, "votes",
            "Nodes that have to tell this node's address before it is believed";
        "observed.percent" => observed.percent, "%", "Share of the votes that an address has to exceed";
        "observed.one_per_network" => observed.one_per_network, "true/false",
            "Count one vote for each /16 or /32";
        "observed.settle" => observed.settle, "s",
            "Least time from one change of this node's address to the next";
        "observed.votes" => observed.votes, "votes", "Votes remembered; the oldest gives way";
        "inbound.per_ip" => inbound.per_ip, "requests/s",
            "Requests of one IP address that are served in the long run; 0 for no limit";
        "inbound.burst" => inbound.burst, "requests", "Requests of one IP address that are served at once";
        "inbound.quiet" => inbound.quiet, "requests/s", "With fewer requests in all nobody is limited";
        "inbound.datagram" => inbound.datagram, "bytes", "Longest datagram that is looked at";
        "strangers.per_ip" => strangers.per_ip, "bytes/s",
            "Answered to one address outside the table, headers included; 0 for no limits at all";
        "strangers.burst" => strangers.burst, "bytes",
            "Answered to one address outside the table at once, after a pause";
        "strangers.all" => strangers.all, "bytes/s", "Answered to all addresses outside the table together";
        "egress.rate" => egress.rate, "datagrams/s", "Everything that is sent; 0 for no limit";
        "bootstrap.first_pause" => bootstrap.first_pause, "s",
            "First pause before the hosts to join through are asked again; it doubles each time";
        "bootstrap.longest_pause" => bootstrap.longest_pause, "s",
            "Longest pause before they are asked again";
        "bootstrap.routers" => bootstrap.routers, "hosts",
            "Hosts to join through that are remembered; more are ignored";
    }
    service: ServiceConfig {
        "service.peer_ttl" => peer_ttl, "s", "How long an announced peer is kept";
        "service.item_ttl" => item_ttl, "s", "How long an item is kept (BEP 44: 2 hours)";
        "service.large_answers" => large_answers, "answers/s",
            "Values and scrapes for one address outside the table; 0 for no limit";
        "service.peers_per_reply" => peers_per_reply, "peers", "Most peers in one answer";
        "service.one_peer_per_ip" => one_peer_per_ip, "true/false",
            "An IP address is one peer of a torrent (BEP 33), whatever its ports";
        "storage.bytes" => storage.bytes, "bytes",
            "Memory for peers and items together; then the keys farthest from the node give way";
        "storage.per_key" => storage.per_key, "records", "Peers of one torrent; 0 for no limit";
        "storage.per_source" => storage.per_source, "records",
            "Records of one IPv4 address or IPv6 /64; 0 for no limit";
        "storage.per_subnet" => storage.per_subnet, "records",
            "Records of one IPv4 /24 or IPv6 /48, of items a quarter as many; 0 for no limit";
    }
    udp: Udp {
        "udp.receive_buffer" => receive_buffer, "bytes",
            "Asked of the system for what arrives; 0 for its own default";
        "udp.send_buffer" => send_buffer, "bytes",
            "Asked of the system for what leaves; 0 for its own default";
        "udp.batched" => batched, "true/false",
            "Many datagrams in one system call, where there is such a call";
    }
    driver: DriverConfig {
        "driver.commands" => commands, "commands",
            "Commands that wait for the node; who has more waits for room";
        "driver.first_pause" => first_pause, "s",
            "First pause after the socket failed to receive; it doubles each time";
        "driver.longest_pause" => longest_pause, "s", "Longest pause after the socket failed to receive";
    }
    dht: Dht {
        "dht.renewal" => renewal, "s", "From one announcement of a torrent to the next";
        "dht.renewal_budget" => renewal_budget, "requests/s", "For all announcements and kept items together; 0 for no limit";
        "dht.requery" => requery, "s", "The same search is answered from the last one for so long; 0 for not at all";
    }
}
