//! The laws that one node can break: P4, P5, P7, P8, P19.

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::{
    Body, Codec, Instant, Keyspace, LookupOptions, Malformed, Message, Protocol, Service, TransactionId,
};

use super::mangle::{Bytes, anything, mangled};
use super::subject::{Sent, Subject, ask, is_reply, read, stranger};
use super::{Kit, Law, Proof, Violation};
use crate::addresses::address_v4;

/// Lookups that a node has under way when its clock jumps.
const LOOKUPS: usize = 4;
/// Datagrams that a node may send in the second after that (P5), beside those that it would have sent anyway.
const STORM: usize = 64;
/// One in so many datagrams of random bytes may be answered, for it may be a request.
const LUCKY: usize = 16;

/// A node asks, is asked, and waits in vain; an hour passes.
pub(super) fn timers<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Timers;
    let mut subject = kit.newborn(law);
    let mut rng = kit.rng(law);
    subject.node.bootstrap(subject.now, &[address_v4(1)]);
    for (n, request) in kit.draw_requests(law, 64).into_iter().enumerate() {
        subject.node.request(subject.now, stranger(n), None, request.clone());
        let body = Body::Request { sender: P::Key::random(&mut rng), read_only: false, request };
        let message = Message { transaction: TransactionId::from(rng.next_u32()), observed: None, body };
        subject.node.handle_message(subject.now, stranger(100 + n), message);
        while subject.node.poll_message().is_some() {}
        while subject.node.poll_event().is_some() {}
        subject.ring(kit)?;
        if subject.node.outstanding() > 0 && subject.node.poll_timeout().is_none() {
            let case = "a node that waits for an answer, and for no deadline";
            return Err(kit.violation(law, case, "a deadline while work is pending"));
        }
    }
    let sent = subject.pass(kit, Duration::from_secs(3_600))?.len();
    Ok(format!("an hour, {sent} datagrams"))
}

/// A node with lookups under way finds that it is another time.
pub(super) fn clock<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    const HOUR: Duration = Duration::from_secs(3_600);
    const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    let jumps: [fn(Instant) -> Instant; 5] =
        [|was| was + HOUR, |was| was - HOUR, |was| was + YEARS, |_| Instant::NEVER, |_| Instant::ZERO];
    let (_, calm) = second_after(kit, |was| was)?;
    let mut most = 0;
    for jump in jumps {
        let (was, sent) = second_after(kit, jump)?;
        most = most.max(sent);
        if sent > calm + STORM {
            let case = format!(
                "a clock that goes from {was:?} to {:?}, and a second with {sent} datagrams",
                jump(was)
            );
            return Err(kit.violation(
                Law::Clock,
                case,
                format!("at most {STORM} more than the {calm} without a jump"),
            ));
        }
    }
    Ok(format!("{} jumps, at most {most} datagrams in the second after, {calm} without a jump", jumps.len()))
}

/// When a clock jumps, and how many datagrams its node sends in the second after that. Then the clock jumps at every request.
fn second_after<P: Protocol, S: Service<P> + Send + 'static>(
    kit: &Kit<P, S>,
    jump: impl Fn(Instant) -> Instant,
) -> Result<(Instant, usize), Violation> {
    let law = Law::Clock;
    let specimens = kit.specimens(law)?;
    let mut subject = Subject { node: specimens.node, now: specimens.now };
    let mut rng = kit.rng(law);
    for _ in 0..LOOKUPS {
        let target = P::Key::random(&mut rng);
        let _ = subject.node.lookup(subject.now, target, P::find_node(target), LookupOptions::default());
    }
    subject.sent();
    subject.pass(kit, Duration::from_millis(rng.below(3_000) as u64))?;
    let was = subject.now;
    subject.now = jump(was);
    let mut sent = subject.ring(kit)?.len();
    for _ in 0..100 {
        subject.now = subject.now + Duration::from_millis(10);
        if subject.node.poll_timeout().is_some_and(|due| due <= subject.now) {
            sent += subject.ring(kit)?.len();
        }
    }
    for (n, request) in kit.draw_requests(law, 16).into_iter().enumerate() {
        subject.now = Instant::from_micros(rng.next_u64() >> rng.below(64));
        subject.receive(stranger(n), &ask::<P>(P::Key::random(&mut rng), rng.next_u32(), request));
        subject.ring(kit)?;
    }
    Ok((was, sent))
}

pub(super) fn silence<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Silence;
    let specimens = kit.specimens(law)?;
    let junk = kit.draw(law, &mangled(&specimens.known), kit.cases as usize);
    let random = kit.draw(law, &anything(200), kit.cases as usize);
    let mut subject = Subject { node: specimens.node, now: specimens.now };
    let (mut answers, mut lucky) = (0, 0);
    let all = random.iter().chain(&junk).chain(specimens.known.iter());
    for (n, bytes) in all.enumerate() {
        // What the node does by itself, it does now.
        subject.pass(kit, Duration::from_millis(20))?;
        let from = stranger(n);
        let sent = subject.receive(from, &bytes.0);
        let replies = judge::<P>(from, &bytes.0, &sent).map_err(|expected| {
            let said: Vec<_> = sent.iter().map(|(to, bytes)| (to, Bytes(bytes.clone()))).collect();
            kit.violation(law, format!("{bytes:?}, at which the node sends {said:?}"), expected)
        })?;
        answers += replies;
        lucky += if n < random.len() { replies } else { 0 };
    }
    if lucky * LUCKY > random.len() {
        let case = format!("{lucky} of {} datagrams of random bytes, which were answered", random.len());
        return Err(kit.violation(
            law,
            case,
            format!("at most one in {LUCKY}: silence on what is no message"),
        ));
    }
    let thrown = random.len() + junk.len() + specimens.known.len();
    Ok(format!("{thrown} datagrams, {answers} answers, {lucky} of them to random bytes"))
}

