//! Sockets, and the way into the network for commands that are over soon.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use bittorrent_profile::Dht;
use bittorrent_profile::dht::Builder;
use kademlia_core::runtime::Transport;
use kademlia_core::{Family, Reach};
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until, timeout, timeout_at};
use transport_udp::{UdpConfig, UdpTransport};

use crate::cli;
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::span;

/// Longest wait for names to resolve, once one has.
const RESOLVE: Duration = Duration::from_secs(3);
/// A search waits no longer for the second network, once the first is joined.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where a route to the IPv6 Internet must lead: a global address (a root name server's), to which nothing is sent.
const SOMEWHERE_V6: SocketAddrV6 =
    SocketAddrV6::new(Ipv6Addr::new(0x2001, 0x500, 0x2, 0, 0, 0, 0, 0xc), 53, 0, 0);

/// An ephemeral, read-only node that is in the network. It joins through `nodes` too, of what it is to look for.
pub(crate) async fn client(
    args: &cli::Join,
    nodes: &[String],
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Dht> {
    let give_up = Instant::now() + args.timeout;
    let settings = Settings::load(args.socket.config.as_deref(), &[])?;
    output.progress("joining", None, "resolving names");
    let network = args.socket.network.as_deref();
    if network.is_some() && args.bootstrap.is_empty() && nodes.is_empty() {
        let failure = Failure::usage("the well-known routers are in no network but Mainline");
        return Err(failure.hint("name a node of the network: --bootstrap HOST:PORT").into());
    }
    let mut hosts = match &args.bootstrap {
        hosts if hosts.is_empty() && network.is_none() => Dht::ROUTERS.map(str::to_owned).to_vec(),
        hosts => hosts.clone(),
    };
    hosts.extend_from_slice(nodes);
    let resolved = tokio::select! {
        resolved = resolve(&hosts, give_up) => resolved,
        () = interrupt.wait() => return Err(stopped().into()),
    };
    if resolved.is_empty() {
        let failure = Failure::new(Exit::NotJoined, format!("no address found for {}", hosts.join(", ")));
        return Err(failure.hint("is there a network? `kad demo` works without one").into());
    }
    let transport = bind_for(&args.socket, &resolved, &settings).await?;
    let routers = resolved.iter().map(ToString::to_string);
    // A command that asks again means it, and minds the pause itself.
    let builder = in_network(settings.builder(), network).requery(Duration::ZERO).bootstrap(routers);
    let impatient = builder.configure(|config| config.lookup.patience = config.lookup.patience.min(PATIENCE));
    let dht = impatient.spawn(transport)?;
    wait_until_joined(&dht, &hosts, args.timeout, give_up, output, interrupt).await?;
    Ok(dht)
}

/// A node of the network of that name, if there is one.
pub(crate) fn in_network(builder: Builder, name: Option<&str>) -> Builder {
    match name {
        Some(name) => builder.network(name),
        None => builder,
    }
}

async fn wait_until_joined(
    dht: &Dht,
    hosts: &[String],
    limit: Duration,
    give_up: Instant,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    let mut tick = interval(Duration::from_millis(100));
    let joined = dht.bootstrapped();
    tokio::pin!(joined);
    loop {
        tokio::select! {
            result = &mut joined => return Ok(result?),
            () = sleep_until(give_up) => {
                let limit = span::seconds(limit);
                let message = format!("could not join: no answer within {limit} from {}", hosts.join(", "));
                let hint = "is UDP blocked? other hosts can be named with --bootstrap HOST:PORT";
                return Err(Failure::new(Exit::NotJoined, message).hint(hint).into());
            }
            () = interrupt.wait() => return Err(stopped().into()),
            _ = tick.tick() => {
                let nodes: usize = dht.state().await?.families.iter().map(|family| family.table.alive()).sum();
                output.progress("joining", None, format!("{nodes} nodes"));
            }
        }
    }
}

/// The user lost patience before there was anything to show.
pub(crate) fn stopped() -> Failure {
    Failure::new(Exit::Nothing, "stopped before there was a result")
}

/// What comes of it, if that takes no longer than `limit`.
///
/// # Errors
/// If the user loses patience first.
pub(crate) async fn in_time<T>(
    limit: Duration,
    interrupt: &mut Interrupt,
    work: impl Future<Output = T>,
) -> Result<Option<T>, Failure> {
    tokio::select! {
        biased;
        () = interrupt.wait() => Err(stopped()),
        result = timeout(limit, work) => Ok(result.ok()),
    }
}

/// It took longer than `--timeout`.
pub(crate) fn no_end(limit: Duration) -> Failure {
    Failure::new(Exit::Nothing, format!("no end within {}", span::seconds(limit)))
}

/// The addresses of all hosts, sorted. Waits for slow names only as long as there is none, or `RESOLVE`.
pub(crate) async fn resolve(hosts: &[String], give_up: Instant) -> Vec<SocketAddr> {
    let mut lookups = JoinSet::new();
    for host in hosts {
        let host = host.clone();
        lookups.spawn(async move { lookup_host(host).await.map(|addrs| addrs.collect::<Vec<_>>()) });
    }
    let mut found = BTreeSet::new();
    let early = Instant::now() + RESOLVE;
    loop {
        let until = if found.is_empty() { give_up } else { early.min(give_up) };
        match timeout_at(until, lookups.join_next()).await {
            Ok(Some(Ok(Ok(addrs)))) => found.extend(addrs),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return found.into_iter().collect(),
        }
    }
}

/// Binds what the user said, or what fits the hosts to be spoken to; sees to it that at least one of them can be.
pub(crate) async fn bind_for(
    args: &cli::Socket,
    hosts: &[SocketAddr],
    settings: &Settings,
) -> Result<UdpTransport, Failure> {
    let sockets = settings.sockets();
    let transport = if args.bind.is_empty() {
        bind_default(hosts, &sockets).await
    } else {
        bind(&args.bind, &sockets).await
    }?;
    let bound = transport.local_addrs().map_err(|error| Failure::new(Exit::Bind, error))?;
    if hosts.iter().any(|host| is_in_reach(&bound, *host)) {
        return Ok(transport);
    }
    Err(out_of_reach(&bound, hosts))
}

/// Whether a node with sockets bound to these addresses speaks to `host`.
pub(crate) fn is_in_reach(bound: &[SocketAddr], host: SocketAddr) -> bool {
    reach_in(bound, Family::of(&host)).is_some_and(|reach| reach.admits(host))
}

/// The address of a host to speak to, for a node with sockets bound to these addresses: one in reach that there is a route
/// to, if there is one.
pub(crate) fn choose(bound: &[SocketAddr], addrs: &[SocketAddr]) -> Option<SocketAddr> {
    let in_reach = |addr: &&SocketAddr| is_in_reach(bound, **addr);
    let routed = addrs.iter().filter(in_reach).find(|addr| has_route(**addr));
    routed.or_else(|| addrs.iter().find(in_reach)).or(addrs.first()).copied()
}

/// How far a node with sockets bound to these addresses speaks to one family; `None` if it has no socket for it.
pub(crate) fn reach_in(bound: &[SocketAddr], family: Family) -> Option<Reach> {
    bound.iter().find(|own| Family::of(own) == family).map(|own| Reach::of_bound(*own))
}

fn out_of_reach(bound: &[SocketAddr], hosts: &[SocketAddr]) -> Failure {
    let bound: Vec<_> = bound.iter().map(ToString::to_string).collect();
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    let (bound, hosts) = (bound.join(" and "), hosts.join(", "));
    Failure::usage(format!("a node bound to {bound} does not speak to {hosts}"))
        .hint("for a private network, name this host's own address in it: --bind IP:0")
}

/// Loopback if that is where all hosts are; otherwise everywhere.
async fn bind_default(hosts: &[SocketAddr], sockets: &UdpConfig) -> Result<UdpTransport, Failure> {
    let any = [SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))];
    let loopback = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
    if hosts.iter().all(|host| host.ip().is_loopback()) {
        let used = |own: &SocketAddr| hosts.iter().any(|host| host.is_ipv6() == own.is_ipv6());
        let own: Vec<_> = loopback.into_iter().filter(used).collect();
        // A name may have an address of a family that this host does without.
        return match bind(&own, sockets).await {
            Err(_) if own.len() > 1 => bind(&own[..1], sockets).await,
            bound => bound,
        };
    }
    if has_route(SOMEWHERE_V6.into())
        && let Ok(transport) = bind(&any, sockets).await
    {
        return Ok(transport);
    }
    bind(&any[..1], sockets).await
}

