//! An ephemeral node, for commands that are over soon.

use key_value::Kv;

use crate::cli::OverlayJoin;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::overlay;

/// A node that asks, answers nobody, and is in the network.
pub(super) async fn client(
    args: &OverlayJoin,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Kv> {
    let (hosts, transport, give_up) = overlay::prepare(args, output, interrupt).await?;
    let kv = Kv::builder().bootstrap(hosts).read_only(true).spawn(transport)?;
    overlay::joined(args, "kv", give_up, interrupt, kv.bootstrapped()).await?;
    Ok(kv)
}
