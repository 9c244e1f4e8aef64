//! `kad run`: a node in the foreground.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::{Dht, Mainline, NodeId};
use kademlia_core::runtime::Transport;
use kademlia_core::{Event, Family, Reach, Snapshot};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{debug, info, warn};

use crate::cli;
use crate::config::Settings;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::join;
use crate::kept::Kept;
use crate::output::Output;
use crate::state::{self, Loaded, State};

/// Where a node is reached by default (B8).
const DEFAULT_BIND: ([u8; 4], u16) = ([0, 0, 0, 0], 6881);
/// Events held for the log; more at once are not logged.
const EVENTS: usize = 64;
/// The state is saved at most this often.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

pub(crate) async fn run(args: &cli::Run, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    let settings = Settings::load(args.config.as_deref(), &args.limit)?;
    let binds = if args.bind.is_empty() { vec![DEFAULT_BIND.into()] } else { args.bind.clone() };
    let transport = join::bind(&binds, &settings.sockets()).await?;
    let bound = transport.local_addrs()?;
    let memory = Memory::load(args.state_file.as_deref(), &bound);
    let hosts = routers(args, &bound);

    let builder = join::in_network(settings.builder(), args.network.as_deref());
    let mut builder = builder.server(!args.read_only).strict_bep42(args.strict_bep42);
    for ip in &args.public_ip {
        builder = builder.public_ip(*ip);
    }
    let dht = builder.bootstrap(hosts).remember(memory.remembered.clone()).spawn(transport)?;
    let events = dht.handle().events(EVENTS).await?;
    let kept = Kept::load(args.keep_file.as_deref(), &dht);
    introduce(&dht, output).await?;
    let began = Instant::now();
    serve(&dht, events, &memory, kept, args.save_every, &mut interrupt).await?;
    dht.shutdown().await;
    info!("stopped");
    super::conclude_run(began, output)
}

/// Saves now and then and at the end, which is when the user wants it; any other is an error.
async fn serve(
    dht: &Dht,
    mut events: mpsc::Receiver<(Family, Event<Mainline>)>,
    memory: &Memory,
    mut kept: Kept,
    save_every: Duration,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    let pause = save_every.max(LEAST_PAUSE);
    let mut save = interval_at(Instant::now() + pause, pause);
    save.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = interrupt.wait() => break,
            event = events.recv() => match event {
                Some((family, event)) => log(family, &event),
                None => return Err(super::has_ended().into()),
            },
            _ = save.tick() => {
                memory.save(dht).await?;
                kept.save(dht).await?;
            }
        }
    }
    memory.save(dht).await?;
    kept.save(dht).await
}

/// The hosts to join through. One that is never going to be spoken to deserves a word.
fn routers(args: &cli::Run, bound: &[SocketAddr]) -> Vec<String> {
    if args.no_bootstrap {
        return Vec::new();
    }
    for host in &args.bootstrap {
        if let Ok(addr) = host.parse()
            && !join::is_in_reach(bound, addr)
        {
            warn!(
                "a node bound to {bound:?} does not speak to {host}; --bind an address of the same network"
            );
        }
    }
    if !args.bootstrap.is_empty() {
        return args.bootstrap.clone();
    }
    // The first node of a private network has nobody to join through, and the public routers are out of its reach.
    // Nor are they in any network but Mainline.
    let on_internet =
        bound.iter().any(|own| Reach::of_bound(*own) == Reach::Global) && args.network.is_none();
    if on_internet { Dht::ROUTERS.map(str::to_owned).to_vec() } else { Vec::new() }
}

/// `kad 0.1.0: node 32f5… on 127.0.0.1:6881`
async fn introduce(dht: &Dht, output: &Output) -> anyhow::Result<()> {
    let families = dht.state().await?.families;
    let nodes: Vec<_> = families.iter().map(|family| (family.id.to_string(), family.bound)).collect();
    Ok(super::introduce(&nodes, output)?)
}

fn log(family: Family, event: &Event<Mainline>) {
    match event {
        Event::Bootstrapped => info!(?family, "joined the network"),
        Event::External(addr) => info!(?family, "the network sees this node at {addr}"),
        Event::Renamed { from, to } => {
            info!(?family, "the id {} became {}, to fit the address", NodeId::from(*from), NodeId::from(*to));
        }
        _ => {}
    }
}

/// The state file, if there is one, and what it held at the start.
struct Memory {
    path: Option<Arc<Path>>,
    remembered: State,
}