/// A socket can be had even where no packet gets anywhere, so the routing table is asked instead.
pub(crate) fn has_route(to: SocketAddr) -> bool {
    let any: IpAddr = if to.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(to)).is_ok()
}

/// Binds one address, or one of each family.
pub(crate) async fn bind(addrs: &[SocketAddr], sockets: &UdpConfig) -> Result<UdpTransport, Failure> {
    let result = match *addrs {
        [one] => sockets.bind(one).await,
        [SocketAddr::V4(v4), SocketAddr::V6(v6)] | [SocketAddr::V6(v6), SocketAddr::V4(v4)] => {
            sockets.bind_dual(v4, v6).await
        }
        _ => return Err(Failure::usage("at most one address of each family can be bound")),
    };
    result.map_err(|error| cannot_bind(addrs, &error))
}

fn cannot_bind(addrs: &[SocketAddr], error: &io::Error) -> Failure {
    let addrs: Vec<_> = addrs.iter().map(ToString::to_string).collect();
    let failure = Failure::new(Exit::Bind, format!("cannot bind {}: {error}", addrs.join(" and ")));
    match error.kind() {
        io::ErrorKind::AddrInUse => failure.hint("another program has it; choose another port, or 0 for any"),
        io::ErrorKind::AddrNotAvailable => failure.hint("name an address of this host, or 0.0.0.0 for all"),
        io::ErrorKind::PermissionDenied => failure.hint("ports below 1024 need privileges"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn addrs(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn hosts_on_loopback_are_met_there() {
        let sockets = UdpConfig::default();
        let bound = |transport: UdpTransport| transport.local_addrs().unwrap();
        let own = bound(bind_default(&addrs(&["127.0.0.1:1", "127.0.0.2:2"]), &sockets).await.unwrap());
        assert!(own.len() == 1 && own[0].ip().is_loopback());
        let own = bound(bind_default(&addrs(&["127.0.0.1:1", "8.8.8.8:2"]), &sockets).await.unwrap());
        assert!(own[0].ip().is_unspecified());
    }

    #[tokio::test]
    async fn a_host_that_will_never_be_spoken_to_is_an_error_and_not_a_timeout() {
        let args = cli::Socket { bind: addrs(&["0.0.0.0:0"]), network: None, config: None };
        for host in ["127.0.0.1:6881", "192.168.1.2:6881", "[2003::1]:6881"] {
            let failure = bind_for(&args, &addrs(&[host]), &Settings::default()).await.unwrap_err();
            assert!(failure.to_string().contains(host), "{failure}");
        }
        assert!(
            bind_for(&args, &addrs(&["127.0.0.1:6881", "8.8.8.8:1"]), &Settings::default()).await.is_ok()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_in_its_time_or_with_the_user_s_patience() {
        let limit = Duration::from_secs(30);
        let start = Instant::now();
        let (signal, mut interrupt) = Interrupt::by_hand();
        assert_eq!(in_time(limit, &mut interrupt, ready(7)).await.unwrap(), Some(7));
        assert_eq!(in_time(limit, &mut interrupt, pending::<()>()).await.unwrap(), None);
        assert_eq!(start.elapsed(), limit);
        signal.send_replace(true);
        assert!(in_time(limit, &mut interrupt, pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), limit);
    }

    #[test]
    fn of_a_host_s_addresses_one_in_reach_is_chosen() {
        let host = addrs(&["127.0.0.1:6881", "[::1]:6881"]);
        let chosen = |bound: &[&str]| choose(&addrs(bound), &host);
        assert_eq!(chosen(&["127.0.0.1:1"]), Some(host[0]));
        assert_eq!(chosen(&["[::1]:1"]), Some(host[1]));
        assert_eq!(chosen(&["0.0.0.0:1"]), Some(host[0]), "which then says why it cannot");
        assert_eq!(choose(&host, &[]), None);
    }

    #[tokio::test]
    async fn two_addresses_of_one_family_are_one_too_many() {
        let failure = bind(&addrs(&["127.0.0.1:0", "127.0.0.1:0"]), &UdpConfig::default()).await.unwrap_err();
        assert!(failure.to_string().contains("each family"));
    }
}
