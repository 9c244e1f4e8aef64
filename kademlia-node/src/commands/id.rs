//! `kad id`: ids that fit their addresses (BEP 42).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use bittorrent_profile::node_id;
use kademlia_core::Rng;
use serde::Serialize;

use crate::cli;
use crate::exit::Exit;
use crate::output::{Output, Tone};

#[derive(Serialize)]
struct IdLine {
    id: String,
    ip: IpAddr,
    fits: bool,
    /// The address is of a local network, where every id fits.
    exempt: bool,
}

pub(crate) fn run(args: &cli::Id, output: &Output) -> anyhow::Result<Exit> {
    let ip = args.ip;
    let id = args.id.unwrap_or_else(|| node_id::derive(ip, &mut random()).into());
    let (fits, exempt) = (node_id::verify(ip, &id.into()), node_id::is_exempt(ip));
    let line = IdLine { id: id.to_string(), ip, fits, exempt };
    output.data("id", &line, text(&line, args.id.is_some(), output))?;
    output.summary(&line, remark(&line))?;
    Ok(if fits { Exit::Success } else { Exit::Nothing })
}

/// A made id alone, to be used at once; a checked one with the verdict.
fn text(line: &IdLine, checked: bool, output: &Output) -> String {
    let IdLine { id, ip, fits, .. } = line;
    if !checked {
        return id.clone();
    }
    let (tone, sign, verb) =
        if *fits { (Tone::Good, "✔", "fits") } else { (Tone::Bad, "✘", "does not fit") };
    format!("{} {id} {verb} {ip}", output.paint(tone, sign))
}

fn remark(line: &IdLine) -> &'static str {
    if line.exempt {
        "the address is of a local network, where ids are not bound: every id fits"
    } else {
        "BEP 42 leaves an address eight beginnings of 21 bits; the id's last byte says which"
    }
}

/// The system's randomness as std hands it out: an id is no secret.
fn random() -> Rng {
    let number = || RandomState::new().build_hasher().finish();
    let mut seed = [0; 32];
    seed.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&number().to_le_bytes()));
    Rng::from_seed(seed)
}
