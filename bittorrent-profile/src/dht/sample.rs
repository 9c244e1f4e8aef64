//! Asking one node for samples (BEP 51).

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Contact, Key};

use super::Dht;
use crate::id::NodeId;
use crate::krpc::{Families, Request, Samples};

/// What a node answers to a request for samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// Who answered.
    pub from: Contact<Key<20>>,
    /// Some of the info hashes that it holds, how many there are, and when to ask again; `None` if it does not know the
    /// method and answered as to `find_node`.
    pub samples: Option<Samples>,
    /// The nodes nearest to the target that it knows.
    pub nodes: Vec<Contact<Key<20>>>,
    /// The round trip; `None` if it cannot be told.
    pub round_trip: Option<Duration>,
}

impl Dht {
    /// Asks whoever is at `addr` for some of the info hashes that are stored there (BEP 51), and for the nodes nearest to
    /// `target`. The request is never repeated of its own accord: a node should not be asked again within
    /// [`Samples::interval`], and would give the same answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn sample(&self, addr: SocketAddr, target: NodeId) -> Result<Sampled, RequestFailure> {
        let request = Request::SampleInfohashes { target: target.into(), want: Families::NONE };
        let answered = self.inner.handle.request(addr, None, request).await?;
        Ok(Sampled {
            from: answered.from,
            samples: answered.response.samples.map(|samples| *samples),
            nodes: answered.response.nodes.contacts().to_vec(),
            round_trip: answered.round_trip,
        })
    }
}
