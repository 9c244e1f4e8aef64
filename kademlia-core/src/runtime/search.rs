//! A running lookup, seen from outside.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::{mpsc, oneshot};

use super::handle::{Closed, Handle};
use crate::address::Family;
use crate::contact::Contact;
use crate::lookup::{LookupId, LookupReport};
use crate::protocol::Protocol;
use crate::service::Service;

/// One node's answer to a lookup.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<P: Protocol> {
    /// The network it came from.
    pub family: Family,
    /// Who answered.
    pub from: Contact<P::Key>,
    /// The answer.
    pub response: P::Response,
}

/// A lookup that runs: a stream of its answers as they arrive, then its report. Dropping it cancels the lookup.
///
/// The stream is bounded: a reader that falls behind by more than its capacity misses answers, never the report.
#[derive(Debug)]
pub struct Search<P: Protocol, S: Service<P> + Send + 'static> {
    pub(super) handle: Handle<P, S>,
    pub(super) family: Family,
    pub(super) id: LookupId,
    pub(super) answers: mpsc::Receiver<Answer<P>>,
    /// To come.
    pub(super) report: Option<oneshot::Receiver<LookupReport<P::Key>>>,
    /// Come, and not fetched yet. Boxed: keys need not be `Unpin`.
    pub(super) ended: Option<Box<LookupReport<P::Key>>>,
}

impl<P: Protocol, S: Service<P> + Send + 'static> Search<P, S> {
    /// The next answer; `None` once the lookup has ended.
    pub async fn next(&mut self) -> Option<Answer<P>> {
        self.answers.recv().await
    }

    /// How far the lookup is: what it would report if it ended now, or its report if it has. `None` while it waits for its
    /// turn.
    ///
    /// # Errors
    /// [`Closed`] if the driver has stopped.
    pub async fn progress(&mut self) -> Result<Option<LookupReport<P::Key>>, Closed> {
        if self.ended.is_none() {
            let (family, id) = (self.family, self.id);
            let running = self.handle.with(move |shell, now| shell.stack.node(family)?.progress(now, id));
            if let Some(report) = running.await? {
                return Ok(Some(report));
            }
            if let Some(Ok(report)) = self.report.as_mut().map(oneshot::Receiver::try_recv) {
                self.ended = Some(Box::new(report));
                self.report = None;
            }
        }
        Ok(self.ended.as_deref().cloned())
    }

    /// Waits for the end; answers not read by then are dropped.
    ///
    /// # Errors
    /// [`Closed`] if the driver stopped first.
    pub async fn finish(mut self) -> Result<LookupReport<P::Key>, Closed> {
        while self.answers.recv().await.is_some() {}
        if let Some(report) = self.ended.take() {
            return Ok(*report);
        }
        let report = self.report.take().ok_or(Closed)?;
        report.await.map_err(|_| Closed)
    }
}

impl<P: Protocol, S: Service<P> + Send + 'static> Stream for Search<P, S> {
    type Item = Answer<P>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer<P>>> {
        self.answers.poll_recv(cx)
    }
}

impl<P: Protocol, S: Service<P> + Send + 'static> Drop for Search<P, S> {
    fn drop(&mut self) {
        if self.report.is_some() {
            self.handle.cancel(self.family, self.id);
        }
    }
}
