//! `kad decode`: what a datagram says, and what this node's decoder thinks of it.

mod bytes;
pub(super) mod show;

use bittorrent_profile::Mainline;
use bittorrent_profile::bencode::{MAX_INPUT, Tape};
use bittorrent_profile::krpc::Krpc;
use kademlia_core::{Body, Codec, Malformed, Message};
use serde::Serialize;
use serde_json::Value;

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Output, Tone};
use crate::source::Source;

/// Longest input: a datagram in hexadecimal with a space after each byte, and some.
const MAX_TEXT: usize = 256 << 10;

#[derive(Serialize)]
struct Decoded {
    bytes: usize,
    verdict: &'static str,
    /// What the decoder objects to.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The error that answers a refused request.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
    /// Whether nothing but these bytes means the same.
    canonical: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Value>,
}

pub(crate) async fn run(
    args: &cli::Decode,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let datagram = if let Some(text) = &args.text {
        bytes::of_text(text.as_bytes())
    } else {
        let source = args.file.as_deref().map_or(Source::Stdin, Source::of_path);
        Some(bytes::of_file(&source.read("the datagram", MAX_TEXT, &mut interrupt).await?))
    };
    let datagram = datagram.ok_or_else(|| Failure::usage("neither hexadecimal nor base64"))?;
    let mut tape = <Tape>::new();
    let root = tape.parse(&datagram);
    let (verdict, tone) = judge(&datagram);
    let mut decoded = Decoded {
        bytes: datagram.len(),
        canonical: root.as_ref().is_ok_and(|root| root.is_canonical()),
        content: root.as_ref().ok().map(|root| show::value(None, *root)),
        ..verdict
    };
    let tree = decoded.content.as_ref().map_or_else(|| escaped(&datagram), show::tree);
    output.data("datagram", &decoded, tree)?;
    decoded.content = None;
    let text = remark(&decoded);
    output.summary(&decoded, output.paint(tone, &text))?;
    Ok(if matches!(decoded.verdict, "garbage" | "refused") { Exit::BadData } else { Exit::Success })
}

/// What a node does with it.
fn judge(datagram: &[u8]) -> (Decoded, Tone) {
    let judged = |verdict| Decoded {
        bytes: datagram.len(),
        verdict,
        why: None,
        code: None,
        method: None,
        canonical: false,
        content: None,
    };
    match Krpc::decode(datagram) {
        Ok(Message::<Mainline> { body: Body::Request { request, .. }, .. }) => {
            (Decoded { method: Some(request.method()), ..judged("request") }, Tone::Good)
        }
        Ok(Message { body: Body::Response { .. }, .. }) => (judged("response"), Tone::Good),
        Ok(Message { body: Body::Error { .. }, .. }) => (judged("error"), Tone::Good),
        Err(Malformed::Garbage(why)) => {
            (Decoded { why: Some(why.to_owned()), ..judged("garbage") }, Tone::Bad)
        }
        Err(Malformed::Request { code, text, .. }) => {
            (Decoded { why: Some(text.to_owned()), code: Some(code), ..judged("refused") }, Tone::Bad)
        }
    }
}

fn remark(decoded: &Decoded) -> String {
    let Decoded { bytes, verdict, why, code, method, canonical, .. } = decoded;
    let why = why.as_deref().unwrap_or_default();
    let order = if *canonical { "" } else { ", keys out of order" };
    match (*verdict, method, code) {
        ("garbage", ..) => {
            format!("{bytes} bytes: garbage, met with silence: {why} (at most {MAX_INPUT} bytes are read)")
        }
        ("refused", _, Some(code)) => format!("{bytes} bytes: a request, answered with error {code}: {why}"),
        (kind, Some(method), _) => format!("{bytes} bytes: a {kind}, served as {method}{order}"),
        (kind, ..) => format!("{bytes} bytes: {kind}{order}"),
    }
}

fn escaped(datagram: &[u8]) -> String {
    datagram.escape_ascii().to_string()
}
