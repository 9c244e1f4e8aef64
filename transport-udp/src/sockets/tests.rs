//! T19, P50: every error at every call, by a socket that has the errors in its plan.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use kademlia_core::Rng;
use nix::errno::Errno;
use nix::libc;
use tokio::time::Instant;

use super::*;

/// Datagrams a call carries at most.
const BATCH: usize = 3;
/// Datagrams in a run.
const DATAGRAMS: usize = 20;
/// Calls that a run makes without errors: to receive and to send `BATCH` each, and to find nothing more.
const CALLS: usize = 2 * DATAGRAMS.div_ceil(BATCH);

/// What happens to a datagram whose sending fails.
fn is_lost(errno: i32) -> bool {
    !is_passing(&io::Error::from_raw_os_error(errno))
}

#[derive(Default)]
struct State {
    /// The error of each call to come, in order; no more errors when it is used up.
    plan: VecDeque<Option<i32>>,
    arriving: VecDeque<usize>,
    /// Addresses that the system says cannot be reached.
    unreachable: VecDeque<SocketAddr>,
    sent: Vec<usize>,
    calls: usize,
    /// Errors that should have cost a datagram.
    lost: usize,
}

struct Fake {
    local: SocketAddr,
    state: Mutex<State>,
}

impl Fake {
    fn new(local: &str, arriving: usize, plan: impl IntoIterator<Item = Option<i32>>) -> Self {
        let plan = plan.into_iter().collect();
        let state = State { plan, arriving: (0..arriving).collect(), ..State::default() };
        Fake { local: local.parse().unwrap(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn is_idle(&self) -> bool {
        let state = self.state();
        state.arriving.is_empty() && state.unreachable.is_empty()
    }
}

impl State {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.plan.pop_front().flatten() {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }
}

impl Socket for Fake {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    async fn readable(&self) -> io::Result<()> {
        if self.is_idle() { std::future::pending().await } else { Ok(()) }
    }

    fn try_recv(&self, mut deliver: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let batch = state.arriving.len().min(BATCH);
        for number in state.arriving.drain(..batch) {
            deliver(self.local, &number.to_be_bytes());
        }
        if batch < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    fn try_refused(&self, mut deliver: impl FnMut(SocketAddr)) {
        let mut state = self.state();
        let batch = state.unreachable.len().min(BATCH);
        state.unreachable.drain(..batch).for_each(&mut deliver);
    }

    fn try_send(&self, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize> {
        let mut state = self.state();
        state.call().inspect_err(|error| state.lost += usize::from(!is_passing(error)))?;
        let batch = datagrams.len().min(BATCH);
        for (_, datagram) in &datagrams[..batch] {
            state.sent.push(usize::from_be_bytes((*datagram).try_into().unwrap()));
        }
        Ok(batch)
    }
}

/// Receives all there is and sends it back, as a driver does: after an error that reaches it, it pauses.
/// Gives the datagrams received and the number of pauses.
async fn echo(sockets: &mut Sockets<Fake>) -> (Vec<usize>, usize) {
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    let (mut received, mut pauses) = (Vec::new(), 0);
    while !sockets.sockets[0].state().arriving.is_empty() {
        if sockets.recv(&mut inbox).await.is_err() {
            assert!(inbox.is_empty());
            pauses += 1;
            sleep(Duration::from_millis(100)).await;
        }
        for (from, datagram) in inbox.iter() {
            received.push(usize::from_be_bytes(datagram.try_into().unwrap()));
            outbox.push(from, datagram);
        }
        inbox.clear();
        sockets.send(&mut outbox).await;
        assert!(outbox.is_empty());
    }
    (received, pauses)
}

/// Runs a plan and checks what holds for each: all is received, errors cost what they should and no more, every
/// call has a reason, and the counters tell the same.
async fn check(plan: Vec<Option<i32>>) {
    let what = format!("{plan:?}");
    let mut sockets = Sockets::new(vec![Fake::new("127.0.0.1:1", DATAGRAMS, plan.iter().copied())]);
    let (received, pauses) = echo(&mut sockets).await;
    let counts = sockets.counters().read();
    let state = sockets.sockets[0].state();
    let errors =
        plan.len() - state.plan.len() - plan.iter().take(state.calls).filter(|e| e.is_none()).count();

    assert!(received.iter().copied().eq(0..DATAGRAMS), "{what}");
    assert!(state.sent.is_sorted_by(|a, b| a < b), "{what}");
    assert_eq!(counts.received, DATAGRAMS as u64, "{what}");
    assert_eq!(counts.sent, state.sent.len() as u64, "{what}");
    assert_eq!(counts.refused, state.lost as u64, "{what}");
    assert_eq!(counts.sent + counts.refused + counts.congested, DATAGRAMS as u64, "{what}");
    assert!(state.calls <= 2 * DATAGRAMS + errors, "{what}: {} calls", state.calls);
    assert!(pauses <= errors / MAX_ERRORS, "{what}: {pauses} pauses");
}

/// Every number that Linux uses for an error, and some that it does not.
fn errnos() -> impl Iterator<Item = i32> {
    1..=140
}

#[tokio::test(start_paused = true)]
async fn p50_every_errno_at_every_call_leaves_the_transport_alive() {
    for errno in errnos() {
        for call in 0..=CALLS {
            let mut plan = vec![None; call];
            plan.push(Some(errno));
            check(plan).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p50_every_errno_in_a_row_from_every_call_on_is_outlived() {
    for errno in errnos() {
        for call in 0..=CALLS {
            let mut plan = vec![None; call];
            plan.extend([Some(errno); 100]);
            check(plan).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t19_a_hundred_thousand_random_schedules_are_outlived() {
    let mut rng = Rng::from_number(19);
    let errnos: Vec<_> = errnos().collect();
    for _ in 0..100_000 {
        let probability = rng.unit();
        let plan =
            (0..40).map(|_| rng.chance(probability).then(|| errnos[rng.below(errnos.len())])).collect();
        check(plan).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t19_a_dead_socket_is_reported_and_not_spun_on() {
    let plan = [Some(Errno::ENETDOWN as i32); 1_600];
    let mut sockets = Sockets::new(vec![Fake::new("127.0.0.1:1", 1, plan)]);
    let (received, pauses) = echo(&mut sockets).await;
    assert_eq!((received, pauses), (vec![0], 1_600 / MAX_ERRORS));
    assert_eq!(sockets.counters().read().receive_errors, 1_600);
}

#[tokio::test(start_paused = true)]
async fn t19_errors_of_one_socket_do_not_hold_up_the_other() {
    let dead = Fake::new("127.0.0.1:1", 1, [Some(Errno::ENETDOWN as i32); 10]);
    let alive = Fake::new("[::1]:1", 5 * BATCH, []);
    let mut sockets = Sockets::new(vec![dead, alive]);
    let mut inbox = Inbox::default();
    for _ in 0..5 {
        sockets.recv(&mut inbox).await.unwrap();
        assert!(inbox.iter().len() == BATCH && inbox.iter().all(|(from, _)| from.is_ipv6()));
        inbox.clear();
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_socket_does_not_starve_the_other() {
    let (busy, quiet) = (Fake::new("127.0.0.1:1", 1_000, []), Fake::new("[::1]:1", 1, []));
    let mut sockets = Sockets::new(vec![busy, quiet]);
    let mut inbox = Inbox::default();
    sockets.recv(&mut inbox).await.unwrap();
    assert_eq!(inbox.iter().len(), BATCH + 1);
}

#[tokio::test(start_paused = true)]
async fn t19_full_send_buffers_are_waited_for_but_not_for_long() {
    for errno in [libc::EAGAIN, libc::ENOBUFS] {
        assert!(!is_lost(errno));
        let fake = Fake::new("127.0.0.1:1", 0, [Some(errno); 100]);
        let mut sockets = Sockets::new(vec![fake]);
        let mut outbox = Outbox::default();
        for number in 0..DATAGRAMS {
            outbox.push(sockets.sockets[0].local, &number.to_be_bytes());
        }
        let start = Instant::now();
        sockets.send(&mut outbox).await;
        let waited = start.elapsed().as_millis();
        assert!((91..=100).contains(&waited), "{waited} ms");
        assert!(outbox.is_empty());
        assert_eq!(sockets.counters().read().congested, DATAGRAMS as u64);
        assert_eq!(sockets.sockets[0].state().calls, MAX_PAUSES as usize + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn t19_a_refused_datagram_costs_only_itself() {
    let refusals = [None, Some(Errno::EPERM), Some(Errno::EMSGSIZE), None].map(|e| e.map(|e| e as i32));
    let mut sockets = Sockets::new(vec![Fake::new("127.0.0.1:1", 0, refusals)]);
    let mut outbox = Outbox::default();
    for number in 0..3 * BATCH {
        outbox.push(sockets.sockets[0].local, &number.to_be_bytes());
    }
    sockets.send(&mut outbox).await;
    assert_eq!(sockets.sockets[0].state().sent, [0, 1, 2, 5, 6, 7, 8]);
    assert_eq!(sockets.counters().read().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn t19_unreachable_addresses_are_news_and_no_failure() {
    const REFUSED: u16 = 40;
    let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
    // The system tells of each twice: in its queue, and as an error of the next call.
    let fake = Fake::new("127.0.0.1:1", 0, [Some(Errno::ECONNREFUSED as i32); REFUSED as usize]);
    fake.state().unreachable.extend((0..REFUSED).map(addr));
    let mut sockets = Sockets::new(vec![fake]);
    let (mut inbox, mut refused) = (Inbox::default(), Vec::new());
    while refused.len() < usize::from(REFUSED) {
        sockets.recv(&mut inbox).await.unwrap();
        assert!((1..=BATCH).contains(&inbox.refused().len()), "bounded");
        refused.extend_from_slice(inbox.refused());
        inbox.clear();
    }
    assert!(refused.into_iter().eq((0..REFUSED).map(addr)));
    assert_eq!(sockets.counters().read().unreachable, u64::from(REFUSED));
}
