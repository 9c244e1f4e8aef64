//! The cloneable door to a driver.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::search::Search;
use super::shell::{Shell, Watcher};
use crate::address::Family;
use crate::contact::Contact;
use crate::lookup::{LookupId, LookupLimit};
use crate::node::{Answered, Event, Failure, LookupOptions};
use crate::protocol::Protocol;
use crate::publish::{MakeRequest, Stored};
use crate::service::Service;
use crate::snapshot::Snapshot;
use crate::time::Instant;

/// A command: run by the driver between two turns of its loop.
pub(super) type Command<P, S> = Box<dyn FnOnce(&mut Shell<P, S>, Instant) + Send>;

/// Between two attempts to resolve the routers' names.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Answers a [`Search`] holds for its reader.
const ANSWERS: usize = 256;

/// The driver has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has been shut down")]
pub struct Closed;

/// Why a single request gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// The remote node, or the network.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// There is no node for this address family.
    #[error("this node has no socket for that address family")]
    NoFamily,
    /// Too many lookups wait already.
    #[error(transparent)]
    Limit(#[from] LookupLimit),
    /// The driver has stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The way to a running driver. Clones are cheap; when the last one is dropped, the driver stops.
pub struct Handle<P: Protocol, S> {
    pub(super) commands: mpsc::Sender<Command<P, S>>,
}

impl<P: Protocol, S> Clone for Handle<P, S> {
    fn clone(&self) -> Self {
        Handle { commands: self.commands.clone() }
    }
}

impl<P: Protocol, S> std::fmt::Debug for Handle<P, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle {{ closed: {} }}", self.commands.is_closed())
    }
}

