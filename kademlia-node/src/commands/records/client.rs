//! An ephemeral node, for commands that are over soon.

use std::net::SocketAddr;

use kademlia_core::runtime::Transport;
use signed_records::{Builder, Records};
use tokio::time::Instant;

use crate::cli::OverlayJoin;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::{join, overlay};

/// A node that asks, answers nobody, and is in the network.
pub(super) async fn client(
    args: &OverlayJoin,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Records> {
    let (hosts, transport, give_up) = overlay::prepare(args, output, interrupt).await?;
    let records = Records::builder().bootstrap(hosts).read_only(true).spawn(transport)?;
    overlay::joined(args, "records", give_up, interrupt, records.bootstrapped()).await?;
    Ok(records)
}

/// A node for one peer at `host`, and the peer's address. `describe` says what else the node is to be.
pub(super) async fn towards(
    host: &str,
    bind: Option<SocketAddr>,
    give_up: Instant,
    interrupt: &mut Interrupt,
    describe: impl FnOnce(Builder) -> Builder,
) -> anyhow::Result<(Records, SocketAddr)> {
    let addrs = overlay::resolve(&[host.to_owned()], give_up, interrupt).await?;
    let transport = overlay::bind_for(bind, &addrs).await?;
    let bound = transport.local_addrs()?;
    let peer = join::choose(&bound, &addrs).ok_or_else(|| overlay::no_address(host))?;
    Ok((describe(Records::builder()).spawn(transport)?, peer))
}
