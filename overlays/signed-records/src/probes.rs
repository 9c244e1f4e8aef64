//! Probes: whether others reach this node at an address (D10). On the other side: echoes, sent seldom and only to
//! whoever asks for them.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use kademlia_core::Instant;

use crate::config::RecordsConfig;
use crate::message::Nonce;
use crate::refusal::Refusal;

/// Told whether the echo came.
pub(crate) type Answer<E> = Box<dyn FnOnce(Result<bool, E>) + Send>;

/// Probes of ours that wait for their echoes.
pub(crate) struct Probes<E> {
    waiting: BTreeMap<Nonce, Waiting<E>>,
}

struct Waiting<E> {
    /// Who was asked: nobody else's echo counts.
    peer: IpAddr,
    deadline: Instant,
    done: Answer<E>,
}

impl<E> Probes<E> {
    pub(crate) const fn new() -> Self {
        Probes { waiting: BTreeMap::new() }
    }

    pub(crate) fn begin(&mut self, nonce: Nonce, peer: IpAddr, deadline: Instant, done: Answer<E>) {
        self.waiting.insert(nonce, Waiting { peer, deadline, done });
    }

    /// An echo came; gives back whether it was one of ours.
    pub(crate) fn echoed(&mut self, nonce: &Nonce, from: IpAddr) -> bool {
        if self.waiting.get(nonce).is_none_or(|probe| probe.peer != from) {
            return false;
        }
        self.end(nonce, Ok(true));
        true
    }

    /// There will be no echo.
    pub(crate) fn end(&mut self, nonce: &Nonce, result: Result<bool, E>) {
        if let Some(probe) = self.waiting.remove(nonce) {
            (probe.done)(result);
        }
    }

    /// An echo that has not come by its deadline will not come. That is an answer, too.
    pub(crate) fn expire(&mut self, now: Instant) {
        let late = |probe: &Waiting<E>| probe.deadline <= now;
        let late: Vec<_> =
            self.waiting.iter().filter(|(_, probe)| late(probe)).map(|(nonce, _)| *nonce).collect();
        for nonce in late {
            self.end(&nonce, Ok(false));
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.values().map(|probe| probe.deadline).min()
    }
}

impl<E> fmt::Debug for Probes<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probes {{ waiting: {} }}", self.waiting.len())
    }
}

/// The echoes of the last minute: a node that sends few, and to one address seldom, is no use to hurt somebody with.
#[derive(Debug)]
pub(crate) struct Echoes {
    pause: Duration,
    most: usize,
    sent: VecDeque<(Instant, IpAddr)>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Echoes {
    pub(crate) fn new(config: &RecordsConfig) -> Self {
        Echoes { pause: config.echo_pause, most: config.echoes, sent: VecDeque::new() }
    }

    /// Whether an echo may go to `to` because `asker` wants it; counts it if so. Any port, but no other host.
    pub(crate) fn admit(&mut self, now: Instant, asker: SocketAddr, to: SocketAddr) -> Result<(), Refusal> {
        if asker.ip() != to.ip() || to.port() == 0 {
            return Err(Refusal::NotYours);
        }
        let span = self.pause.max(MINUTE);
        while self.sent.front().is_some_and(|(at, _)| *at + span <= now) {
            self.sent.pop_front();
        }
        let again = self.sent.iter().any(|(at, ip)| *ip == to.ip() && *at + self.pause > now);
        if again || self.sent.len() >= self.most {
            return Err(Refusal::TooMany);
        }
        self.sent.push_back((now, to.ip()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    #[test]
    fn fs_d10_echoes_go_to_the_asker_only_and_seldom() {
        let mut echoes = Echoes::new(&RecordsConfig { echoes: 3, ..RecordsConfig::default() });
        let mut admit = |seconds, to| echoes.admit(Instant::from_secs(seconds), addr(1, 5), to);
        assert_eq!(admit(0, addr(2, 5)), Err(Refusal::NotYours));
        assert_eq!(admit(0, addr(1, 0)), Err(Refusal::NotYours));
        assert_eq!(admit(0, addr(1, 7)), Ok(()), "any port");
        assert_eq!(admit(9, addr(1, 5)), Err(Refusal::TooMany));
        assert_eq!(admit(10, addr(1, 5)), Ok(()));
        let mut other =
            |seconds, host| echoes.admit(Instant::from_secs(seconds), addr(host, 5), addr(host, 5));
        assert_eq!(other(11, 3), Ok(()));
        assert_eq!(other(12, 4), Err(Refusal::TooMany), "three a minute to all together");
        assert_eq!(other(60, 4), Ok(()));
        assert!(echoes.sent.len() <= 3);
    }
}
