#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::time::Duration;

use kademlia_core::Effort;

use super::*;

fn small() -> Scenario {
    Scenario { nodes: 300, trials: 20, ..Scenario::default() }
}

#[test]
fn without_faults_everything_is_found_by_its_true_neighbours() {
    for organic in [false, true] {
        let outcome = Scenario { organic, reader: Effort::Plain, ..small() }.run();
        assert!(outcome.is_complete() && outcome.lost.is_empty(), "{outcome:?}");
        assert!(outcome.recall > 0.999 && outcome.nodes == 300, "{outcome:?}");
        assert!((200.0..450.0).contains(&outcome.size), "{outcome:?}");
        assert_eq!(outcome.crowded, 0);
    }
}

#[test]
fn equal_scenarios_have_equal_outcomes() {
    let faulty = Scenario { loss: 0.1, stale: 0.3, churn: 0.2, attack: Attack::Share(0.1), ..small() };
    let scenario = Scenario { nodes: 100, trials: 5, ..faulty };
    let outcome = scenario.run();
    assert_eq!(outcome, scenario.run());
    assert_ne!(outcome.trace, Scenario { seed: 2, ..scenario }.run().trace);
}

#[test]
fn t1_t2_attacks_succeed_against_the_plain_and_fail_against_the_hardened() {
    for attack in [Attack::Subnets(20), Attack::Share(0.2)] {
        let with = |effort| Scenario { attack, writer: effort, reader: effort, ..small() }.run();
        let (plain, hardened) = (with(Effort::Plain), with(Effort::Hardened));
        assert!(plain.success() <= 0.5, "{attack}: {plain:?}");
        assert!(hardened.success() >= 0.95, "{attack}: {hardened:?}");
    }
}

#[test]
fn nodes_come_and_go_and_announcements_outlive_it() {
    let scenario = Scenario {
        sessions: Duration::from_secs(1_800),
        wait: Duration::from_secs(900),
        ..Scenario { loss: 0.05, ..small() }
    };
    let outcome = scenario.run();
    assert!(outcome.nodes < 300 && outcome.success() >= 0.95, "{outcome:?}");
}

#[test]
fn an_observed_search_is_the_one_that_the_outcome_counts() {
    let scenario = Scenario { loss: 0.05, stale: 0.3, trials: 5, ..small() };
    let (outcome, observed) = scenario.observe(3, &mut |_, _| {});
    assert_eq!(outcome, scenario.run(), "watching changes nothing");
    let observed = observed.unwrap();
    assert_eq!(observed.trial, 3);
    assert!(observed.took.is_some() && !observed.holders.is_empty());
    assert!(observed.asks.iter().any(|ask| ask.answer.is_some_and(|answer| answer.peers > 0)));
    assert!(observed.asks.iter().any(|ask| ask.role == Role::Dead && ask.answer.is_none()));
    for (place, ask) in observed.asks.iter().enumerate() {
        assert!(ask.named_by.is_none_or(|by| by < place && observed.asks[by].answer.is_some()));
    }
    assert!(observed.transcript.to_string().contains("LookupDone"));
    assert!(scenario.observe(5, &mut |_, _| {}).1.is_none(), "there are 5 trials only");
}

#[test]
fn those_behind_nats_are_told_apart_whatever_their_ports() {
    let scenario = Scenario { nat: 0.5, trials: 4, ..small() };
    for trial in 0..4 {
        let observed = scenario.observe(trial, &mut |_, _| {}).1.unwrap();
        assert!(
            observed.asks.iter().all(|ask| ask.key != observed.target),
            "each was known by name: {observed:?}"
        );
        assert!(observed.asks.iter().any(|ask| ask.answer.is_none()) && observed.took.is_some());
    }
}

