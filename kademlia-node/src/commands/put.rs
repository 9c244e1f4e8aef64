//! `kad put`: values into the DHT.

use std::collections::BTreeMap;

use bittorrent_profile::Dht;
use bittorrent_profile::dht::{Stored, UpdateError, Updated};
use bittorrent_profile::item::{Item, MAX_VALUE, MutableItem, RawValue, Salt, SecretKey, mutable_target};
use serde::Serialize;

use super::{keygen, written};
use crate::cli::{self, Seq};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::kept::Kept;
use crate::output::Output;
use crate::source::Source;

#[derive(Serialize)]
struct ItemLine {
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    /// The version that this one was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<i64>,
}

/// One node's word.
#[derive(Serialize)]
struct NodeLine<'a> {
    node: String,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

/// How many nodes said what.
#[derive(Clone, Debug, Default, Serialize)]
struct Tally {
    accepted: usize,
    refused: usize,
    no_answer: usize,
    conflicts: usize,
    /// The network was read afterwards, and this version counts there. Whoever refused it then has it already: the answer
    /// to the first attempt was lost.
    confirmed: bool,
    asked: usize,
    messages: usize,
    /// How many refused with which error.
    #[serde(skip)]
    reasons: BTreeMap<(i64, String), usize>,
}

impl Tally {
    fn of(stored: &Stored, confirmed: bool) -> Self {
        let mut reasons = BTreeMap::new();
        for (_, code, text) in &stored.refused {
            *reasons.entry((*code, text.clone())).or_default() += 1;
        }
        Tally {
            accepted: stored.accepted.len(),
            refused: stored.refused.len(),
            no_answer: stored.no_answer.len(),
            conflicts: stored.conflicts(),
            confirmed,
            asked: stored.asked,
            messages: stored.messages,
            reasons,
        }
    }

    fn chosen(&self) -> usize {
        self.accepted + self.refused + self.no_answer
    }

