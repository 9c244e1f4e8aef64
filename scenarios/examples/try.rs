use kademlia_core::Effort;
use kademlia_scenarios::*;
fn main() {
    let mut s = Scenario::default();
    for arg in std::env::args().skip(1) {
        let (k, v) = arg.split_once('=').unwrap();
        let f = || v.parse::<f64>().unwrap();
        let e = || match v {
            "plain" => Effort::Plain,
            "dense" => Effort::Dense,
            "re" => Effort::Reinforced,
            _ => Effort::Hardened,
        };
        match k {
            "seed" => s.seed = f() as u64,
            "nodes" => s.nodes = f() as usize,
            "loss" => s.loss = f(),
            "stale" => s.stale = f(),
            "churn" => s.churn = f(),
            "bound" => s.bound = f(),
            "subnets" => s.attack = Attack::Subnets(f() as usize),
            "share" => s.attack = Attack::Share(f()),
            "w" => s.writer = e(),
            "r" => s.reader = e(),
            "both" => {
                s.writer = e();
                s.reader = e();
            }
            "trials" => s.trials = f() as usize,
            "organic" => s.organic = f() > 0.0,
            "paths" => s.config.lookup.paths = f() as usize,
            "dense" => s.config.lookup.dense = f() as usize,
            "most" => s.config.lookup.dense_most = f() as usize,
            "retries" => s.config.rpc.retries = f() as u8,
            "budget" => s.config.lookup.messages = f() as usize,
            "quota" => s.config.lookup.per_path = f() as usize,
            "k" => s.config.k = f() as usize,
            _ => panic!("{k}"),
        }
    }
    let t = std::time::Instant::now();
    let o = s.run();
    println!(
        "{:.2}% of {} | get msgs p50 {} p99 {} hops {} took p50 {:?} p99 {:?} | put msgs p50 {} p99 {} holders {} {} took {:?} | first p50 {:?} p95 {:?} | recall {:.4} size {} crowded {} | {:.1?}",
        100.0 * o.found as f64 / o.trials as f64,
        o.trials,
        o.searches.messages.p50,
        o.searches.messages.p99,
        o.searches.hops.p50,
        o.searches.took.p50,
        o.searches.took.p99,
        o.announcements.messages.p50,
        o.announcements.messages.p99,
        o.holders.p50,
        o.holders.max,
        o.announcements.took.p50,
        o.first.p50,
        o.first.p95,
        o.recall,
        o.size,
        o.crowded,
        t.elapsed()
    );
}
