//! `kad records publish` and `withdraw`.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use signed_records::{
    Draft, FindError, MAX_PAYLOAD, Records, Refusal, Replicas, SecretKey, SignedRecord, Subject,
};

use super::client::client;
use super::load_key;
use crate::cli::{RecordKind, RecordsPublish, RecordsWithdraw};
use crate::commands::end_of;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::overlay::patiently;
use crate::source::Source;
use crate::span;

/// Who took a record, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Tally {
    accepted: usize,
    refused: usize,
    no_answer: usize,
    /// Of those that refused: they have a newer one.
    stale: usize,
}

impl Tally {
    fn of(replicas: &Replicas) -> Self {
        let stale = replicas.refused.iter().filter(|(_, refusal)| *refusal == Some(Refusal::Stale)).count();
        Tally {
            accepted: replicas.accepted.len(),
            refused: replicas.refused.len(),
            no_answer: replicas.no_answer.len(),
            stale,
        }
    }

    fn exit(self, min: usize) -> Exit {
        match self {
            Tally { stale, accepted, .. } if stale > accepted => Exit::Conflict,
            Tally { accepted, .. } if accepted >= min => Exit::Success,
            Tally { accepted: 0, refused: 0, no_answer: 0, .. } => Exit::Nothing,
            _ => Exit::Partial,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { accepted, refused, no_answer, stale } = self;
        write!(f, "stored on {accepted} of {} nodes", accepted + refused + no_answer)?;
        for (count, what) in
            [(*stale, "have a newer one"), (refused - stale, "refused"), (*no_answer, "no answer")]
        {
            if count > 0 {
                write!(f, " · {count} {what}")?;
            }
        }
        Ok(())
    }
}

pub(super) async fn run(
    args: &RecordsPublish,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let draft = draft(args, &mut interrupt).await?;
    let key = Arc::new(load_key(&args.key)?);
    let records = client(&args.join, output, &mut interrupt).await?;
    output.progress("storing", None, "");
    let stored = patiently(&args.join, &mut interrupt, store(&records, &key, draft)).await?;
    let tally = Tally::of(&stored?);
    output.clear();
    #[derive(Serialize)]
    struct Published {
        publisher: String,
        kind: String,
    }
    let publisher = key.public().to_string();
    let kind = signed_records::Kind::from(args.kind).to_string();
    output.data(
        "published",
        &Published { publisher: publisher.clone(), kind },
        format!("publisher {publisher}"),
    )?;
    let exit = tally.exit(args.min);
    if args.keep && exit != Exit::Conflict {
        output.note(format!("{tally} · renewing it, Ctrl-C ends that"));
        let ended = end_of(records.handle().events(1).await?);
        tokio::select! {
            () = interrupt.wait() => {}
            failure = ended => return Err(failure.into()),
        }
    }
    output.summary(&tally, tally)?;
    if !args.keep && exit == Exit::Success {
        output.note(format!("nodes forget it after {}; --keep keeps it alive", span::seconds(args.ttl)));
    }
    records.close().await;
    Ok(exit)
}

pub(super) async fn withdraw(
    args: &RecordsWithdraw,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let key = Arc::new(load_key(&args.key)?);
    let records = client(&args.join, output, &mut interrupt).await?;
    output.progress("looking", None, "");
    let mut found = Vec::new();
    let topics = args.topic.iter().map(|topic| topic.key());
    for target in topics.chain([key.public().key()]) {
        match patiently(&args.join, &mut interrupt, records.aggregate(target, None)).await? {
            Ok(all) => {
                found.extend(all.records.into_iter().filter(|record| record.publisher == key.public()));
            }
            Err(FindError::NoRecords | FindError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut withdrawn = Tally::default();
    for record in &found {
        output.progress("storing", None, &record.subject);
        let tally = patiently(&args.join, &mut interrupt, store(&records, &key, gone(record))).await?;
        let Tally { accepted, refused, no_answer, stale } = Tally::of(&tally?);
        withdrawn.accepted += accepted;
        withdrawn.refused += refused;
        withdrawn.no_answer += no_answer;
        withdrawn.stale += stale;
        #[derive(Serialize)]
        struct Withdrawn {
            subject: String,
        }
        let subject = record.subject.to_string();
        output.data("withdrawn", &Withdrawn { subject: subject.clone() }, subject)?;
    }
    output.clear();
    let told = if found.is_empty() { "nothing to withdraw".to_owned() } else { withdrawn.to_string() };
    output.summary(&withdrawn, told)?;
    records.close().await;
    Ok(if found.is_empty() { Exit::Nothing } else { withdrawn.exit(1) })
}

/// Takes back what a record says, for as long as somebody may have a copy of it.
fn gone(record: &SignedRecord) -> Draft {
    Draft::withdrawal(record.subject.clone()).lasting(Duration::from_secs(u64::from(record.ttl).max(1)))
}

async fn store(records: &Records, key: &Arc<SecretKey>, draft: Draft) -> anyhow::Result<Replicas> {
    let publishing = records.publish(Arc::clone(key), draft).await?;
    Ok(publishing.replicated().await?)
}

/// What is to be published.
async fn draft(args: &RecordsPublish, interrupt: &mut Interrupt) -> Result<Draft, Failure> {
    let payload = Source::of(None, Some(&args.text)).read("the text", MAX_PAYLOAD, interrupt).await?;
    let draft = match (args.kind, &args.topic) {
        (RecordKind::Endpoint, _) => Draft::endpoint(payload),
        (RecordKind::Mailbox, _) => Draft::mailbox(payload),
        (RecordKind::Topic, Some(topic)) => Draft::topic(topic.clone(), payload),
        (RecordKind::Topic, None) => return Err(Failure::usage("which topic?")),
    };
    let draft = draft.map_err(|error| Failure::new(Exit::BadData, error))?;
    debug_assert!(matches!(draft.subject, Subject::Topic(_)) == (args.kind == RecordKind::Topic));
    Ok(draft.lasting(args.ttl))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_it_is_stored_and_why_not() {
        let tally = |accepted, refused, stale| Tally { accepted, refused, stale, no_answer: 0 };
        assert_eq!(tally(3, 0, 0).exit(1), Exit::Success);
        assert_eq!(tally(3, 2, 0).exit(4), Exit::Partial);
        assert_eq!(tally(1, 7, 7).exit(1), Exit::Conflict);
        assert_eq!(tally(0, 0, 0).exit(1), Exit::Nothing);
        assert_eq!(tally(3, 3, 1).to_string(), "stored on 3 of 6 nodes · 1 have a newer one · 2 refused");
    }
}
