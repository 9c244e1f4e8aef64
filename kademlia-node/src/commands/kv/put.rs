//! `kad kv put` and `remove`.

use key_value::kv::PutError;
use key_value::{MAX_VALUE, Put, Value, key_of};
use serde::Serialize;

use super::client::client;
use crate::cli::{KvPut, KvRemove};
use crate::commands::end_of;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::overlay::patiently;
use crate::source::Source;

#[derive(Serialize)]
struct PutLine<'a> {
    name: &'a str,
    key: String,
    version: u64,
}

/// Who took it, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Tally {
    accepted: usize,
    refused: usize,
    no_answer: usize,
    /// Of those that refused: they have a newer version.
    conflicts: usize,
    messages: usize,
}

impl Tally {
    fn of(put: &Put) -> Self {
        let stored = &put.stored;
        let stores = stored.accepted.len() + stored.refused.len() + stored.no_answer.len();
        Tally {
            accepted: stored.accepted.len(),
            refused: stored.refused.len(),
            no_answer: stored.no_answer.len(),
            conflicts: put.conflicts(),
            messages: stored.report.messages + stores,
        }
    }

    fn chosen(self) -> usize {
        self.accepted + self.refused + self.no_answer
    }

    fn exit(self, min: usize) -> Exit {
        match self {
            Tally { conflicts, accepted, .. } if conflicts > accepted => Exit::Conflict,
            Tally { accepted, .. } if accepted >= min => Exit::Success,
            tally if tally.chosen() == 0 => Exit::Nothing,
            _ => Exit::Partial,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { accepted, refused, no_answer, conflicts, .. } = self;
        write!(f, "stored on {accepted} of {} nodes", self.chosen())?;
        for (count, what) in
            [(*conflicts, "have a newer one"), (refused - conflicts, "refused"), (*no_answer, "no answer")]
        {
            if count > 0 {
                write!(f, " · {count} {what}")?;
            }
        }
        Ok(())
    }
}

pub(super) async fn run(args: &KvPut, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    let value = value(args, &mut interrupt).await?;
    let kv = client(&args.join, output, &mut interrupt).await?;
    output.progress("storing", None, "");
    let put = kv.put_version(key_of(&args.name), value, args.version);
    let put = patiently(&args.join, &mut interrupt, put).await?.map_err(not_put)?;
    let tally = report(&args.name, &put, output)?;
    let exit = tally.exit(args.min);
    if args.keep && exit != Exit::Conflict {
        output.note(format!("{tally} · publishing it daily, Ctrl-C ends that"));
        let ended = end_of(kv.handle().events(1).await?);
        tokio::select! {
            () = interrupt.wait() => {}
            failure = ended => return Err(failure.into()),
        }
    }
    output.summary(&tally, tally)?;
    if !args.keep && exit == Exit::Success {
        output.note("nodes forget it after a day; --keep keeps it alive");
    }
    kv.shutdown().await;
    Ok(exit)
}

pub(super) async fn remove(
    args: &KvRemove,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let kv = client(&args.join, output, &mut interrupt).await?;
    output.progress("storing", None, "");
    let removed = patiently(&args.join, &mut interrupt, kv.remove(&args.name)).await?.map_err(not_put)?;
    let tally = report(&args.name, &removed, output)?;
    output.summary(&tally, tally)?;
    kv.shutdown().await;
    Ok(tally.exit(1))
}

fn report(name: &str, put: &Put, output: &Output) -> anyhow::Result<Tally> {
    output.clear();
    let line = PutLine { name, key: put.key.to_string(), version: put.version };
    let text = format!("key {}   version {}", put.key, put.version);
    output.data("put", &line, text)?;
    Ok(Tally::of(put))
}

fn not_put(error: PutError) -> anyhow::Error {
    match error {
        PutError::TooLong(_) => Failure::new(Exit::BadData, error).into(),
        error => error.into(),
    }
}

/// The value to put, from wherever it comes.
async fn value(args: &KvPut, interrupt: &mut Interrupt) -> Result<Value, Failure> {
    let source = Source::of(args.file.as_deref(), args.text.as_deref());
    let bytes = source.read("the value", MAX_VALUE, interrupt).await?;
    Value::new(&bytes).map_err(|_| {
        Failure::new(Exit::BadData, format!("this value cannot be put: it is longer than {MAX_VALUE} bytes"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_it_is_stored_and_why_not() {
        let tally = |accepted, refused, conflicts| Tally { accepted, refused, conflicts, ..Tally::default() };
        assert_eq!(tally(18, 1, 0).exit(1), Exit::Success);
        assert_eq!(tally(3, 5, 0).exit(4), Exit::Partial);
        assert_eq!(tally(1, 8, 8).exit(1), Exit::Conflict);
        assert_eq!(tally(0, 0, 0).exit(1), Exit::Nothing);
        assert_eq!(tally(3, 3, 1).to_string(), "stored on 3 of 6 nodes · 1 have a newer one · 2 refused");
    }
}
