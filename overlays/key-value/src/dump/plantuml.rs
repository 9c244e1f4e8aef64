//! Diagrams. What they name is keys and addresses, which need no escaping.

use std::fmt::{self, Write};

use super::{BucketDump, LookupDump, NodeDump};

pub(super) fn node(dump: &NodeDump) -> String {
    drawn(|out| {
        writeln!(out, "title node {:#}", dump.key)?;
        writeln!(out, "object \"{:#}\" as self {{", dump.key)?;
        if let Some(address) = dump.address {
            writeln!(out, "  address = {address}")?;
        }
        writeln!(out, "  pairs = {}", dump.pairs.len())?;
        writeln!(out, "  publishes = {}\n}}", dump.publishes.len())?;
        dump.buckets
            .iter()
            .filter(|bucket| !bucket.nodes.is_empty())
            .try_for_each(|shown| bucket(shown, out))?;
        if dump.pairs.is_empty() {
            return Ok(());
        }
        writeln!(out, "map \"pairs\" as pairs {{")?;
        for pair in &dump.pairs {
            let what = pair.bytes.map_or("removed".to_owned(), |bytes| format!("{bytes} bytes"));
            writeln!(out, "  {:#} => < 2^{} · {what} · {} s left", pair.key, pair.distance.bits, pair.life)?;
        }
        writeln!(out, "}}\nself --> pairs")
    })
}

fn bucket(bucket: &BucketDump, out: &mut String) -> fmt::Result {
    writeln!(out, "map \"bucket {}, idle for {} s\" as bucket{0} {{", bucket.index, bucket.idle)?;
    for node in &bucket.nodes {
        let time = node.round_trip.map_or(String::new(), |time| format!(" · {time} ms"));
        let (key, address, bits, quality) = (node.key, node.address, node.distance.bits, node.quality);
        writeln!(out, "  {key:#} => {address} · < 2^{bits} · {quality}{time}")?;
    }
    writeln!(out, "}}\nself --> bucket{}", bucket.index)
}

pub(super) fn lookup(dump: &LookupDump) -> String {
    drawn(|out| {
        writeln!(out, "title lookup of {:#}", dump.target)?;
        writeln!(out, "object \"{:#}\" as target {{", dump.target)?;
        writeln!(out, "  asked = {}\n  answered = {}", dump.asked, dump.answered)?;
        writeln!(out, "  hops = {}\n  milliseconds = {}\n}}", dump.hops, dump.took)?;
        for (rank, node) in (1..).zip(&dump.nodes) {
            writeln!(out, "object \"{:#}\" as node{rank} {{\n  address = {}", node.key, node.address)?;
            if node.holds {
                writeln!(out, "  has the value")?;
            }
            if dump.cached_at == Some(node.key) {
                writeln!(out, "  is given a copy")?;
            }
            writeln!(out, "}}\ntarget -- node{rank} : < 2^{}", node.distance.bits)?;
        }
        Ok(())
    })
}

/// Writing to a string does not fail.
fn drawn(draw: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut out = String::from("@startuml\n");
    let _ = draw(&mut out);
    out.push_str("@enduml\n");
    out
}
