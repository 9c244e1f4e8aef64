//! A service that acts of its own accord, and searches with a judge.

use super::*;
use crate::health::Health;
use crate::task::{Outcome, Task, TaskId, Verdict};

/// Does what it is told to, and remembers what it hears.
#[derive(Default)]
pub(super) struct Agent {
    todo: Vec<(TaskId, Task<Bare>)>,
    heard: Vec<(TaskId, Outcome<Bare>)>,
    pub(super) met: Vec<Contact<Key<1>>>,
    seen_as: Vec<(Key<1>, SocketAddr)>,
}

impl Service<Bare> for Agent {
    fn serve(&mut self, _: Ask, _: &ServeContext<'_, Bare>) -> Reply<Bare> {
        Reply::Response(Told::default())
    }
    fn poll_timeout(&self) -> Option<Instant> {
        (!self.todo.is_empty()).then_some(Instant::ZERO)
    }
    fn poll_task(&mut self, _: Instant, table: &Table<Key<1>>) -> Option<(TaskId, Task<Bare>)> {
        assert_eq!(table.local(), Key::new([0]));
        self.todo.pop()
    }
    fn handle_outcome(&mut self, _: Instant, task: TaskId, outcome: Outcome<Bare>, _: &Table<Key<1>>) {
        self.heard.push((task, outcome));
    }
    fn contact_added(&mut self, _: Instant, contact: &Contact<Key<1>>, table: &Table<Key<1>>) {
        assert!(table.contains(contact));
        self.met.push(*contact);
    }
    fn observed(&mut self, _: Instant, reporter: &Contact<Key<1>>, seen: SocketAddr) {
        self.seen_as.push((reporter.key, seen));
    }
}

pub(super) type Acting = Node<Bare, Agent>;

/// A node that knows these hosts.
pub(super) fn acting(config: Config, hosts: impl IntoIterator<Item = u8>) -> Acting {
    let mut node = Node::new(Agent::default(), Key::new([0]), config, [1; 32], Instant::ZERO);
    for host in hosts {
        node.request(Instant::ZERO, address(host), None, Ask::Ping);
        let (to, ping) = node.poll_message().unwrap();
        node.handle_message(Instant::ZERO, to, response(&ping, host, Vec::new()));
    }
    while node.poll_event().is_some() {}
    node
}

fn poke(node: &mut Acting, id: u64, task: Task<Bare>) {
    node.service_mut().todo.push((TaskId(id), task));
    assert_eq!(node.poll_timeout(), Some(Instant::ZERO), "who was poked wants to be called");
    node.handle_timeout(Instant::ZERO);
}

/// Answers whatever is asked, each host by its own key.
fn answer_all(node: &mut Acting) -> usize {
    let mut asked = 0;
    while let Some((to, message)) = node.poll_message() {
        let host = (1..=u8::MAX).find(|host| address(*host) == to).unwrap();
        node.handle_message(Instant::ZERO, to, response(&message, host, Vec::new()));
        asked += 1;
    }
    asked
}

#[test]
fn a_service_asks_stores_and_looks_up_and_its_host_hears_nothing_of_it() {
    let mut node = acting(Config::default(), 1..=4);
    assert_eq!(node.service().met, [1, 2, 3, 4].map(contact));
    let target = Key::new([2]);
    poke(&mut node, 7, Task::Request { to: address(1), expected: None, request: Ask::Ping });
    poke(
        &mut node,
        8,
        Task::Publish {
            target,
            request: Ask::Near(target),
            make: Box::new(|_, _| Some(Ask::Put)),
            options: LookupOptions::default(),
        },
    );
    let judge = None;
    let options = LookupOptions { answers: true, ..LookupOptions::default() };
    poke(&mut node, 9, Task::Lookup { target, request: Ask::Near(target), judge, options });
    assert_eq!(answer_all(&mut node), 1 + 2 * 4 + 4);
    assert_eq!(node.poll_event(), None);
    let heard = &node.service().heard;
    let of = |id| heard.iter().filter(move |(task, _)| *task == TaskId(id)).map(|(_, outcome)| outcome);
    assert!(matches!(of(7).next(), Some(Outcome::Requested(Ok(answered))) if answered.from == contact(1)));
    assert!(matches!(of(8).next(), Some(Outcome::Stored(stored)) if stored.accepted.len() == 4));
    assert_eq!(of(9).filter(|outcome| matches!(outcome, Outcome::Answer { .. })).count(), 4);
    assert!(matches!(of(9).next_back(), Some(Outcome::Found(report)) if report.complete));
    assert_eq!(node.tasks.memory(), 0, "nothing is kept of what has ended");
}

