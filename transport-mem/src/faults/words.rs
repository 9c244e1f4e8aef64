//! A plan in one line.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::FaultPlan;
use crate::link::{Bursts, Latency, LinkModel};

/// Faults beyond this number are only counted.
const NAMED: usize = 8;

/// In one line what is on; of a plan in which nothing goes wrong, its length.
impl Display for FaultPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.length, Links(&self.model))?;
        if self.skew > 0 {
            write!(f, ", skew ±{} ppm", self.skew)?;
        }
        for (nat, share) in &self.nats {
            write!(f, ", NAT {} {:?} {:?}", Percent(*share), nat.kind, nat.mapping)?;
        }
        if let Some(churn) = &self.churn {
            let (session, pause) = (churn.session, churn.pause);
            write!(
                f,
                ", churn {:?} up, {:?} down, shape {:.2}",
                session.median, pause.median, session.shape
            )?;
            write!(f, ", {} remember, {} stay", Percent(churn.keep_state), Percent(churn.stays))?;
        }
        for (hostility, share) in &self.hostile {
            write!(f, ", hostile {} {hostility:?}", Percent(*share))?;
        }
        for (at, fault) in self.faults.iter().take(NAMED) {
            write!(f, ", {fault:?} at {at:.1?}")?;
        }
        if self.faults.len() > NAMED {
            write!(f, ", {} more faults", self.faults.len() - NAMED)?;
        }
        if self.spared > 0 {
            write!(f, ", {} spared", self.spared)?;
        }
        Ok(())
    }
}

struct Links<'a>(&'a LinkModel);

impl Display for Links<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let LinkModel { latency, jitter, loss, bursts, duplicate, reorder, hold, corrupt, mtu, oneway } =
            self.0;
        match latency {
            Latency::Constant(latency) => write!(f, "latency {latency:.1?}")?,
            Latency::Uniform { min, max } => write!(f, "latency {min:.1?} to {max:.1?}")?,
            Latency::HeavyTailed { floor, median, ceiling } => {
                write!(f, "latency {floor:.1?} to {ceiling:.1?}, median {median:.1?}")?;
            }
        }
        let shares = [
            ("jitter", *jitter),
            ("loss", *loss),
            ("duplicates", *duplicate),
            ("corruption", *corrupt),
            ("one-way pairs", *oneway),
        ];
        for (what, share) in shares.into_iter().filter(|(_, share)| *share > 0.0) {
            write!(f, ", {what} {}", Percent(share))?;
        }
        if *reorder > 0.0 && *hold > Duration::ZERO {
            write!(f, ", reordering {} by {hold:.1?}", Percent(*reorder))?;
        }
        if let Some(Bursts { share, length, loss }) = bursts {
            write!(f, ", bursts {} of the time, {length:.1?}, loss {}", Percent(*share), Percent(*loss))?;
        }
        if *mtu < LinkModel::internet().mtu {
            write!(f, ", MTU {mtu}")?;
        }
        Ok(())
    }
}

/// A share for readers: two digits are enough, and a small share is not zero.
struct Percent(f64);

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.0;
        let digits = usize::from(percent < 10.0);
        write!(f, "{percent:.digits$} %")
    }
}
