//! BEP 44: mutable items.

use crate::bencode::{Item, int, string};
use crate::check::Check;
use crate::check::Level::{Must, Practice, Should};
use crate::checks::bep44::{must_put, require_code, require_value, spoken as items_spoken, stored, try_put};
use crate::item::{Mutable, PUBLISHED, PUBLISHED_VALUE, bytes};
use crate::probe::{Feature, Probe, Seat};
use crate::query::Query;
use crate::reply::Reply;
use crate::verdict::{Judged, Unmet, require};

pub(super) const CHECKS: &[Check] = &[
    Check::asked(
        "44.3",
        "mutable",
        Must,
        "a mutable item is found under the SHA-1 of key and salt, k, seq and sig with it",
        |p| Box::pin(mutable(p)),
    ),
    Check::asked(
        "44.4",
        "empty-salt",
        Must,
        "an empty salt is no salt, for the signature and for the target",
        |p| Box::pin(empty_salt(p)),
    ),
    Check::asked("44.4", "salt-signed", Must, "a signature that leaves the salt out is refused", |p| {
        Box::pin(salt_is_signed(p))
    }),
    Check::asked("44.5", "signature", Must, "an item with a wrong signature is not stored", |p| {
        Box::pin(bad_signature(p))
    }),
    Check::asked("44.5", "signature-code", Must, "a wrong signature gets error 206", |p| {
        Box::pin(bad_signature_code(p))
    }),
    Check::asked("44.5", "salt", Must, "a salt of 64 bytes is taken", |p| Box::pin(longest_salt(p))),
    Check::asked("44.5", "salt-too-big", Must, "a salt of 65 bytes gets error 207", |p| {
        Box::pin(salt_too_big(p))
    }),
    Check::asked("44.6", "higher-seq", Must, "a higher seq replaces the value", |p| Box::pin(higher_seq(p))),
    Check::asked("44.6", "lower-seq", Must, "a lower seq replaces nothing", |p| Box::pin(lower_seq(p))),
    Check::asked("44.6", "lower-seq-code", Practice, "a lower seq gets error 302", |p| {
        Box::pin(lower_seq_code(p))
    }),
    Check::asked("44.6", "equal-seq", Must, "another value with an equal seq replaces nothing", |p| {
        Box::pin(equal_seq(p))
    }),
    Check::asked("44.6", "equal-seq-told", Practice, "another value with an equal seq gets an error", |p| {
        Box::pin(equal_seq_told(p))
    }),
    Check::asked("44.6", "refresh", Should, "the same value with an equal seq is accepted", |p| {
        Box::pin(refresh(p))
    }),
    Check::asked("44.6", "largest-seq", Practice, "the largest seq, 2^63 - 1, is taken", |p| {
        Box::pin(largest_seq(p))
    }),
    Check::asked("44.7", "cas", Must, "a put whose `cas` is the stored seq is accepted", |p| {
        Box::pin(cas(p))
    }),
    Check::asked(
        "44.7",
        "cas-mismatch",
        Must,
        "a put whose `cas` is another gets error 301 and changes nothing",
        |p| Box::pin(cas_mismatch(p)),
    ),
    Check::asked("44.7", "cas-on-nothing", Must, "`cas` is ignored where nothing is stored", |p| {
        Box::pin(cas_on_nothing(p))
    }),
    Check::asked(
        "44.8",
        "omitted",
        Should,
        "get with the stored `seq` or a higher one gets no v, k and sig",
        |p| Box::pin(omitted(p)),
    ),
    Check::asked("44.8", "newer", Must, "get with a lower `seq` gets the value", |p| Box::pin(newer(p))),
    Check::asked("44.8", "no-salt", Must, "the salt never comes back", |p| Box::pin(no_salt(p))),
];

/// Not applicable if the node takes no mutable items, or does not know `get` at all.
pub(super) async fn spoken(probe: &mut Probe) -> Judged {
    items_spoken(probe).await?;
    if let Some(known) = probe.known(Feature::MutableItems) {
        return known;
    }
    let item = Mutable::new(&mut probe.rng);
    let reply = try_put(probe, item.target(), item.put(1, b"1:x")).await?;
    let takes = reply.is_some_and(|reply| reply.is_response());
    probe.learn(Feature::MutableItems, takes, "it takes no mutable items, if signed properly")
}

/// A new item, stored with this seq and the value `1:a`.
async fn an_item(probe: &mut Probe, seq: i64) -> Result<Mutable, Unmet> {
    spoken(probe).await?;
    let item = Mutable::new(&mut probe.rng);
    must_put(probe, item.target(), item.put(seq, b"1:a")).await?;
    Ok(item)
}

/// Requires the value and sequence number that are stored.
async fn require_stored(probe: &mut Probe, target: [u8; 20], seq: i64, value: &[u8]) -> Judged {
    let reply = stored(probe, target).await?;
    require_value(&reply, value)?;
    let found = reply.get("seq").and_then(Item::int);
    require!(found == Some(seq), "found seq {found:?} instead of {seq}");
    Ok(())
}

/// Judged even if no mutable item is taken: who speaks BEP 44 takes them.
async fn mutable(probe: &mut Probe) -> Judged {
    items_spoken(probe).await?;
    for item in PUBLISHED {
        let target = bytes(item.target);
        must_put(probe, target, item.put()).await?;
        require_stored(probe, target, 1, PUBLISHED_VALUE).await?;
        let reply = stored(probe, target).await?;
        for (key, length) in [("k", 32), ("sig", 64)] {
            let found = reply.get(key).and_then(Item::bytes).map(<[u8]>::len);
            require!(found == Some(length), "no `{key}` of {length} bytes beside the value");
        }
    }
    Ok(())
}

