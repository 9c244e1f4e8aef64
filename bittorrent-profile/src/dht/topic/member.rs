//! Being in a topic: a task that carries its node, and one that finds others.

use std::sync::Arc;
use std::time::Duration;

use kademlia_core::{DualStack, Family, Instant, Key, Node, Rng};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant as Clock, sleep, sleep_until};

use super::demux::{Arrival, Lines};
use crate::dht::{Dht, Port};
use crate::item::MutableItem;
use crate::pubsub::{Topic, TopicEvent, TopicNode, TopicService, topic_config};

/// Pauses between two searches for others: as many as there are have to be found soon, and overlays must not fall apart.
const FIRST_SEARCH: Duration = Duration::from_secs(30);
const LAST_SEARCH: Duration = Duration::from_secs(30 * 60);
/// Others asked after one search to be let in.
const FOUND: usize = 32;
/// Whoever was found has this long to say which version is the latest, before one is published.
const GRACE: Duration = Duration::from_secs(4);
/// Commands that wait; a command waits for room.
const COMMANDS: usize = 64;

/// A command to a topic's node.
pub(super) type Command = Box<dyn FnOnce(&mut TopicNode, Instant) + Send>;

/// What is known of a topic.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) latest: Option<Arc<MutableItem>>,
    /// Others have been looked for, and asked.
    pub(super) settled: bool,
}

/// One topic's node. It leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) topic: Topic,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) state: watch::Receiver<State>,
    lines: Lines,
    line: mpsc::Sender<Arrival>,
    gathering: AbortHandle,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.gathering.abort();
        self.lines.close(&self.topic.target(), &self.line);
    }
}

impl Membership {
    pub(super) fn new(dht: Dht, lines: &Lines, topic: Topic, rng: Rng) -> Arc<Self> {
        let (line, arrivals) = lines.open(topic.target());
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (state, reader) = watch::channel(State::default());
        let task = Task { commands: receiver, arrivals, lines: lines.clone(), state: state.clone() };
        let (others, ended) = (commands.downgrade(), lines.clone());
        let gathering = tokio::spawn(async move {
            if let Some((node, epoch)) = node(&dht, topic, rng).await {
                // Ends by itself, when nobody is left to give commands.
                tokio::spawn(task.run(node, epoch));
                tokio::select! {
                    () = gather(dht, topic, others, state) => {}
                    // Who waits for the next version learns at once that there is none to come.
                    () = ended.closed() => {}
                }
            }
        });
        let gathering = gathering.abort_handle();
        Arc::new(Membership { topic, commands, state: reader, lines: lines.clone(), line, gathering })
    }
}

/// A node like the main one: same ids, same rules, same addresses blocked.
async fn node(dht: &Dht, topic: Topic, mut rng: Rng) -> Option<(TopicNode, Clock)> {
    let epoch = Clock::now();
    let seed = rng.fork();
    let make = move |main: Option<&Node<_, crate::MainlineService>>| {
        let main = main?;
        let service = TopicService::new(topic, main.service().config(), rng.fork());
        let config = topic_config(main.config());
        let mut node = Node::new(service, main.local(), config, rng.fork(), Instant::ZERO);
        main.blocked().for_each(|ip| node.block(Instant::ZERO, ip));
        Some(node)
    };
    let stack = dht.handle().with(move |shell, _| {
        let mut make = make;
        DualStack::new(make(shell.stack.node(Family::V4)), make(shell.stack.node(Family::V6)))
    });
    Some((TopicNode::new(topic, stack.await.ok()?, seed), epoch))
}

/// Carries a topic's node.
struct Task {
    commands: mpsc::Receiver<Command>,
    arrivals: mpsc::Receiver<Arrival>,
    lines: Lines,
    state: watch::Sender<State>,
}

impl Task {
    /// Until nobody can give commands any more, or the socket is gone.
    async fn run(mut self, mut node: TopicNode, epoch: Clock) {
        let now = || Instant::ZERO + epoch.elapsed();
        loop {
            self.turn_out(&mut node);
            let due = node.poll_timeout().map(|due| epoch + due.since(Instant::ZERO));
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => command(&mut node, now()),
                    None => return,
                },
                () = self.lines.closed() => return,
                Some(arrival) = self.arrivals.recv() => match arrival {
                    Arrival::Datagram(from, datagram) => node.handle_datagram(now(), from, &datagram),
                    Arrival::Refused(addr) => node.handle_unreachable(now(), addr),
                },
                () = sleep_until(due.unwrap_or(epoch)), if due.is_some() => {}
            }
            let now = now();
            if node.poll_timeout().is_some_and(|due| due <= now) {
                node.handle_timeout(now);
            }
        }
    }

    fn turn_out(&self, node: &mut TopicNode) {
        let mut datagram = Vec::new();
        while let Some(to) = node.poll_transmit(&mut datagram) {
            self.lines.send(to, std::mem::take(&mut datagram));
        }
        while let Some(event) = node.poll_event() {
            if let TopicEvent::Version(item) = event {
                self.state.send_modify(|state| state.latest = Some(item));
            }
        }
    }
}

/// Announces this node under the topic's target in the main DHT, and looks there for others, again and again (50.4).
async fn gather(dht: Dht, topic: Topic, commands: mpsc::WeakSender<Command>, state: watch::Sender<State>) {
    let info_hash = topic.target().into();
    let _announcement = dht.announce(info_hash, Port::Implied);
    let mut pause = FIRST_SEARCH;
    loop {
        let mut found = 0;
        let mut others = dht.get_peers(info_hash);
        while found < FOUND
            && let Some(other) = others.next().await
        {
            found += 1;
            if !give(&commands, move |node, now| node.join(now, &[other.peer])).await {
                return;
            }
        }
        drop(others);
        if !state.borrow().settled {
            sleep(if found == 0 { Duration::ZERO } else { GRACE }).await;
            state.send_modify(|state| state.settled = true);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_SEARCH);
        if !follow(&dht, &commands).await {
            return;
        }
    }
}

/// The main node's ids are the topic's.
async fn follow(dht: &Dht, commands: &mpsc::WeakSender<Command>) -> bool {
    let ids = dht.handle().with(|shell, _| {
        shell.stack.nodes().map(|(family, node)| (family, node.local())).collect::<Vec<(Family, Key<20>)>>()
    });
    let Ok(ids) = ids.await else { return false };
    give(commands, move |node, now| {
        for (family, id) in ids {
            node.rename(now, family, id);
        }
    })
    .await
}

/// False if nobody takes commands any more.
async fn give(
    commands: &mpsc::WeakSender<Command>,
    command: impl FnOnce(&mut TopicNode, Instant) + Send + 'static,
) -> bool {
    match commands.upgrade() {
        Some(commands) => commands.send(Box::new(command)).await.is_ok(),
        None => false,
    }
}