    fn exit(&self, min: usize) -> Exit {
        match self {
            tally if tally.confirmed && tally.accepted + tally.conflicts >= min => Exit::Success,
            tally if tally.confirmed => Exit::Partial,
            tally if tally.conflicts > 0 && tally.conflicts >= tally.accepted => Exit::Conflict,
            tally if tally.accepted >= min => Exit::Success,
            tally if tally.chosen() == 0 => Exit::Nothing,
            _ => Exit::Partial,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stored on {} of {} nodes", self.accepted, self.chosen())?;
        for ((code, text), count) in &self.reasons {
            write!(f, " · {count} refused ({code} {})", text.escape_debug())?;
        }
        if self.no_answer > 0 {
            write!(f, " · {} no answer", self.no_answer)?;
        }
        if self.confirmed && self.conflicts > 0 {
            write!(f, " · it is the version that counts")
        } else {
            Ok(())
        }
    }
}

/// What was put, and who took it.
struct Outcome {
    item: Item,
    previous: Option<i64>,
    stored: Stored,
    confirmed: bool,
}

pub(crate) async fn run(args: &cli::Put, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    let value = value(args, &mut interrupt).await?;
    let key = args.key.as_deref().map(keygen::load).transpose()?;
    if args.cas.is_some() && args.seq == Seq::Auto {
        return Err(Failure::usage("--cas needs a number: --seq N").into());
    }
    let dht = join::client(&args.join, &[], output, &mut interrupt).await?;
    output.progress("storing", None, "");
    let target = match &key {
        Some(key) => mutable_target(&key.public(), &args.salt.unwrap_or_default()),
        None => Item::Immutable(value.clone()).target(),
    };
    let stored = put(&dht, value, key.as_ref(), args);
    let outcome = join::in_time(args.join.timeout, &mut interrupt, stored).await?;
    output.clear();
    let Some(outcome) = outcome.transpose()? else {
        let hint = format!("`kad get {target}` tells whether it is stored; --timeout 5m gives it more time");
        return Err(join::no_end(args.join.timeout).hint(hint).into());
    };
    let tally = report(&outcome, output)?;
    let exit = tally.exit(args.min);
    if args.keep && exit != Exit::Conflict {
        output.note(format!("{tally} · keeping it alive, Ctrl-C ends that"));
        keep(&dht, outcome.item, args, output, &mut interrupt).await?;
    }
    output.summary(&tally, &tally)?;
    if !args.keep && exit == Exit::Success {
        output.note("nodes forget it after two hours; --keep keeps it alive");
    }
    Ok(exit)
}

/// The value to put, from wherever it comes.
async fn value(args: &cli::Put, interrupt: &mut Interrupt) -> Result<RawValue, Failure> {
    let source = Source::of(args.file.as_deref(), args.text.as_deref());
    let bytes = source.read("the value", MAX_VALUE, interrupt).await?;
    let value = if args.bencode { RawValue::new(&bytes) } else { RawValue::string(&bytes) };
    value.map_err(|error| Failure::new(Exit::BadData, format!("this value cannot be put: {error}")))
}

async fn put(
    dht: &Dht,
    value: RawValue,
    key: Option<&SecretKey>,
    args: &cli::Put,
) -> anyhow::Result<Outcome> {
    let salt = args.salt.unwrap_or_default();
    let (item, stored) = match (key, args.seq) {
        (None, _) => {
            let item = Item::Immutable(value);
            (item.clone(), dht.put(item).await?)
        }
        (Some(key), Seq::Auto) => return change(dht, key, salt, value).await,
        (Some(key), Seq::Number(seq)) => {
            let item = Item::from(MutableItem::sign(key, salt, seq, value));
            let stored = match args.cas {
                Some(cas) => dht.put_cas(item.clone(), cas).await?,
                None => dht.put(item.clone()).await?,
            };
            (item, stored)
        }
    };
    Ok(Outcome { item, previous: None, stored, confirmed: false })
}

/// Puts the next version, or the same again if that is the value already.
async fn change(dht: &Dht, key: &SecretKey, salt: Salt, value: RawValue) -> anyhow::Result<Outcome> {
    let updated = dht.update(key, salt, |old| (old != Some(&value)).then(|| value.clone())).await;
    match updated {
        Ok(Updated { item, previous, stored, .. }) => {
            let item = Item::Mutable(item);
            let (stored, confirmed) = match stored {
                Some(stored) => (stored, true),
                None => (dht.put(item.clone()).await?, false),
            };
            Ok(Outcome { item, previous, stored, confirmed })
        }
        Err(UpdateError::NotStored(stored)) => {
            let tally = Tally::of(&stored, false);
            let exit = if tally.chosen() == 0 { Exit::Nothing } else { Exit::Partial };
            Err(Failure::new(exit, tally).into())
        }
        Err(error @ UpdateError::Contested { .. }) => {
            Err(Failure::new(Exit::Conflict, error).hint("try again when there is less going on").into())
        }
        Err(error) => Err(error.into()),
    }
}

/// What was put where, and with --json who took it.
fn report(outcome: &Outcome, output: &Output) -> anyhow::Result<Tally> {
    let Outcome { item, previous, stored, confirmed } = outcome;
    let target = item.target().to_string();
    let version = match (item.seq(), previous) {
        (Some(seq), Some(previous)) if *previous != seq => format!("   seq {previous} → {seq}"),
        (Some(seq), _) => format!("   seq {seq}"),
        (None, _) => String::new(),
    };
    let text = format!("target {target}{version}");
    let key = match item {
        Item::Mutable(item) => Some(item.key.to_string()),
        Item::Immutable(_) => None,
    };
    output.data("item", &ItemLine { target, key, seq: item.seq(), previous: *previous }, text)?;
    if output.is_json() {
        let accepted = stored.accepted.iter().map(|node| (node, "accepted", None));
        let refused =
            stored.refused.iter().map(|(node, code, text)| (node, "refused", Some((*code, text.as_str()))));
        let no_answer = stored.no_answer.iter().map(|node| (node, "no answer", None));
        for (node, outcome, error) in accepted.chain(refused).chain(no_answer) {
            let (code, text) = error.unzip();
            output.data("stored", &NodeLine { node: written(node), outcome, code, text }, "")?;
        }
    }
    Ok(Tally::of(stored, *confirmed))
}

/// Keeps the item alive until interrupted, together with what the file remembers.
async fn keep(
    dht: &Dht,
    item: Item,
    args: &cli::Put,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    let mut kept = Kept::load(args.keep_file.as_deref(), dht);
    kept.add(dht.keep(item)?);
    kept.save(dht).await?;
    loop {
        tokio::select! {
            () = interrupt.wait() => break,
            round = kept.next_round() => match round {
                Some(Ok(round)) => {
                    let version = round.item.seq().map(|seq| format!(" version {seq}")).unwrap_or_default();
                    let what = match &round.stored {
                        Some(stored) => Tally::of(stored, false).to_string(),
                        None => format!("{} nodes have it, which is enough", round.copies),
                    };
                    output.note(format!("kept{version}: {what}"));
                    kept.save(dht).await?;
                }
                Some(Err(error)) => output.note(format!("not kept: {error}")),
                None => return Err(Failure::new(Exit::Nothing, "the node has stopped").into()),
            },
        }
    }
    kept.save(dht).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_it_is_stored_and_why_not() {
        let tally = |accepted, conflicts, other: usize| Tally {
            accepted,
            conflicts,
            refused: conflicts + other,
            ..Tally::default()
        };
        assert_eq!(tally(18, 1, 0).exit(1), Exit::Success);
        assert_eq!(tally(3, 0, 5).exit(4), Exit::Partial);
        assert_eq!(tally(0, 0, 8).exit(1), Exit::Partial);
        assert_eq!(tally(3, 8, 0).exit(1), Exit::Conflict);
        assert_eq!(tally(0, 0, 0).exit(1), Exit::Nothing);
        let confirmed = |accepted, conflicts| Tally { confirmed: true, ..tally(accepted, conflicts, 0) };
        assert_eq!(confirmed(0, 1).exit(1), Exit::Success, "its answer was lost");
        assert_eq!(confirmed(1, 2).exit(3), Exit::Success);
        assert_eq!(confirmed(1, 2).exit(4), Exit::Partial);
    }

    #[test]
    fn refusals_are_counted_by_reason() {
        let reasons = [((203, "bad token".to_owned()), 1), ((302, "newer".to_owned()), 2)].into();
        let tally = Tally { accepted: 15, refused: 3, no_answer: 2, reasons, ..Tally::default() };
        let expected =
            "stored on 15 of 20 nodes · 1 refused (203 bad token) · 2 refused (302 newer) · 2 no answer";
        assert_eq!(tally.to_string(), expected);
    }
}
