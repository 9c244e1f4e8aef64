#!/usr/bin/env python3
"""A libtorrent DHT node on loopback, driven by JSON lines: see README.md for the commands and events."""

import json
import math
import sys
import time

import libtorrent as lt

LOOPBACK = "127.0.0.1"

# libtorrent's defaults suit the public network, where many nodes at one address are an attack. Here every
# node is 127.0.0.1, and only the port tells them apart.
SETTINGS = {
    # One session of one DHT node: no discovery or port mapping that would leave this machine.
    "enable_dht": True,
    "enable_lsd": False,
    "enable_natpmp": False,
    "enable_upnp": False,
    # Needed: otherwise one node an IP is let into the routing table (measured with 12 nodes: tables of 1 instead of
    # 10) ...
    "dht_restrict_routing_ips": False,
    # ... and into one search (an announce reached 2 nodes instead of 8).
    "dht_restrict_search_ips": False,
    # Said for certainty, without effect on 127.0.0.1 in 2.1: messages from networks that should not be in use are taken,
    "dht_ignore_dark_internet": False,
    # and nodes whose id does not follow from their IP (BEP 42), as none does on loopback, are full members.
    "dht_enforce_node_id": False,
    "dht_prefer_verified_node_ids": False,
    # Needed in longer tests: an IP that sends more messages a second than this is blocked for minutes, here all nodes
    # together.
    "dht_block_ratelimit": 1_000_000,
    # Bytes a second; with the default of 8,000 a busy node falls silent in the middle of a test.
    "dht_upload_rate_limit": 10_000_000,
    # Session, errors and the DHT's operations, and for counting the answers to an announce its packets.
    "alert_mask": lt.alert.category_t.error_notification
    | lt.alert.category_t.status_notification
    | lt.alert.category_t.dht_notification
    | lt.alert.category_t.dht_operation_notification
    | lt.alert.category_t.dht_log_notification,
    "alert_queue_size": 100_000,
}

# Bounds on what a command may take, in seconds.
START = 10.0
BOOTSTRAP = 15.0
SEARCH = 40.0  # libtorrent waits 15 s for a node that does not answer.
ANSWERS = 3.0
POLL = 0.02

# libtorrent's dht::announce flag for BEP 33's `seed`.
SEED = 1