impl Memory {
    fn load(path: Option<&Path>, bound: &[SocketAddr]) -> Self {
        // What is remembered of a network that this run is not in waits for a run that is.
        let admits = |addr| join::reach_in(bound, Family::of(&addr)).unwrap_or_default().admits(addr);
        let remembered = match path.map(|path| state::load(path, admits)) {
            None | Some(Loaded::Fresh) => State::new(),
            Some(Loaded::Restored(state)) => {
                let contacts: usize = state.iter().map(|(_, snapshot)| snapshot.contacts.len()).sum();
                info!("the state file remembers {contacts} nodes");
                state
            }
            Some(Loaded::Damaged { why, kept }) => {
                let kept = kept.map_or_else(String::new, |kept| format!("; it is now {}", kept.display()));
                warn!("starting without the state file: {why}{kept}");
                State::new()
            }
        };
        Memory { path: path.map(Arc::from), remembered }
    }

    /// Writes the good contacts. A disk that is full stops no node, so that is a warning.
    async fn save(&self, dht: &Dht) -> anyhow::Result<()> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let state = self.worth_keeping(dht.snapshots().await?);
        let contacts: usize = state.iter().map(|(_, snapshot)| snapshot.contacts.len()).sum();
        let file = path.clone();
        match spawn_blocking(move || state::save(&file, &state)).await? {
            Ok(()) => debug!("saved {contacts} nodes"),
            Err(error) => warn!("cannot save the state to {}: {error}", path.display()),
        }
        Ok(())
    }

    /// A run that found nobody, for want of a network, must not cost the way back: it keeps what was remembered.
    fn worth_keeping(&self, mut state: State) -> State {
        for (family, snapshot) in &mut state {
            if snapshot.contacts.is_empty()
                && let Some((_, Snapshot { contacts, .. })) =
                    self.remembered.iter().find(|(of, _)| of == family)
            {
                snapshot.contacts.clone_from(contacts);
            }
        }
        let unused = self.remembered.iter().filter(|(of, _)| state.iter().all(|(family, _)| family != of));
        let unused: Vec<_> = unused.cloned().collect();
        state.extend(unused);
        state
    }
}

#[cfg(test)]
mod tests {
    use kademlia_core::{Contact, Key};
    use transport_udp::UdpConfig;

    use super::*;

    fn snapshot(family: Family, local: u8, contacts: usize) -> (Family, Snapshot<Key<20>>) {
        let contact = Contact::new(Key::new([local; 20]), SocketAddr::from(([20, 0, 0, local], 1)));
        (family, Snapshot { local: Key::new([local; 20]), contacts: vec![contact; contacts] })
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_ends_with_its_node() {
        let transport = join::bind(&["127.0.0.1:0".parse().unwrap()], &UdpConfig::default()).await.unwrap();
        let dht = Dht::builder().spawn(transport).unwrap();
        let (_signal, mut interrupt) = Interrupt::by_hand();
        let events = dht.handle().events(EVENTS).await.unwrap();
        dht.shutdown().await;
        let (memory, day) = (Memory { path: None, remembered: State::new() }, Duration::from_secs(86_400));
        let serving = serve(&dht, events, &memory, Kept::load(None, &dht), day, &mut interrupt);
        let error = tokio::time::timeout(day / 2, serving).await.expect("it ends").unwrap_err();
        assert!(error.to_string().contains("the node has stopped"), "{error}");
    }

    #[test]
    fn fs_b6_a_run_without_network_forgets_nobody() {
        let remembered = vec![snapshot(Family::V4, 1, 5), snapshot(Family::V6, 2, 6)];
        let memory = Memory { path: None, remembered };
        let kept = memory.worth_keeping(vec![snapshot(Family::V4, 3, 0)]);
        assert_eq!(kept[0].1.local, Key::new([3; 20]), "the id is the present one");
        assert_eq!(kept.iter().map(|(_, snapshot)| snapshot.contacts.len()).collect::<Vec<_>>(), [5, 6]);
        let good = vec![snapshot(Family::V4, 3, 1), snapshot(Family::V6, 4, 1)];
        assert_eq!(memory.worth_keeping(good.clone()), good, "good ones replace them");
    }

    #[test]
    fn fs_b6_a_run_in_one_network_keeps_the_memory_of_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state");
        let of = |family, n: u8, ip: &str| {
            let contact = Contact::new(Key::new([n; 20]), SocketAddr::new(ip.parse().unwrap(), 6881));
            (family, Snapshot { local: Key::new([n; 20]), contacts: vec![contact] })
        };
        let (v4, v6) = (of(Family::V4, 1, "20.0.0.1"), of(Family::V6, 2, "2a00::1"));
        state::save(&file, &vec![v4, v6.clone()]).unwrap();
        for (run, bound) in [(3, "0.0.0.0:6881"), (4, "127.0.0.1:6881")] {
            let memory = Memory::load(Some(&file), &[bound.parse().unwrap()]);
            let found = of(Family::V4, run, "20.0.0.2");
            state::save(&file, &memory.worth_keeping(vec![found.clone()])).unwrap();
            assert_eq!(Memory::load(Some(&file), &[]).remembered, [found, v6.clone()], "{bound}");
        }
    }
}
