//! The loop that carries a node: receive, command, deadline, stop.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant as Clock, sleep_until};

use super::handle::{Command, Handle};
use super::shell::Shell;
use super::transport::{Inbox, Outbox, Transport};
use crate::dual::DualStack;
use crate::protocol::Protocol;
use crate::service::Service;
use crate::time::Instant;

/// A century is never; the system's clock cannot count as far as a `Duration`.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Limits of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverConfig {
    /// Commands that wait for the driver, at least one; a handle waits for room.
    pub commands: usize,
    /// First pause after the transport failed to receive; doubles up to `longest_pause`.
    pub first_pause: Duration,
    /// Longest pause after the transport failed to receive.
    pub longest_pause: Duration,
}

impl Default for DriverConfig {
    fn default() -> Self {
        DriverConfig {
            commands: 256,
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Owns the nodes and a transport, and is the only one to touch either. Reads the clock; waits for nobody but the
/// transport; stops when told to or when its last [`Handle`] is gone.
#[derive(Debug)]
pub struct Driver<P: Protocol, S, T> {
    shell: Shell<P, S>,
    transport: T,
    commands: mpsc::Receiver<Command<P, S>>,
    config: DriverConfig,
    epoch: Clock,
    inbox: Inbox,
    outbox: Outbox,
    /// The pause after the last failed receive; zero after one that did not fail.
    pause: Duration,
    /// When to receive again.
    resume: Option<Clock>,
}

impl<P: Protocol, S: Service<P> + Send + 'static, T: Transport> Driver<P, S, T> {
    /// A driver, to be spawned with [`run`](Self::run), and its door. `make` makes the nodes, given the present instant.
    pub fn new(
        transport: T,
        config: DriverConfig,
        make: impl FnOnce(Instant) -> DualStack<P, S>,
    ) -> (Self, Handle<P, S>) {
        let (sender, commands) = mpsc::channel(config.commands.max(1));
        let driver = Driver {
            shell: Shell::new(make(Instant::ZERO)),
            transport,
            commands,
            config,
            epoch: Clock::now(),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            pause: Duration::ZERO,
            resume: None,
        };
        (driver, Handle { commands: sender })
    }

    /// Runs until told to stop or until the last handle is dropped.
    pub async fn run(mut self) {
        loop {
            self.turn_out().await;
            if let Some(stopped) = self.shell.stop.take() {
                // Before anybody is told: whoever waits may open the service's files anew.
                drop(self);
                let _ = stopped.send(());
                return;
            }
            if !self.turn_in().await {
                return;
            }
        }
    }

    /// Everything the nodes have to say goes out.
    async fn turn_out(&mut self) {
        self.shell.dispatch(self.now());
        collect(&mut self.shell.stack, &mut self.outbox);
        if !self.outbox.is_empty() {
            // What cannot be sent is lost like any datagram; the nodes' deadlines take care of it.
            let _ = self.transport.send(&mut self.outbox).await;
            self.outbox.clear();
        }
    }

    /// Waits for one thing and gives it to the nodes. False when nobody is left to work for.
    async fn turn_in(&mut self) -> bool {
        let due = self.shell.stack.poll_timeout().map(|due| self.clock(due));
        let resume = self.resume;
        self.inbox.clear();
        tokio::select! {
            // In order, so that a run on a paused clock repeats; commands are few and must not starve in a flood.
            biased;
            command = self.commands.recv() => match command {
                Some(command) => {
                    let now = self.now();
                    command(&mut self.shell, now);
                }
                None => return false,
            },
            received = self.transport.recv(&mut self.inbox), if resume.is_none() => match received {
                Ok(()) => self.take_in(),
                Err(_) => self.pause_receiving(),
            },
            () = until(due) => {}
            () = until(resume) => self.resume = None,
        }
        let now = self.now();
        if self.shell.stack.poll_timeout().is_some_and(|due| due <= now) {
            self.shell.stack.handle_timeout(now);
        }
        true
    }

    fn take_in(&mut self) {
        self.pause = Duration::ZERO;
        let now = self.now();
        for (from, datagram) in self.inbox.iter() {
            self.shell.stack.handle_datagram(now, from, datagram);
            // At once, so that a node keeps one message at a time and not a batch of them, a kilobyte each.
            collect(&mut self.shell.stack, &mut self.outbox);
        }
        for addr in self.inbox.refused() {
            self.shell.stack.handle_unreachable(now, *addr);
        }
    }

    fn pause_receiving(&mut self) {
        let DriverConfig { first_pause, longest_pause, .. } = self.config;
        self.pause = self.pause.saturating_mul(2).max(first_pause).min(longest_pause.min(NEVER));
        self.resume = Some(Clock::now() + self.pause);
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    fn clock(&self, at: Instant) -> Clock {
        self.epoch + at.since(Instant::ZERO).min(NEVER)
    }
}

/// What the nodes have to send goes into the outbox.
fn collect<P: Protocol, S: Service<P>>(stack: &mut DualStack<P, S>, outbox: &mut Outbox) {
    while outbox.push_with(|bytes| stack.poll_transmit(bytes)) {}
}

async fn until(at: Option<Clock>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
