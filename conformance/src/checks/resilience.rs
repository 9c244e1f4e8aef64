//! What keeps a node from being misused against others. No BEP has it, but T10's silence towards replies, without which two
//! nodes could be made to talk to each other for ever.

use crate::bencode::{dict, int, show, string};
use crate::check::Check;
use crate::check::Level::Practice;
use crate::checks::bep32::crowd;
use crate::checks::conventions::is_martian;
use crate::probe::{Probe, Seat, Sizes};
use crate::query::Query;
use crate::verdict::{Judged, Unmet, given, require};

/// The minimum MTU of IPv6 less headers.
const LONGEST: usize = 1_232;

pub(super) const CHECKS: &[Check] = &[
    Check::asked("T6", "differ", Practice, "tokens differ by IP address, and have 4 bytes or more", |p| {
        Box::pin(tokens_differ(p))
    }),
    Check::asked("T6", "linear", Practice, "no three tokens tell the fourth", |p| {
        Box::pin(tokens_are_not_linear(p))
    }),
    Check::reviewed("T9", "longest", Practice, "no datagram is longer than 1,232 bytes", longest),
    Check::asked(
        "T9",
        "short",
        Practice,
        "who never answered gets 3 times his query at most: pings, errors, nodes",
        |p| Box::pin(short(p)),
    ),
    Check::asked(
        "T9",
        "long",
        Practice,
        "who never answered gets 5 times his query at most: peers, tokens, samples",
        |p| Box::pin(long(p)),
    ),
    Check::asked("T9", "want", Practice, "what `want` names twice comes once", |p| Box::pin(want_twice(p))),
    Check::asked("T10", "junk", Practice, "what is no bencode, or no message, meets silence", |p| {
        Box::pin(junk(p))
    }),
    Check::asked(
        "T10",
        "replies",
        Practice,
        "responses and errors that nobody waits for meet silence",
        |p| Box::pin(replies(p)),
    ),
    Check::asked(
        "T11",
        "bombs",
        Practice,
        "nested, endless and impossible bencode meets silence, and does no harm",
        |p| Box::pin(bombs(p)),
    ),
    Check::asked("T12", "echo", Practice, "a long `t`, `v` or token comes back in no long datagram", |p| {
        Box::pin(echo(p))
    }),
    Check::reviewed("T13", "martians", Practice, "nobody is handed out whom no packet can reach", martians),
    Check::reviewed("T13", "itself", Practice, "the node does not hand out itself", itself),
];

async fn token(probe: &mut Probe, seat: Seat, target: [u8; 20]) -> Result<Vec<u8>, Unmet> {
    probe.ask(seat, Query::get_peers(target)).await?.token()
}

async fn tokens_differ(probe: &mut Probe) -> Judged {
    let target = probe.random_key();
    let own = token(probe, Seat::Main, target).await?;
    require!(own.len() >= 4, "a token of {} bytes can be guessed", own.len());
    if probe.has_elsewhere() {
        let other = token(probe, Seat::Elsewhere, target).await?;
        require!(own != other, "the same token for two IP addresses");
    }
    Ok(())
}

/// If the XOR of a token for each address is the same for two targets, who has three tokens has the fourth.
async fn tokens_are_not_linear(probe: &mut Probe) -> Judged {
    given!(probe.has_elsewhere(), "this host has one address only to ask from");
    let targets = [probe.random_key(), probe.random_key()];
    let mut differences = Vec::new();
    let mut by_target = Vec::new();
    for target in targets {
        let own = token(probe, Seat::Main, target).await?;
        let other = token(probe, Seat::Elsewhere, target).await?;
        differences.push(own.iter().zip(&other).map(|(a, b)| a ^ b).collect::<Vec<_>>());
        by_target.push(own);
    }
    given!(by_target[0] != by_target[1], "its tokens are the same for all targets");
    require!(
        differences[0] != differences[1],
        "tokens of two addresses differ by the same bits for every target"
    );
    Ok(())
}

fn longest(probe: &Probe) -> Judged {
    let longest = probe.seen.sizes.longest;
    require!(longest <= LONGEST, "{longest} bytes");
    Ok(())
}

async fn short(probe: &mut Probe) -> Judged {
    for query in
        [Query::ping(), Query::new("no_such_method"), Query::new("find_node"), Query::find_node([0x70; 20])]
    {
        probe.try_ask(Seat::Mute, query).await?;
    }
    amplified(probe, 0, 3.0)
}

async fn long(probe: &mut Probe) -> Judged {
    let info_hash = crowd(probe).await?;
    let want = || b"l2:n42:n6e".to_vec();
    for query in [
        Query::find_node([0x70; 20]).raw("want", want()),
        Query::get_peers(info_hash),
        Query::get_peers(info_hash).raw("want", want()),
        Query::sample([0x70; 20]),
        Query::sample([0x70; 20]).raw("want", want()),
    ] {
        probe.try_ask(Seat::Mute, query).await?;
    }
    amplified(probe, 1, 5.0)
}