impl<P: Protocol, S: Service<P> + Send + 'static> Handle<P, S> {
    /// Runs `work` on the nodes and gives back what it gives: the door for whatever has no method of its own.
    ///
    /// # Errors
    /// [`Closed`] if the driver has stopped.
    pub async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shell<P, S>, Instant) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let (sender, receiver) = oneshot::channel();
        let command: Command<P, S> = Box::new(move |shell, now| {
            let _ = sender.send(work(shell, now));
        });
        self.commands.send(command).await.map_err(|_| Closed)?;
        receiver.await.map_err(|_| Closed)
    }

    /// Runs `work` on the nodes again and again, first after one `period`, for as long as the driver runs. Like every handle
    /// it keeps the driver running: abort its task when the others are dropped.
    pub async fn every(
        self,
        period: Duration,
        mut work: impl FnMut(&mut Shell<P, S>, Instant) + Send + 'static,
    ) {
        loop {
            tokio::time::sleep(period).await;
            let done = self.with(move |shell, now| {
                work(shell, now);
                work
            });
            match done.await {
                Ok(again) => work = again,
                Err(Closed) => return,
            }
        }
    }

    /// Starts joining through these routers, each through the node of its family.
    ///
    /// # Errors
    /// [`Closed`] if the driver has stopped.
    pub async fn bootstrap(&self, routers: Vec<SocketAddr>) -> Result<(), Closed> {
        self.with(move |shell, now| shell.stack.bootstrap(now, &routers)).await
    }

    /// Gives each node the contacts of its family; see [`Node::add_contacts`](crate::Node::add_contacts).
    ///
    /// # Errors
    /// [`Closed`] if the driver has stopped.
    pub async fn add_contacts(&self, contacts: Vec<Contact<P::Key>>) -> Result<(), Closed> {
        self.with(move |shell, now| {
            for (node, own) in shell.stack.share(&contacts, |contact| contact.addr) {
                if !own.is_empty() {
                    node.add_contacts(now, &own);
                }
            }
        })
        .await
    }

    /// Has the nodes have nothing more to do with this address; see [`Node::block`](crate::Node::block).
    ///
    /// # Errors
    /// [`Closed`] if the driver has stopped.
    pub async fn block(&self, ip: IpAddr) -> Result<(), Closed> {
        self.with(move |shell, now| {
            for node in shell.stack.nodes_mut() {
                node.block(now, ip);
            }
        })
        .await
    }

    /// Undoes [`block`](Self::block).
    ///
    /// # Errors
    /// [`Closed`] if the driver has stopped.
    pub async fn unblock(&self, ip: IpAddr) -> Result<(), Closed> {
        self.with(move |shell, _| {
            for node in shell.stack.nodes_mut() {
                node.unblock(ip);
            }
        })
        .await
    }

    /// Joins through remembered contacts at once, and through hosts, each `NAME:PORT`, as soon as any name resolves: they are
    /// tried again and again with growing pauses. Ends when the nodes have the addresses (A13).
    ///
    /// # Errors
    /// [`Closed`] if the driver stopped first.
    pub async fn join(self, contacts: Vec<Contact<P::Key>>, hosts: Vec<String>) -> Result<(), Closed> {
        self.add_contacts(contacts).await?;
        let mut pause = FIRST_PAUSE;
        while !hosts.is_empty() {
            let mut routers: Vec<SocketAddr> = Vec::new();
            for host in &hosts {
                if let Ok(addrs) = tokio::net::lookup_host(host.as_str()).await {
                    routers.extend(addrs);
                }
            }
            if !routers.is_empty() {
                return self.bootstrap(routers).await;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }

    /// Waits until a node has found its way into the network.
    ///
    /// # Errors
    /// [`Closed`] if the driver stopped first.
    pub async fn bootstrapped(&self) -> Result<(), Closed> {
        let (sender, receiver) = oneshot::channel();
        self.with(move |shell, _| {
            if shell.is_bootstrapped() {
                let _ = sender.send(());
            } else {
                shell.joiners.push(sender);
            }
        })
        .await?;
        receiver.await.map_err(|_| Closed)
    }

    /// Asks one node one thing.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn request(
        &self,
        to: SocketAddr,
        expected: Option<P::Key>,
        request: P::Request,
    ) -> Result<Answered<P>, RequestFailure> {
        let (sender, receiver) = oneshot::channel();
        let family = Family::of(&to);
        let sent = self.with(move |shell, now| {
            let id = shell.stack.node_mut(family)?.request(now, to, expected, request);
            shell.requests.insert((family, id), sender);
            Some(())
        });
        sent.await?.ok_or(RequestFailure::NoFamily)?;
        Ok(receiver.await.map_err(|_| Closed)??)
    }

    /// Starts a lookup in the network of one family.
    ///
    /// # Errors
    /// Why it could not start.
    pub async fn lookup(
        &self,
        family: Family,
        target: P::Key,
        request: P::Request,
        options: LookupOptions,
    ) -> Result<Search<P, S>, RequestFailure> {
        let (answers, answers_out) = mpsc::channel(ANSWERS);
        let (report, report_out) = oneshot::channel();
        let started = self.with(move |shell, now| {
            let node = shell.stack.node_mut(family).ok_or(RequestFailure::NoFamily)?;
            let id = node.lookup(now, target, request, options)?;
            shell.searches.insert((family, id), Watcher { answers, report });
            Ok::<_, RequestFailure>(id)
        });
        let id = started.await??;
        let (handle, report) = (self.clone(), Some(report_out));
        Ok(Search { handle, family, id, answers: answers_out, report, ended: None })
    }

    /// Stores at the closest nodes in the network of one family; see [`Node::publish`](crate::Node::publish). Dropping the
    /// future cancels that: nobody is asked any more.
    ///
    /// # Errors
    /// Why it could not start, or that the driver stopped first.
    pub async fn publish(
        &self,
        family: Family,
        target: P::Key,
        request: P::Request,
        make: MakeRequest<P>,
        options: LookupOptions,
    ) -> Result<Stored<P::Key>, RequestFailure> {
        self.publish_near(family, target, request, make, options, Vec::new()).await
    }

    /// [`publish`](Self::publish), with a lookup that begins with these contacts, too; see
    /// [`Node::suggest`](crate::Node::suggest).
    ///
    /// # Errors
    /// Why it could not start, or that the driver stopped first.
    pub async fn publish_near(
        &self,
        family: Family,
        target: P::Key,
        request: P::Request,
        make: MakeRequest<P>,
        options: LookupOptions,
        near: Vec<Contact<P::Key>>,
    ) -> Result<Stored<P::Key>, RequestFailure> {
        let (sender, receiver) = oneshot::channel();
        let started = self.with(move |shell, now| {
            if sender.is_closed() {
                // Nobody waits for it any more.
                return Err(RequestFailure::Closed(Closed));
            }
            let node = shell.stack.node_mut(family).ok_or(RequestFailure::NoFamily)?;
            let id = node.publish(now, target, request, make, options)?;
            node.suggest(now, id, &near);
            shell.stores.insert((family, id), sender);
            Ok(id)
        });
        let waiting = Waiting { handle: self, family, id: started.await?? };
        let stored = receiver.await.map_err(|_| Closed)?;
        core::mem::forget(waiting);
        Ok(stored)
    }

    /// Every event of every node from now on, `capacity` of them held; a reader that falls behind misses some. Of a node
    /// that has joined already, [`Event::Bootstrapped`] comes first.
    ///
    /// # Errors
    /// [`Closed`] if the driver has stopped.
    pub async fn events(&self, capacity: usize) -> Result<mpsc::Receiver<(Family, Event<P>)>, Closed> {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        self.with(move |shell, _| {
            // Between two turns no event waits, so none comes twice.
            for (family, _) in shell.stack.nodes().filter(|(_, node)| node.is_bootstrapped()) {
                let _ = sender.try_send((family, Event::Bootstrapped));
            }
            shell.listeners.push(sender);
        })
        .await?;
        Ok(receiver)
    }

    /// What each node would remember for its next run.
    ///
    /// # Errors
    /// [`Closed`] if the driver has stopped.
    pub async fn snapshots(&self) -> Result<Vec<(Family, Snapshot<P::Key>)>, Closed> {
        self.with(|shell, now| {
            shell.stack.nodes().map(|(family, node)| (family, node.snapshot(now))).collect()
        })
        .await
    }

    /// Stops the driver and waits until it has: what waits in the outbox is sent, whoever waits gets [`Closed`].
    pub async fn shutdown(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.with(move |shell, _| shell.stop = Some(sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }

    pub(super) fn cancel(&self, family: Family, id: LookupId) {
        // If there is no room, a lookup's next answer finds its reader gone and cancels it; a publish goes on to its end.
        let _ = self.commands.try_send(Box::new(move |shell, now| shell.cancel(now, family, id)));
    }
}

/// Somebody waits for a publish. Dropped before it has ended, it cancels the publish.
struct Waiting<'a, P: Protocol, S: Service<P> + Send + 'static> {
    handle: &'a Handle<P, S>,
    family: Family,
    id: LookupId,
}

impl<P: Protocol, S: Service<P> + Send + 'static> Drop for Waiting<'_, P, S> {
    fn drop(&mut self) {
        self.handle.cancel(self.family, self.id);
    }
}