class Node:
    def __init__(self):
        self.session = None
        self.host = None
        self.port = None
        self.bootstrapped = False

    def start(self, command):
        self.bootstrapped = not command.get("bootstrap")
        self.host = command.get("host", LOOPBACK)
        self.session = lt.session(
            SETTINGS
            | {
                "listen_interfaces": endpoint(self.host, command.get("port", 0)),
                "dht_bootstrap_nodes": command.get("bootstrap", ""),
            }
        )
        for alert in self.alerts(START):
            if isinstance(alert, lt.listen_failed_alert):
                raise RuntimeError(alert.message())
            if isinstance(alert, lt.listen_succeeded_alert) and "uTP" in alert.message():
                self.port = alert.port
                return {"event": "listening", "port": self.port, "id": self.id().hex()}
        raise TimeoutError("not listening")

    def id(self):
        """The node's id, which is there soon after the socket and is saved together with its address."""
        end = time.monotonic() + START
        while time.monotonic() < end:
            if ids := self.session.save_state().get(b"dht state", {}).get(b"node-id"):
                return ids[0][:20]
            time.sleep(POLL)
        raise TimeoutError("no id")

    def announce(self, command):
        self.await_bootstrap()
        self.session.dht_announce(info_hash(command), command["port"], SEED if command.get("seed") else 0)
        waiting, stored = set(), set()
        for alert in self.until_search_ends(lambda: not waiting):
            if isinstance(alert, lt.dht_pkt_alert):
                note_announce(alert, waiting, stored)
        # libtorrent also finds, asks and answers itself.
        return {"event": "announced", "nodes": len(stored - {endpoint(self.host, self.port)})}

    def get_peers(self, command):
        self.await_bootstrap()
        wanted = info_hash(command)
        self.session.dht_get_peers(wanted)
        peers = set()
        enough = command.get("enough", math.inf)
        for alert in self.until_search_ends(lambda: True, lambda: len(peers) >= enough):
            if isinstance(alert, lt.dht_get_peers_reply_alert) and alert.info_hash == wanted:
                peers.update(endpoint(ip, port) for ip, port in alert.peers())
        return {"event": "peers", "peers": sorted(peers)}

    def add(self, command):
        """Tells it of nodes, as a torrent's list or a peer's PORT message does; it asks them before it keeps them."""
        for node in command["nodes"]:
            self.session.add_dht_node(address(node))
        return {"event": "added"}

    def nodes(self, _command):
        self.session.dht_live_nodes(lt.sha1_hash(self.id()))
        for alert in self.alerts(START):
            if isinstance(alert, lt.dht_live_nodes_alert):
                nodes = [endpoint(*node["endpoint"]) for node in alert.nodes]
                return {"event": "nodes", "nodes": sorted(nodes)}
        raise TimeoutError("no nodes")

    def put(self, command):
        """An immutable item, or with "secret" (64 bytes, expanded) and "key" a mutable one, whose sequence number
        libtorrent takes from the item that it finds."""
        self.await_bootstrap()
        value = bytes.fromhex(command["value"])
        if "key" in command:
            keys = [bytes.fromhex(command[name]) for name in ("secret", "key")]
            self.session.dht_put_mutable_item(*keys, value, bytes.fromhex(command.get("salt", "")))
        else:
            self.session.dht_put_immutable_item(value)
        for alert in self.alerts(SEARCH):
            if isinstance(alert, lt.dht_put_alert):
                return {"event": "put", "nodes": alert.num_success}
        raise TimeoutError("the put does not end")

    def get(self, command):
        """The item under "target", or the newest one under "key" and "salt"."""
        self.await_bootstrap()
        if "key" in command:
            salt = bytes.fromhex(command.get("salt", ""))
            self.session.dht_get_mutable_item(bytes.fromhex(command["key"]), salt)
        else:
            self.session.dht_get_immutable_item(lt.sha1_hash(bytes.fromhex(command["target"])))
        for alert in self.alerts(SEARCH):
            if isinstance(alert, lt.dht_immutable_item_alert):
                return item(alert.item, None)
            # Every newer version is told; the last one, when the search has ended, is authoritative.
            if isinstance(alert, lt.dht_mutable_item_alert) and alert.authoritative:
                return item(alert.item, alert.seq)
        raise TimeoutError("the search does not end")

    def sample(self, command):
        self.session.dht_sample_infohashes(address(command["addr"]), lt.sha1_hash(bytes(20)))
        for alert in self.alerts(SEARCH):
            if isinstance(alert, lt.dht_sample_infohashes_alert):
                samples = sorted(str(sample) for sample in alert.samples)
                interval = int(alert.interval.total_seconds())
                return {"event": "samples", "samples": samples, "num": alert.num_infohashes, "interval": interval}
        raise TimeoutError("no samples")

    def await_bootstrap(self):
        """Waits for the end of the first bootstrap, or long enough to know that nobody answers."""
        for _ in self.alerts(0 if self.bootstrapped else BOOTSTRAP):
            if self.bootstrapped:
                break
        self.bootstrapped = True

    def until_search_ends(self, is_complete, is_enough=lambda: False):
        """Alerts until libtorrent has no search under way, which no alert tells: its statistics do. What is to be
        complete then gets some time more, as not everybody who was asked may answer. It ends with statistics even if
        it is enough earlier, so that none are left over for the next search."""
        answers_end = None
        self.session.post_dht_stats()
        for alert in self.alerts(SEARCH):
            yield alert
            if not isinstance(alert, lt.dht_stats_alert):
                continue
            if is_enough():
                return
            if not any(search["type"] == "get_peers" for search in alert.active_requests):
                answers_end = answers_end or time.monotonic() + ANSWERS
                if is_complete() or time.monotonic() > answers_end:
                    return
            time.sleep(POLL)
            self.session.post_dht_stats()
        raise TimeoutError("the search does not end")

    def alerts(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.session.wait_for_alert(int(1000 * POLL))
            alerts = self.session.pop_alerts()
            # Seen whoever reads the alerts, and even if what comes before it is all that is wanted.
            self.bootstrapped |= any(isinstance(alert, lt.dht_bootstrap_alert) for alert in alerts)
            yield from alerts


def note_announce(alert, waiting, stored):
    """Keeps account of the announce_peer requests without an answer and of the endpoints that accepted one. An alert's
    text begins with the direction and the endpoint."""
    packet = lt.bdecode(alert.pkt_buf)
    if not isinstance(packet, dict):
        return
    direction, rest = alert.message().split(" [", 1)
    peer = rest.split("] ", 1)[0]
    call = (packet.get(b"t"), peer)
    if direction == "==>" and packet.get(b"q") == b"announce_peer":
        waiting.add(call)
    elif direction == "<==" and call in waiting:
        waiting.remove(call)
        if packet.get(b"y") == b"r":
            stored.add(peer)


def endpoint(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def item(value, seq):
    """What the bindings make of an item: a dictionary with "value", or the value itself."""
    if isinstance(value, dict):
        value = value.get("value", value.get(b"value"))
    return {"event": "item", "value": value.hex() if isinstance(value, bytes) else None, "seq": seq}


def info_hash(command):
    return lt.sha1_hash(bytes.fromhex(command["info_hash"]))


def main():
    node = Node()
    names = ["start", "announce", "get_peers", "put", "get", "sample", "add", "nodes"]
    commands = {name: getattr(node, name) for name in names}
    for line in sys.stdin:
        try:
            command = json.loads(line)
            if command["cmd"] == "quit":
                break
            event = commands[command["cmd"]](command)
        except Exception as error:  # Told to whoever drives this; the test decides.
            event = {"event": "error", "message": f"{type(error).__name__}: {error}"}
        print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main()
