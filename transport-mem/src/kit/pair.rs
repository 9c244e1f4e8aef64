//! T10: two nodes, and a datagram that one of them has sent in the other's name.

use std::time::Duration;

use kademlia_core::{Keyspace, Protocol, Service};

use super::mangle::Bytes;
use super::subject::ask;
use super::{Kit, Law, Proof};
use crate::addresses::address_v4;
use crate::link::LinkModel;
use crate::simulation::Simulation;

/// Datagrams to which one may lead: the reply, and the two nodes' getting to know each other.
const MOST: u64 = 16;

pub(super) fn prove<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Conversation;
    let mut rng = kit.rng(law);
    let real = kit.specimens(law)?.known;
    let requests = kit.draw_requests(law, kit.cases as usize / 2).into_iter();
    let requests = requests.map(|request| Bytes(ask::<P>(P::Key::random(&mut rng), 7, request)));
    let injected: Vec<_> = requests.chain(real.iter().take(kit.cases as usize / 2).cloned()).collect();
    let mut pair = Simulation::new(kit.seed, LinkModel::perfect()).wire(true);
    for n in 0..2 {
        pair.spawn(address_v4(n), &kit.make);
    }
    let mut most = 0;
    for (n, bytes) in injected.iter().enumerate() {
        let before = pair.traffic().sent;
        let (to, from) = if n % 2 == 0 { (0, address_v4(1)) } else { (1, address_v4(0)) };
        pair.call(to, |node, now| node.handle_datagram(now, from, &bytes.0));
        let ended = pair.run_until_quiet(Duration::from_secs(5));
        let sent = pair.traffic().sent - before;
        most = most.max(sent);
        if !ended || sent > MOST {
            let case = format!("{bytes:?}, after which two nodes exchange {sent} datagrams in five seconds");
            return Err(kit.violation(law, case, format!("at most {MOST}, and then silence")));
        }
        pair.run_for(Duration::from_secs(1));
    }
    Ok(format!("{} datagrams, at most {most} after one", injected.len()))
}