#[test]
fn p8_p23_p46_a_small_network_lives_through_a_few_plans() {
    let swarm = Swarm { nodes: 25, length: Duration::from_secs(300), ..Swarm::default() };
    for seed in 0..4 {
        let plan = swarm.plan(seed);
        let trace = swarm.endure(seed, &plan);
        assert!(trace.is_ok(), "{trace:?}: {plan}\nreplay with: {}", swarm.replay(seed, &[]));
        assert_eq!(trace, swarm.endure(seed, &plan));
    }
}

#[test]
fn a_plan_that_was_shrunk_fails_again_in_the_same_way() {
    // With no time to recover somebody is lonely.
    let swarm = Swarm { nodes: 12, length: Duration::from_secs(120), recovery: Duration::ZERO };
    let failing = (0..20).find(|seed| swarm.endure(*seed, &swarm.plan(*seed)).is_err()).unwrap();
    let plan = swarm.plan(failing);
    let shrunk = swarm.shrink(failing, &plan);
    assert!(shrunk.plan != plan && !shrunk.steps.is_empty());
    let again = swarm.shrunk(failing, &shrunk.steps).unwrap();
    assert_eq!(again, shrunk.plan);
    assert_eq!(swarm.endure(failing, &again), swarm.endure(failing, &shrunk.plan));
    assert!(swarm.endure(failing, &again).is_err());
    let steps: Vec<_> = shrunk.steps.iter().map(usize::to_string).collect();
    let line = swarm.replay(failing, &shrunk.steps);
    assert!(line.ends_with(&format!("--recovery 0s --shrunk {} --replay", steps.join(","))), "{line}");
    assert_eq!(swarm.shrunk(failing, &[1_000]), None);
}

#[test]
fn nodes_behind_nats_announce_and_search() {
    let natted = Preset::named("natted").unwrap().scenario();
    let outcome = Scenario { nodes: 300, trials: 40, ..natted }.run();
    println!("{outcome:?}");
    assert!(outcome.is_complete(), "{outcome:?}");
    let trials = outcome.by_place.map(|readers| readers.map(|found| found.trials));
    assert!(trials.as_flattened().iter().all(|trials| *trials >= 4), "{trials:?}");
    assert_eq!(trials.as_flattened().iter().sum::<usize>(), 40);
}

#[test]
fn scenarios_print_as_flags() {
    let eclipse = Preset::named("eclipse").unwrap().scenario();
    let flags = "--seed 1 --nodes 1000 --trials 100 --loss 0.05 --stale 0.3 --attack subnets:8";
    assert_eq!(eclipse.to_string(), flags);
    let natted = Preset::named("natted").unwrap().scenario();
    assert_eq!(natted.to_string(), "--seed 1 --nodes 1000 --trials 100 --loss 0.05 --nat 0.5");
    let fixed = Scenario::default().with_fixed_timeout(Duration::from_secs(2)).to_string();
    assert!(fixed.ends_with("--fixed-timeout 2000ms"), "{fixed}");
    assert!(Preset::named("perfect").is_none());
}

#[test]
fn attacks_and_efforts_are_read_as_they_are_written() {
    for text in ["none", "subnets:8", "share:0.1"] {
        assert_eq!(text.parse::<Attack>().unwrap().to_string(), text);
    }
    for text in ["", "all", "subnets", "subnets:0", "subnets:x", "share:0.6", "share:-1", "share:NaN"] {
        assert_eq!(text.parse::<Attack>(), Err(NotAnAttack), "{text}");
    }
    for name in ["plain", "dense", "reinforced", "hardened"] {
        assert_eq!(effort_from(name).map(effort_name), Ok(name));
    }
    assert_eq!(effort_from("best"), Err(NotAnEffort));
}

#[test]
fn the_attack_table_is_a_page() {
    let page = AttackTable::run(1, 60, 1, &mut |_, _| {}).to_string();
    assert!(page.contains("--seed 1 --nodes 60 --trials 1") && !page.contains('{'), "{page}");
    assert_eq!(page.lines().filter(|line| line.starts_with("| plain |")).count(), 4);
}
