//! The way into the network of an overlay, for commands that are over soon.

use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use storage_redb::OpenError;
use tokio::time::{Instant, timeout_at};
use transport_udp::{UdpConfig, UdpTransport};

use crate::cli::OverlayJoin;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

/// The hosts to join through, a socket that reaches them, and until when joining may take.
pub(crate) async fn prepare(
    args: &OverlayJoin,
    output: &Output,
    interrupt: &mut Interrupt,
) -> Result<(Vec<String>, UdpTransport, Instant), Failure> {
    let give_up = Instant::now() + args.timeout;
    output.progress("joining", None, "");
    let hosts = resolve(&args.bootstrap, give_up, interrupt).await?;
    let transport = bind_for(args.bind, &hosts).await?;
    Ok((hosts.iter().map(ToString::to_string).collect(), transport, give_up))
}

/// Waits until a node is in the network of `kad NAME`.
pub(crate) async fn joined<E: Display>(
    args: &OverlayJoin,
    name: &str,
    give_up: Instant,
    interrupt: &mut Interrupt,
    bootstrapped: impl Future<Output = Result<(), E>>,
) -> Result<(), Failure> {
    let joined = tokio::select! {
        joined = timeout_at(give_up, bootstrapped) => joined,
        () = interrupt.wait() => return Err(join::stopped()),
    };
    match joined {
        Ok(joined) => joined.map_err(|error| Failure::new(Exit::NotJoined, error.to_string())),
        Err(_) => {
            let (limit, hosts) = (span::seconds(args.timeout), args.bootstrap.join(", "));
            let message = format!("could not join: no answer within {limit} from {hosts}");
            let hint = format!("`kad {name} run` starts a node; Mainline's nodes do not speak this protocol");
            Err(Failure::new(Exit::NotJoined, message).hint(hint))
        }
    }
}

/// The addresses of the hosts.
pub(crate) async fn resolve(
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

pub(crate) fn no_address(hosts: &str) -> Failure {
    Failure::new(Exit::NotJoined, format!("no address found for {hosts}"))
}

/// What to say of a database that cannot be opened. Another file would do if this one is in use or out of reach; otherwise it
/// is what lies in it.
pub(crate) fn not_opened(store: &Path, error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::Io(_) | OpenError::InUse => Exit::Usage,
        _ => Exit::BadData,
    };
    Failure::new(exit, format!("cannot open {}: {error}", store.display()))
}

/// As long as there is time and patience.
pub(crate) async fn patiently<T>(
    args: &OverlayJoin,
    interrupt: &mut Interrupt,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let result = join::in_time(args.timeout, interrupt, work).await?;
    result.ok_or_else(|| join::no_end(args.timeout))
}

/// One socket, of the family that most of the hosts have: where the user said, on loopback if that is where they are, or
/// anywhere.
pub(crate) async fn bind_for(
    bind: Option<SocketAddr>,
    hosts: &[SocketAddr],
) -> Result<UdpTransport, Failure> {
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