fn amplified(probe: &Probe, class: usize, limit: f64) -> Judged {
    if let Some(worst) = &probe.seen.sizes.amplified[class] {
        require!(worst.figure <= limit, "{:.1} times, for {}", worst.figure, worst.query);
    }
    Ok(())
}

async fn want_twice(probe: &mut Probe) -> Judged {
    let name = if probe.target.is_ipv6() { "2:n6" } else { "2:n4" };
    let mut sizes = Vec::new();
    for times in [1, 40] {
        let want = ["l", &name.repeat(times), "e"].concat().into_bytes();
        let reply = probe.ask(Seat::Main, Query::find_node([0x7a; 20]).raw("want", want)).await?;
        reply.response()?;
        sizes.push(reply.get("nodes").or(reply.get("nodes6")).map_or(0, |nodes| nodes.raw.len()));
    }
    // A node more or less may have come or gone meanwhile.
    require!(sizes[1] <= sizes[0] + 2 * 38, "{} bytes of nodes instead of {}", sizes[1], sizes[0]);
    Ok(())
}

/// Requires silence for each of these, and that the node goes on.
async fn silence(probe: &mut Probe, datagrams: &[Vec<u8>]) -> Judged {
    for datagram in datagrams {
        if let Some(answer) = probe.provoke(Seat::Main, datagram).await? {
            return Err(Unmet::failed(format!("{} for {}", show(&answer), show(datagram))));
        }
    }
    Ok(())
}

async fn junk(probe: &mut Probe) -> Judged {
    let mut noise = vec![0; 100];
    probe.rng.fill(&mut noise);
    let id = probe.id(Seat::Main);
    let arguments = dict(&[("id", string(id))]);
    let message = |y: &str| {
        dict(&[("a", arguments.clone()), ("q", string("ping")), ("t", string("jk")), ("y", string(y))])
    };
    let ping = message("q");
    let cut = ping.get(..ping.len() - 1).unwrap_or_default().to_vec();
    silence(
        probe,
        &[
            Vec::new(),
            noise,
            cut,
            b"4:ping".to_vec(),
            b"de".to_vec(),
            message("x"),
            dict(&[("a", arguments.clone()), ("q", string("ping")), ("t", string("jk"))]),
        ],
    )
    .await
}

async fn replies(probe: &mut Probe) -> Judged {
    let id = probe.id(Seat::Main);
    let response = |r: Vec<u8>| dict(&[("r", r), ("t", string("aa")), ("y", string("r"))]);
    let error = |e: Vec<u8>| dict(&[("e", e), ("t", string("aa")), ("y", string("e"))]);
    silence(
        probe,
        &[
            response(dict(&[("id", string(id))])),
            response(dict(&[])),
            error(b"li201e23:A Generic Error Ocurrede".to_vec()),
            error(int(7)),
        ],
    )
    .await
}

async fn bombs(probe: &mut Probe) -> Judged {
    silence(
        probe,
        &[
            vec![b'l'; 1_400],
            b"d1:a".repeat(350),
            b"d1:t99999999999:aa1:y1:qe".to_vec(),
            b"d1:ti-0e1:y1:qe".to_vec(),
            [b"d1:ti".as_slice(), &[b'9'; 1_000], b"e1:y1:qe"].concat(),
            b"d1:t-1:aa1:y1:qe".to_vec(),
        ],
    )
    .await
}

/// What comes for these counts for nothing else: where a `t` of any length has to come back, BEP 32's limit cannot hold.
async fn echo(probe: &mut Probe) -> Judged {
    let before = probe.seen.sizes.clone();
    probe.seen.sizes = Sizes::default();
    let long = vec![b'x'; 1_000];
    for query in [
        Query::ping().transaction(long.clone()),
        Query::ping().top("v", string(&long)),
        Query::announce([0x12; 20], 6_881, &long),
        Query::new("no_such_method").transaction(long.clone()),
    ] {
        // What is too long to be read is seen all the same.
        probe.try_ask(Seat::Main, query).await?;
    }
    let longest = std::mem::replace(&mut probe.seen.sizes, before).longest;
    probe.ask(Seat::Main, Query::ping()).await?;
    require!(longest <= LONGEST, "{longest} bytes");
    Ok(())
}

fn martians(probe: &Probe) -> Judged {
    let is_local = probe.is_exempt();
    for node in &probe.seen.named {
        let unreachable = if is_local { node.addr.port() == 0 } else { is_martian(node.addr) };
        require!(!unreachable, "{} is handed out", node.addr);
    }
    Ok(())
}

fn itself(probe: &Probe) -> Judged {
    let own =
        probe.seen.named.iter().find(|node| probe.seen.ids.contains(&node.id) || node.addr == probe.target);
    require!(own.is_none(), "its own contact was among the nodes");
    Ok(())
}
