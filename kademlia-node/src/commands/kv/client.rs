//! An ephemeral node, for commands that are over soon.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use key_value::Kv;
use tokio::time::{Instant, timeout_at};
use transport_udp::{UdpConfig, UdpTransport};

use crate::cli::KvJoin;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

/// A node that asks, answers nobody, and is in the network.
pub(super) async fn client(args: &KvJoin, output: &Output, interrupt: &mut Interrupt) -> anyhow::Result<Kv> {
    let give_up = Instant::now() + args.timeout;
    output.progress("joining", None, "");
    let hosts = tokio::select! {
        hosts = join::resolve(&args.bootstrap, give_up) => hosts,
        () = interrupt.wait() => return Err(join::stopped().into()),
    };
    if hosts.is_empty() {
        let message = format!("no address found for {}", args.bootstrap.join(", "));
        return Err(Failure::new(Exit::NotJoined, message).into());
    }
    let transport = bind_for(args.bind, &hosts).await?;
    let kv =
        Kv::builder().bootstrap(hosts.iter().map(ToString::to_string)).read_only(true).spawn(transport)?;
    tokio::select! {
        () = interrupt.wait() => Err(join::stopped().into()),
        joined = timeout_at(give_up, kv.bootstrapped()) => match joined {
            Ok(joined) => {
                joined?;
                Ok(kv)
            }
            Err(_) => {
                let (limit, hosts) = (span::seconds(args.timeout), args.bootstrap.join(", "));
                let message = format!("could not join: no answer within {limit} from {hosts}");
                let hint = "`kad kv run` starts a node; Mainline's nodes do not speak this protocol";
                Err(Failure::new(Exit::NotJoined, message).hint(hint).into())
            }
        },
    }
}

/// As long as there is time and patience.
pub(super) async fn patiently<T>(
    args: &KvJoin,
    interrupt: &mut Interrupt,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        () = interrupt.wait() => Err(join::stopped()),
        result = timeout_at(Instant::now() + args.timeout, work) => {
            let limit = span::seconds(args.timeout);
            result.map_err(|_| Failure::new(Exit::Nothing, format!("no end within {limit}")))
        }
    }
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
