//! An ephemeral node, for commands that are over soon.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use kademlia_core::runtime::Transport;
use signed_records::{Builder, Records};
use tokio::time::{Instant, timeout_at};
use transport_udp::{UdpConfig, UdpTransport};

use crate::cli::RecordsJoin;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

/// Longest wait for a name to resolve where no time is given.
pub(super) const RESOLVE: Duration = Duration::from_secs(10);

/// A node that asks, answers nobody, and is in the network.
pub(super) async fn client(
    args: &RecordsJoin,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Records> {
    let give_up = Instant::now() + args.timeout;
    output.progress("joining", None, "");
    let hosts = resolve(&args.bootstrap, give_up, interrupt).await?;
    let transport = bind_for(args.bind, &hosts).await?;
    let builder = Records::builder().bootstrap(hosts.iter().map(ToString::to_string)).read_only(true);
    let records = builder.spawn(transport)?;
    tokio::select! {
        () = interrupt.wait() => Err(join::stopped().into()),
        joined = timeout_at(give_up, records.bootstrapped()) => match joined {
            Ok(joined) => {
                joined?;
                Ok(records)
            }
            Err(_) => {
                let (limit, hosts) = (span::seconds(args.timeout), args.bootstrap.join(", "));
                let message = format!("could not join: no answer within {limit} from {hosts}");
                let hint = "`kad records run` starts a node; Mainline's nodes do not speak this protocol";
                Err(Failure::new(Exit::NotJoined, message).hint(hint).into())
            }
        },
    }
}

/// A node for one peer at `host`, and the peer's address. `describe` says what else the node is to be.
pub(super) async fn towards(
    host: &str,
    bind: Option<SocketAddr>,
    interrupt: &mut Interrupt,
    describe: impl FnOnce(Builder) -> Builder,
) -> anyhow::Result<(Records, SocketAddr)> {
    let addrs = resolve(&[host.to_owned()], Instant::now() + RESOLVE, interrupt).await?;
    let transport = bind_for(bind, &addrs).await?;
    let bound = transport.local_addrs()?;
    let peer = addrs.iter().find(|addr| join::is_in_reach(&bound, **addr)).or(addrs.first());
    let peer = *peer.ok_or_else(|| no_address(host))?;
    Ok((describe(Records::builder()).spawn(transport)?, peer))
}

/// The addresses of the hosts.
async fn resolve(
    hosts: &[String],
    give_up: Instant,
    interrupt: &mut Interrupt,
) -> Result<Vec<SocketAddr>, Failure> {
    let found = tokio::select! {
        found = join::resolve(hosts, give_up) => found,
        () = interrupt.wait() => return Err(join::stopped()),
    };
    if found.is_empty() { Err(no_address(&hosts.join(", "))) } else { Ok(found) }
}

fn no_address(hosts: &str) -> Failure {
    Failure::new(Exit::NotJoined, format!("no address found for {hosts}"))
}

/// One socket, of the family that most of the hosts have: where the user said, on loopback if that is where they are, or
/// anywhere.
async fn bind_for(bind: Option<SocketAddr>, hosts: &[SocketAddr]) -> Result<UdpTransport, Failure> {
    let v6 = hosts.iter().filter(|host| host.is_ipv6()).count() * 2 > hosts.len();
    let local = hosts.iter().all(|host| host.ip().is_loopback());
    let own = bind.unwrap_or_else(|| match (v6, local) {
        (false, false) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        (false, true) => (Ipv4Addr::LOCALHOST, 0).into(),
        (true, false) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        (true, true) => (Ipv6Addr::LOCALHOST, 0).into(),
    });
    let transport = join::bind(&[own], &UdpConfig::default()).await?;
    if hosts.iter().any(|host| join::is_in_reach(&[own], *host)) {
        return Ok(transport);
    }
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    let failure = Failure::usage(format!("a node bound to {own} does not speak to {}", hosts.join(", ")));
    Err(failure.hint("for a private network, name this host's own address in it: --bind IP:0"))
}
