//! Reading items.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use kademlia_core::runtime::{Answer, RequestFailure};
use kademlia_core::{Effort, Family, Key, LookupOptions, LookupReport};
use tokio::sync::{mpsc, watch};

use super::survey::{Sought, Survey};
use crate::dht::{Dht, Inner, MainlineHandle, either};
use crate::item::{Item, PublicKey, Salt};
use crate::krpc::{Families, Request};
use crate::mainline::Mainline;
use crate::strictness::Strictness;

impl Dht {
    /// Looks for the immutable item with this hash (BEP 44). What a node sends counts only if it has that hash.
    pub fn get(&self, target: Key<20>) -> ItemSearch {
        ItemSearch::start(&self.inner, Sought::Immutable(target))
    }

    /// Looks for the newest version of an owner's item (BEP 44): the one with the highest sequence number whose signature
    /// is the owner's. [`ItemSearch`] says what counts where two have the same.
    pub fn get_mutable(&self, key: PublicKey, salt: Salt) -> ItemSearch {
        ItemSearch::start(&self.inner, Sought::Mutable(key, salt))
    }
}

/// What a search for an item found, and what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemSummary {
    /// The version that counts.
    pub found: Option<Item>,
    /// Nodes that have it.
    pub holders: usize,
    /// Nodes that have an older version.
    pub outdated: usize,
    /// Whether the owner gave its sequence number to another value as well, as two writers at a time do.
    pub forked: bool,
    /// Answers that held something else than what was asked for, or a forged signature.
    pub invalid: usize,
    /// Nodes asked.
    pub asked: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// Messages sent, repetitions included.
    pub messages: usize,
    /// Longest chain of referrals to one of the closest nodes.
    pub hops: usize,
    /// From the start of the lookup to its end, the longer one where there were two.
    pub took: Duration,
    /// Why no network could be searched, if none could: then that nothing was found means nothing.
    pub failure: Option<RequestFailure>,
}

impl ItemSummary {
    fn of(survey: &Survey, took: Took) -> Self {
        ItemSummary {
            found: survey.newest().cloned(),
            holders: survey.holders(),
            outdated: survey.outdated(),
            forked: survey.is_forked(),
            invalid: survey.invalid(),
            answered: survey.answered(),
            asked: took.asked,
            messages: took.messages,
            hops: took.hops,
            took: took.took,
            failure: None,
        }
    }
}

/// The versions of an item as they are found, each better than the one before; after the last one,
/// [`finish`](Self::finish) tells how many nodes have it and what the search took. Dropping it cancels the search.
///
/// The highest sequence number counts. Where the owner gave one number to several values, the one counts that more of
/// the eight nearest nodes have, then the one that more nodes have, then the greater in the order of bytes: the same
/// answers lead to the same version in whatever order they come, and while they come the lead may change.
///
/// At most 256 hashes or signatures are verified, each different answer once.
pub struct ItemSearch {
    /// Without a bound: a lookup asks a bounded number of nodes, and each leads to one version at most.
    versions: mpsc::UnboundedReceiver<Item>,
    summary: watch::Receiver<ItemSummary>,
}

impl ItemSearch {
    fn start(inner: &Inner, sought: Sought) -> Self {
        let reader = Reader::of(inner);
        let (found, versions) = mpsc::unbounded_channel();
        let (figures, summary) = watch::channel(ItemSummary::default());
        tokio::spawn(async move {
            let left = found.clone();
            let tell = |survey: &Survey, took, is_news| {
                figures.send_replace(ItemSummary::of(survey, took));
                if let Some(item) = survey.newest().filter(|_| is_news) {
                    let _ = found.send(item.clone());
                }
            };
            tokio::select! {
                read = reader.read(Survey::new(sought), None, tell) => if let Err(failure) = read {
                    figures.send_modify(|summary| summary.failure = Some(failure));
                },
                () = left.closed() => {}
            }
        });
        ItemSearch { versions, summary }
    }

    /// The next better version; `None` when the search has ended.
    pub async fn next(&mut self) -> Option<Item> {
        self.versions.recv().await
    }

    /// Searches to the end.
    pub async fn finish(mut self) -> ItemSummary {
        while self.next().await.is_some() {}
        self.summary()
    }

