//! BEP 51: samples of the info hashes that a node stores.

use crate::bencode::Item;
use crate::check::Check;
use crate::check::Level::{Must, Practice};
use crate::checks::bep5_peers::announce;
use crate::probe::{Feature, Probe, Seat};
use crate::query::Query;
use crate::reply::Reply;
use crate::verdict::{Judged, Unmet, given, require};

/// Longest interval, in seconds.
const LONGEST: i64 = 21_600;

pub(super) const CHECKS: &[Check] = &[
    Check::asked("51.1", "samples", Must, "`samples` is there, if empty, with 20 bytes for each", |p| {
        Box::pin(samples(p))
    }),
    Check::asked("51.1", "interval", Must, "`interval` is 0 to 21,600 seconds", |p| Box::pin(interval(p))),
    Check::asked("51.1", "num", Must, "`num` counts all info hashes that are stored", |p| Box::pin(num(p))),
    Check::asked("51.1", "nodes", Must, "nodes come along, as for find_node", |p| Box::pin(nodes(p))),
    Check::asked("51.1", "target", Must, "the target decides the nodes only, not the samples", |p| {
        Box::pin(target(p))
    }),
    Check::asked("51.2", "stable", Practice, "within its interval a node gives the same samples", |p| {
        Box::pin(stable(p))
    }),
    Check::asked("51.2", "distinct", Must, "no info hash is sampled twice in one reply", |p| {
        Box::pin(distinct(p))
    }),
];

/// The reply to a sample query; not applicable if it has no `samples`, as from nodes that take the method for find_node.
async fn ask(probe: &mut Probe, target: [u8; 20]) -> Result<Reply, Unmet> {
    if let Some(known) = probe.known(Feature::Samples) {
        known?;
        let reply = probe.ask(Seat::Main, Query::sample(target)).await?;
        reply.response()?;
        return Ok(reply);
    }
    // There is something to sample then.
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_510, |query| query).await?;
    let reply = probe.try_ask(Seat::Main, Query::sample(target)).await?;
    let marks = ["samples", "num", "interval"];
    let reply = reply.filter(|reply| marks.iter().any(|key| reply.get(key).is_some()));
    probe.learn(Feature::Samples, reply.is_some(), "it does not speak BEP 51: no samples")?;
    reply.ok_or_else(|| Unmet::failed("no answer"))
}

fn sampled(reply: &Reply) -> Result<Vec<[u8; 20]>, Unmet> {
    let bytes = reply.get("samples").ok_or_else(|| Unmet::failed("no `samples`"))?.bytes();
    let bytes = bytes.ok_or_else(|| Unmet::failed("`samples` is no string"))?;
    let (samples, rest) = bytes.as_chunks::<20>();
    require!(rest.is_empty(), "`samples` has {} bytes, no multiple of 20", bytes.len());
    Ok(samples.to_vec())
}

fn number(reply: &Reply, key: &str) -> Result<i64, Unmet> {
    let number = reply.get(key).ok_or_else(|| Unmet::failed(format!("no `{key}`")))?;
    number.int().ok_or_else(|| Unmet::failed(format!("`{key}` is no integer")))
}

async fn samples(probe: &mut Probe) -> Judged {
    let reply = ask(probe, [0x51; 20]).await?;
    sampled(&reply).map(drop)
}

async fn interval(probe: &mut Probe) -> Judged {
    let reply = ask(probe, [0x51; 20]).await?;
    let interval = number(&reply, "interval")?;
    require!((0..=LONGEST).contains(&interval), "{interval} s");
    Ok(())
}

async fn num(probe: &mut Probe) -> Judged {
    let reply = ask(probe, [0x51; 20]).await?;
    let num = number(&reply, "num")?;
    let samples = sampled(&reply)?.len();
    require!(num >= 0, "{num}");
    require!(usize::try_from(num).is_ok_and(|num| num >= samples), "{num}, but {samples} samples");
    // One more is stored. Meanwhile another may have expired, but hardly each time.
    let mut before = num;
    for port in 7_513..7_516 {
        let info_hash = probe.random_key();
        announce(probe, Seat::Main, info_hash, port, |query| query).await?;
        let after = number(&ask(probe, [0x51; 20]).await?, "num")?;
        if after > before {
            return Ok(());
        }
        before = after;
    }
    Err(Unmet::failed(format!("still {before} after three more were announced")))
}

async fn nodes(probe: &mut Probe) -> Judged {
    let reply = ask(probe, [0x51; 20]).await?;
    let nodes = reply.nodes(probe.target.is_ipv6())?;
    require!(nodes.is_some(), "no nodes");
    Ok(())
}

async fn target(probe: &mut Probe) -> Judged {
    let mut replies = Vec::new();
    for target in [[0; 20], [0; 20], [0xff; 20]] {
        let mut samples = sampled(&ask(probe, target).await?)?;
        samples.sort_unstable();
        replies.push(samples);
    }
    given!(replies[0] == replies[1], "it chooses anew for every query");
    require!(replies[0] == replies[2], "other samples for another target");
    Ok(())
}

async fn stable(probe: &mut Probe) -> Judged {
    let first = ask(probe, [0x51; 20]).await?;
    given!(number(&first, "interval")? > 0, "its interval is 0");
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_512, |query| query).await?;
    let second = ask(probe, [0x51; 20]).await?;
    let samples = |reply: &Reply| reply.get("samples").map(|samples: &Item| samples.raw.clone());
    require!(samples(&first) == samples(&second), "other samples at once: whoever asks often learns all");
    Ok(())
}

async fn distinct(probe: &mut Probe) -> Judged {
    let mut samples = sampled(&ask(probe, [0x51; 20]).await?)?;
    let count = samples.len();
    samples.sort_unstable();
    samples.dedup();
    require!(samples.len() == count, "{} of {count} are repetitions", count - samples.len());
    Ok(())
}