async fn empty_salt(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let item = Mutable::new(&mut probe.rng).salted([]);
    must_put(probe, item.target(), item.put(1, b"1:a")).await?;
    require_stored(probe, item.target(), 1, b"1:a").await
}

/// A put that has to be refused, if with silence, under a target that nothing is stored under.
async fn refused(probe: &mut Probe, target: [u8; 20], put: Query) -> Result<Option<Reply>, Unmet> {
    let reply = try_put(probe, target, put).await?;
    require!(!reply.as_ref().is_some_and(Reply::is_response), "accepted");
    let after = stored(probe, target).await?;
    require!(after.get("v").is_none(), "refused, but stored");
    Ok(reply)
}

async fn salt_is_signed(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let mut item = Mutable::new(&mut probe.rng);
    let put = item.put(1, b"1:a").string("salt", "pepper");
    item.salt = Some(b"pepper".to_vec());
    refused(probe, item.target(), put).await.map(drop)
}

/// Items of which each has another wrong signature.
fn badly_signed(probe: &mut Probe) -> [(Mutable, Query); 3] {
    let items: [Mutable; 3] = std::array::from_fn(|_| Mutable::new(&mut probe.rng));
    let mut at = 0;
    items.map(|item| {
        at += 1;
        let put = match at {
            1 => item.put(1, b"1:a").string("sig", [0x44; 64]),
            // Signed for another value, and for another seq.
            2 => item.put(1, b"1:a").raw("v", string("b")),
            _ => item.put(1, b"1:a").raw("seq", int(2)),
        };
        (item, put)
    })
}

async fn bad_signature(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    for (item, put) in badly_signed(probe) {
        refused(probe, item.target(), put).await?;
    }
    Ok(())
}

async fn bad_signature_code(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let [(item, put), ..] = badly_signed(probe);
    let reply = try_put(probe, item.target(), put).await?;
    require_code(reply.as_ref(), 206)
}

async fn longest_salt(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let item = Mutable::new(&mut probe.rng).salted([0x5a; 64]);
    must_put(probe, item.target(), item.put(1, b"1:a")).await?;
    require_stored(probe, item.target(), 1, b"1:a").await
}

async fn salt_too_big(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let item = Mutable::new(&mut probe.rng).salted([0x5a; 65]);
    let reply = refused(probe, item.target(), item.put(1, b"1:a")).await?;
    require_code(reply.as_ref(), 207)
}

async fn higher_seq(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 1).await?;
    must_put(probe, item.target(), item.put(7, b"1:b")).await?;
    require_stored(probe, item.target(), 7, b"1:b").await
}

async fn lower_seq(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    try_put(probe, item.target(), item.put(4, b"1:b")).await?;
    require_stored(probe, item.target(), 5, b"1:a").await
}

async fn lower_seq_code(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    let reply = try_put(probe, item.target(), item.put(4, b"1:b")).await?;
    require_code(reply.as_ref(), 302)
}

async fn equal_seq(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    try_put(probe, item.target(), item.put(5, b"1:b")).await?;
    require_stored(probe, item.target(), 5, b"1:a").await
}

async fn equal_seq_told(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    let reply = try_put(probe, item.target(), item.put(5, b"1:b")).await?;
    require!(reply.is_some_and(|reply| reply.is_error()), "no error");
    Ok(())
}

async fn refresh(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    must_put(probe, item.target(), item.put(5, b"1:a")).await
}

async fn largest_seq(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let item = Mutable::new(&mut probe.rng);
    must_put(probe, item.target(), item.put(i64::MAX, b"1:a")).await?;
    require_stored(probe, item.target(), i64::MAX, b"1:a").await
}

async fn cas(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    must_put(probe, item.target(), item.put(6, b"1:b").int("cas", 5)).await?;
    require_stored(probe, item.target(), 6, b"1:b").await
}

async fn cas_mismatch(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    let reply = try_put(probe, item.target(), item.put(6, b"1:b").int("cas", 4)).await?;
    require_code(reply.as_ref(), 301)?;
    require_stored(probe, item.target(), 5, b"1:a").await
}

async fn cas_on_nothing(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let item = Mutable::new(&mut probe.rng);
    must_put(probe, item.target(), item.put(1, b"1:a").int("cas", 9)).await?;
    require_stored(probe, item.target(), 1, b"1:a").await
}

async fn omitted(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    for seq in [5, 6] {
        let reply = probe.ask(Seat::Main, Query::get(item.target()).int("seq", seq)).await?;
        reply.response()?;
        for key in ["v", "k", "sig"] {
            require!(reply.get(key).is_none(), "`{key}` all the same for `seq` = {seq}");
        }
        require!(reply.get("seq").and_then(Item::int) == Some(5), "no `seq` of the stored item");
    }
    Ok(())
}

async fn newer(probe: &mut Probe) -> Judged {
    let item = an_item(probe, 5).await?;
    let reply = probe.ask(Seat::Main, Query::get(item.target()).int("seq", 4)).await?;
    reply.response()?;
    require_value(&reply, b"1:a")
}

async fn no_salt(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let item = Mutable::new(&mut probe.rng).salted(*b"pepper");
    must_put(probe, item.target(), item.put(1, b"1:a")).await?;
    let reply = stored(probe, item.target()).await?;
    require_value(&reply, b"1:a")?;
    require!(reply.get("salt").is_none(), "a `salt` beside the value");
    Ok(())
}