#[test]
fn every_task_ends_with_an_outcome_even_one_that_cannot_begin() {
    let mut config = Config::default();
    config.lookup.running = 1;
    config.lookup.waiting = 1;
    let mut node = acting(config, 1..=4);
    let target = Key::new([2]);
    let lookup = || Task::Lookup {
        target,
        request: Ask::Near(target),
        judge: None,
        options: LookupOptions::default(),
    };
    poke(
        &mut node,
        1,
        Task::Request { to: SocketAddr::from(([10, 0, 0, 1], 1)), expected: None, request: Ask::Ping },
    );
    poke(&mut node, 2, lookup());
    poke(&mut node, 3, lookup());
    poke(&mut node, 4, lookup());
    let heard = &node.service().heard;
    assert_eq!(heard[0], (TaskId(1), Outcome::Requested(Err(Failure::NotSent))));
    assert!(matches!(heard[1], (TaskId(4), Outcome::Limited(_))), "{heard:?}");
    // The one that runs and the one that waits end by their deadlines, answered or not.
    while node.service().heard.len() < 4 {
        let due = node.poll_timeout().expect("a deadline while work is pending");
        node.handle_timeout(due);
    }
    let ended = |at: usize| matches!(&node.service().heard[at].1, Outcome::Found(report) if report.closest.is_empty());
    assert!(ended(2) && ended(3));
}

#[test]
fn a_judge_says_what_is_reported_and_when_it_is_enough() {
    let mut node = acting(Config::default(), 1..=8);
    let target = Key::new([8]);
    let mut answers = 0;
    let judge = Box::new(move |_: &Contact<Key<1>>, _: &Told| {
        answers += 1;
        [Verdict::Pass, Verdict::Take, Verdict::Finish][answers - 1]
    });
    let options = LookupOptions { alpha: Some(3), effort: Some(crate::Effort::Plain), ..Default::default() };
    node.find(Instant::ZERO, target, Ask::Near(target), judge, options).unwrap();
    // Three in flight, and a fourth in the place of each of the first two that answered.
    assert_eq!(answer_all(&mut node), 5, "what is asked already is asked, and answered in vain");
    let events: Vec<_> = core::iter::from_fn(|| node.poll_event()).collect();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events[..2].iter().all(|event| matches!(event, Event::Answer { .. })));
    let Event::LookupDone { report, .. } = &events[2] else { panic!("{events:?}") };
    assert_eq!((report.answered, report.closest.len(), report.complete), (3, 3, false));
    assert_eq!(node.outstanding(), 0);
}

#[test]
fn fs_d8_fs_d9_a_service_hears_how_it_is_seen_and_a_node_knows_who_answers() {
    let mut node = acting(Config { health: 8, ..Config::default() }, 1..=2);
    assert_eq!((node.health(address(1)), node.health(address(9))), (Health::Good, Health::Unknown));
    node.request(Instant::ZERO, address(1), None, Ask::Ping);
    let (to, ping) = node.poll_message().unwrap();
    let seen = SocketAddr::from(([30, 0, 0, 1], 7));
    node.handle_message(
        Instant::ZERO,
        to,
        Message { observed: Some(seen), ..response(&ping, 1, Vec::new()) },
    );
    assert_eq!(node.service().seen_as, [(Key::new([1]), seen)]);

    for (host, expected) in [(2, Some(Key::new([2]))), (3, None)] {
        stays_silent(&mut node, host, expected);
        assert_eq!(node.health(address(host)), Health::Bad);
    }
}

/// The host is asked and does not answer, while another does: it is not our own link that is down.
fn stays_silent(node: &mut Acting, host: u8, expected: Option<Key<1>>) {
    let now = node.poll_timeout().unwrap();
    node.request(now, address(host), expected, Ask::Ping);
    assert_eq!(node.poll_message().map(|(to, _)| to), Some(address(host)));
    node.request(now, address(1), None, Ask::Ping);
    let (to, ping) = node.poll_message().unwrap();
    node.handle_message(now, to, response(&ping, 1, Vec::new()));
    while node.outstanding() > 0 {
        let due = node.poll_timeout().unwrap();
        node.handle_timeout(due);
        while node.poll_message().is_some() {}
    }
}