/// How many replies were sent to a datagram, unless that is more than may be.
fn judge<P: Protocol>(from: SocketAddr, datagram: &[u8], sent: &Sent) -> Result<usize, String> {
    let says: Vec<_> = sent.iter().map(|(to, bytes)| (*to, read::<P>(bytes))).collect();
    if says.iter().any(|(_, message)| message.is_none()) {
        return Err("messages that can be read".into());
    }
    let messages = || says.iter().filter_map(|(to, message)| Some((*to, message.as_ref()?)));
    let replies: Vec<_> = messages().filter(|(_, message)| is_reply(message)).collect();
    let back = messages().filter(|(to, message)| *to == from && !is_reply(message)).count();
    let rule = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(rule.to_string()) };
    rule(
        replies.len() <= 1 && replies.iter().all(|(to, _)| *to == from),
        "at most one reply, and to the sender",
    )?;
    let echoes =
        |transaction: TransactionId| replies.iter().all(|(_, reply)| reply.transaction == transaction);
    match P::Codec::decode(datagram) {
        Ok(Message { transaction, body: Body::Request { .. }, .. }) => {
            rule(echoes(transaction), "the request's transaction in the reply (P35)")?;
            rule(back <= 1, "at most one request to whoever asks (P21)")?;
        }
        Err(Malformed::Request { transaction, .. }) => {
            rule(echoes(transaction), "the request's transaction in the reply (P35)")?;
            let errors = replies.iter().all(|(_, reply)| matches!(reply.body, Body::Error { .. }));
            rule(errors && back == 0, "at most an error")?;
        }
        Ok(_) | Err(Malformed::Garbage(_)) => rule(replies.is_empty() && back == 0, "silence")?,
    }
    Ok(replies.len())
}

/// Half of a flood is requests, half junk; everybody sends once. Then somebody asks.
pub(super) fn bounds<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Bounds;
    let specimens = kit.specimens(law)?;
    let junk = kit.draw(law, &mangled(&specimens.known), kit.cases as usize);
    let requests = kit.draw_requests(law, 4 * kit.cases as usize);
    let mut subject = Subject { node: specimens.node, now: specimens.now };
    let mut rng = kit.rng(law);
    let (mut memory, mut held) = (0, 0);
    for (n, request) in requests.into_iter().enumerate() {
        subject.pass(kit, Duration::from_millis(2))?;
        let (asker, key) = (stranger(2 * n), P::Key::random(&mut rng));
        let sent = subject.receive(asker, &ask::<P>(key, rng.next_u32(), request.clone()));
        for body in sent.iter().filter_map(|(_, bytes)| Some(read::<P>(bytes)?.body)) {
            if let Body::Response { response, .. } = body
                && let Some(next) = (kit.follow_up)(&request, &response)
            {
                subject.receive(asker, &ask::<P>(key, rng.next_u32(), next));
            }
        }
        subject.receive(stranger(2 * n + 1), junk.get(n % junk.len()).map_or(&[], |junk| &junk.0));
        if n % 64 == 0 {
            memory = memory.max(subject.in_order(kit, n)?);
            held = held.max(kit.weigh(subject.node.service(), &format!("a node after {n} requests"))?);
        }
    }
    subject.pass(kit, Duration::from_secs(60))?;
    let (asker, key, transaction) = (address_v4(999_999), P::Key::random(&mut rng), TransactionId::from(7));
    let sent = subject.receive(asker, &ask::<P>(key, 7, P::ping()));
    let answers = sent.iter().filter_map(|(to, bytes)| Some((*to, read::<P>(bytes)?)));
    let answered = |(to, message): (_, Message<P>)| {
        to == asker && message.transaction == transaction && matches!(message.body, Body::Response { .. })
    };
    if !subject.node.config().read_only && !answers.into_iter().any(answered) {
        return Err(kit.violation(law, "a ping a minute after the flood", "a response"));
    }
    Ok(format!(
        "{} requests and as much junk, {memory} bytes in the engine, {held} in the service",
        4 * kit.cases
    ))
}

impl<P: Protocol, S: Service<P> + Send + 'static> Subject<P, S> {
    /// Bytes that a node in order holds.
    fn in_order(&self, kit: &Kit<P, S>, requests: usize) -> Result<usize, Violation> {
        match self.node.check() {
            Ok(()) => Ok(self.node.memory()),
            Err(broken) => {
                let case = format!("a node after {requests} requests and as much junk: {broken}");
                Err(kit.violation(Law::Bounds, case, "a node that finds itself in order (P8)"))
            }
        }
    }
}
