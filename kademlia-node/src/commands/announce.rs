//! `kad announce`: telling the network that this host shares a torrent.

use std::time::Duration;

use bittorrent_profile::dht::{Announce, Port, Stored};
use bittorrent_profile::{Dht, InfoHash};
use serde::Serialize;

use super::written;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

/// One node's word on an announcement.
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
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Tally {
    accepted: usize,
    refused: usize,
    no_answer: usize,
    asked: usize,
}

impl Tally {
    fn of(announced: &Stored) -> Self {
        Tally {
            accepted: announced.accepted.len(),
            refused: announced.refused.len(),
            no_answer: announced.no_answer.len(),
            asked: announced.asked,
        }
    }

    fn chosen(self) -> usize {
        self.accepted + self.refused + self.no_answer
    }

    pub(super) fn exit(self, min: usize) -> Exit {
        match self {
            tally if tally.accepted >= min => Exit::Success,
            tally if tally.chosen() == 0 => Exit::Nothing,
            _ => Exit::Partial,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { accepted, refused, no_answer, asked } = self;
        let chosen = self.chosen();
        write!(
            f,
            "stored on {accepted} of {chosen} nodes · {refused} refused · {no_answer} no answer · {asked} asked"
        )
    }
}

pub(crate) async fn run(
    args: &cli::Announce,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let port = match args.port {
        Some(port) => Port::Number(port),
        None => Port::Implied,
    };
    let announce = Announce { port, seed: args.seed };
    let dht = join::client(&args.join, &args.torrent.nodes, output, &mut interrupt).await?;
    let tally = if args.once {
        let (limit, hash) = (args.join.timeout, args.torrent.info_hash);
        let announced = one_round(&dht, hash, announce, limit, output, &mut interrupt).await?;
        output.clear();
        let not_known =
            || join::no_end(limit).hint("nodes may have taken it or not; give it more time: --timeout 2m");
        report(&announced.ok_or_else(not_known)?, output)?
    } else {
        keep(&dht, args, announce, output, &mut interrupt).await?
    };
    output.summary(&tally, tally)?;
    Ok(tally.exit(args.min))
}

/// Announces until interrupted; gives back how the last round went.
async fn keep(
    dht: &Dht,
    args: &cli::Announce,
    announce: Announce,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Tally> {
    let mut announcement = dht.announce(args.torrent.info_hash, announce);
    let mut last = None;
    output.progress("storing", None, "");
    loop {
        tokio::select! {
            round = announcement.round() => match round {
                Some(Ok(announced)) => {
                    output.clear();
                    let tally = report(&announced, output)?;
                    output.note(format!("{tally} · announcing on, Ctrl-C ends it"));
                    last = Some(tally);
                }
                Some(Err(error)) => output.note(format!("not announced: {error}")),
                None => return Err(Failure::new(Exit::Nothing, "the node has stopped").into()),
            },
            () = interrupt.wait() => return last.ok_or_else(|| join::stopped().into()),
        }
    }
}

/// Announces once without a word about single nodes; `None` if interrupted. What takes longer than `limit` is nobody's
/// acceptance.
pub(super) async fn once(
    dht: &Dht,
    info_hash: InfoHash,
    port: Port,
    limit: Duration,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Option<Tally>> {
    let announced = one_round(dht, info_hash, port.into(), limit, output, interrupt).await;
    output.clear();
    let tally = match announced {
        Ok(Some(announced)) => Tally::of(&announced),
        Ok(None) => {
            output.note(format!("the announcement took longer than {}", span::seconds(limit)));
            return Ok(Some(Tally::default()));
        }
        Err(_) if interrupt.came() => return Ok(None),
        Err(error) => return Err(error),
    };
    output.note(tally);
    Ok(Some(tally))
}

/// `None` if it takes longer than `limit`.
async fn one_round(
    dht: &Dht,
    info_hash: InfoHash,
    announce: Announce,
    limit: Duration,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Option<Stored>> {
    output.progress("storing", None, "");
    let announced = dht.announce_once(info_hash, announce);
    Ok(join::in_time(limit, interrupt, announced).await?.transpose()?)
}

/// Who took it, node by node.
fn report(announced: &Stored, output: &Output) -> anyhow::Result<Tally> {
    for contact in &announced.accepted {
        line(output, written(contact), "accepted", None)?;
    }
    for (contact, code, text) in &announced.refused {
        line(output, written(contact), "refused", Some((*code, text)))?;
    }
    for contact in &announced.no_answer {
        line(output, written(contact), "no answer", None)?;
    }
    Ok(Tally::of(announced))
}

fn line(output: &Output, node: String, outcome: &str, error: Option<(i64, &str)>) -> anyhow::Result<()> {
    let reason = error.map_or_else(String::new, |(code, text)| format!("  {code} {}", text.escape_debug()));
    let text = format!("{outcome:<9}  {node}{reason}");
    let fields =
        NodeLine { node, outcome, code: error.map(|(code, _)| code), text: error.map(|(_, text)| text) };
    Ok(output.data("stored", &fields, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_whether_enough_nodes_accepted() {
        let tally = |accepted, refused| Tally { accepted, refused, ..Tally::default() };
        assert_eq!(tally(1, 7).exit(1), Exit::Success);
        assert_eq!(tally(3, 5).exit(4), Exit::Partial);
        assert_eq!(tally(0, 8).exit(1), Exit::Partial);
        assert_eq!(tally(0, 0).exit(1), Exit::Nothing);
    }
}