    /// What the search found and took so far; complete once [`next`](Self::next) has given `None`.
    pub fn summary(&self) -> ItemSummary {
        self.summary.borrow().clone()
    }
}

impl Stream for ItemSearch {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.versions.poll_recv(cx)
    }
}

impl fmt::Debug for ItemSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemSearch {{ so_far: {:?} }}", self.summary())
    }
}

/// What lookups took, in both networks together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    pub(super) asked: usize,
    pub(super) messages: usize,
    hops: usize,
    took: Duration,
}

impl Took {
    fn of(report: &LookupReport<Key<20>>) -> Self {
        Took { asked: report.asked, messages: report.messages, hops: report.hops, took: report.took }
    }

    fn and(self, other: Took) -> Self {
        Took {
            asked: self.asked + other.asked,
            messages: self.messages + other.messages,
            hops: self.hops.max(other.hops),
            took: self.took.max(other.took),
        }
    }
}

/// Asks the networks that a node is in for an item.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    handle: MainlineHandle,
    families: Vec<Family>,
    strictness: Strictness,
}

/// A reading under way, shared by the lookups in both networks.
struct Reading<T> {
    survey: Survey,
    took: [Took; 2],
    tell: T,
}

impl<T: FnMut(&Survey, Took, bool)> Reading<T> {
    fn hear(&mut self, answer: &Answer<Mainline>, eligible: bool) {
        let is_news = self.survey.hear(answer.from, eligible, answer.response.item.as_deref());
        self.tell(is_news);
    }

    fn progress(&mut self, family: Family, report: &LookupReport<Key<20>>) {
        let [v4, v6] = &mut self.took;
        *(if family == Family::V4 { v4 } else { v6 }) = Took::of(report);
    }

    fn took(&self) -> Took {
        let [v4, v6] = self.took;
        v4.and(v6)
    }

    fn tell(&mut self, is_news: bool) {
        let took = self.took();
        (self.tell)(&self.survey, took, is_news);
    }
}

impl Reader {
    pub(super) fn of(inner: &Inner) -> Self {
        let families = inner.families.iter().map(|(family, _, _)| *family).collect();
        Reader { handle: inner.handle.clone(), families, strictness: inner.strictness }
    }

    /// Asks all around the item in both networks at once. After each answer `tell` sees what there is, what it took so
    /// far, and whether another version counts now.
    ///
    /// # Errors
    /// Why no network could be searched.
    pub(super) async fn read(
        &self,
        survey: Survey,
        effort: Option<Effort>,
        tell: impl FnMut(&Survey, Took, bool),
    ) -> Result<(Survey, Took), RequestFailure> {
        let reading = Mutex::new(Reading { survey, took: [Took::default(); 2], tell });
        let one = async |family| {
            if !self.families.contains(&family) {
                return Err(RequestFailure::NoFamily);
            }
            self.read_family(family, effort, &reading).await
        };
        either(tokio::join!(one(Family::V4), one(Family::V6)))?.for_each(drop);
        let reading = reading.into_inner().unwrap_or_else(PoisonError::into_inner);
        let took = reading.took();
        Ok((reading.survey, took))
    }

    async fn read_family<T: FnMut(&Survey, Took, bool)>(
        &self,
        family: Family,
        effort: Option<Effort>,
        reading: &Mutex<Reading<T>>,
    ) -> Result<(), RequestFailure> {
        let with = || reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (target, seq) = {
            let survey = &with().survey;
            (survey.sought().target(), survey.known_seq())
        };
        let request = Request::Get { seq, target, want: Families::NONE };
        let options = LookupOptions { answers: true, effort, ..LookupOptions::default() };
        let mut search = self.handle.lookup(family, target, request, options).await?;
        while let Some(answer) = search.next().await {
            if let Some(report) = search.progress().await? {
                with().progress(family, &report);
            }
            let is_eligible = self.strictness.token(&answer.from, &answer.response).is_some();
            with().hear(&answer, is_eligible);
        }
        let report = search.finish().await?;
        let mut reading = with();
        reading.progress(family, &report);
        reading.tell(false);
        Ok(())
    }
}
