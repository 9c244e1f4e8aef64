use clap::CommandFactory;
use kademlia_scenarios::{Scenario, Swarm, effort_name};

use super::*;

const HASH: &str = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("kad").chain(line.split(' ')))
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_shows_examples() {
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains(&format!("kad {}", command.get_name())), "{}", command.get_name());
    }
}

#[test]
fn fs_b8_run_knows_its_flags() {
    let line = "run --bind 0.0.0.0:6881 --bind [::]:6881 --bootstrap a.example:1 --bootstrap [::1]:2 \
        --state-file s --public-ip 198.51.100.7 --strict-bep42 --log debug --limit inbound.per_ip=0";
    let Command::Run(run) = parse(line).unwrap().command else { panic!("not run") };
    assert_eq!((run.bind.len(), run.bootstrap.len(), run.public_ip.len()), (2, 2, 1));
    assert!(run.strict_bep42 && !run.no_bootstrap && !run.read_only);
    assert_eq!(run.save_every, Duration::from_secs(300));
    assert!(parse("run --no-bootstrap").is_ok());
    assert!(parse("run --no-bootstrap --bootstrap a:1").is_err());
}

#[test]
fn a_scenario_prints_as_the_flags_that_it_is_read_from() {
    let flags = "--seed 7 --nodes 200 --trials 9 --organic --loss 0.05 --nat 0.5 --stale 0.3 --churn 0.2 --bound 0.6 \
        --sessions 1800s --duration 60s --attack share:0.1 --writer plain --reader hardened --paths 4 --per-path 8 \
        --dense 30 --retries 1 --fixed-timeout 2000ms";
    // The flag had two names before.
    for flags_before in
        [flags.to_owned(), flags.replace("duration", "wait"), flags.replace("duration", "length")]
    {
        let line = format!("sim {flags_before}");
        let Command::Sim(sim) = parse(&line).unwrap().command else { panic!("not sim") };
        assert_eq!(sim.scenario().to_string(), flags);
    }
    let Command::Sim(sim) = parse("sim --scenario lossy --loss 5%").unwrap().command else {
        panic!("not sim")
    };
    let scenario = sim.scenario();
    assert_eq!((scenario.loss, scenario.stale, scenario.churn), (0.05, 0.5, 0.3), "flags over preset");
}

#[test]
fn the_help_of_a_simulation_tells_its_defaults() {
    let scenario = Scenario::default();
    let (lookup, swarm) = (scenario.config.lookup, Swarm::default());
    let command = Cli::command();
    let sim = command.find_subcommand("sim").unwrap();
    for (flag, default) in [
        ("nodes", format!("{}; with --swarm {};", scenario.nodes, swarm.nodes)),
        ("trials", format!("{};", scenario.trials)),
        ("seed", format!("{}]", scenario.seed)),
        ("writer", format!("{}]", effort_name(scenario.writer))),
        ("reader", format!("{}]", effort_name(scenario.reader))),
        ("paths", format!("{}]", lookup.paths)),
        ("per_path", format!("{}]", lookup.per_path)),
        ("dense", format!("{}]", lookup.dense)),
        ("retries", format!("{}]", scenario.config.rpc.retries)),
    ] {
        let argument = sim.get_arguments().find(|argument| argument.get_id() == flag).unwrap();
        let help = argument.get_help().unwrap().to_string();
        assert!(help.contains(&format!("[default: {default}")), "{flag}: {help}");
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for line in [
        "peers",
        "peers xyz",
        "run --bind here",
        "ping",
        "ping host",
        "ping host:0",
        "ping ::1:6881",
        "ping :1",
        "demo --nodes 2",
        "sim --nodes 2",
        "sim --loss 1",
        "sim --loss 101%",
        "sim --scenario unheard-of",
        "sim --attack subnets",
        "sim --reader best",
        "sim --seeds 3",
        "sim --swarm --svg x",
        "sim --swarm --plantuml x",
        "sim --shrunk 1",
        "sim --recovery 1h",
        "find 00",
        "get",
        "get 00",
        "get magnet:?xt=urn:btih:00",
        "get --key 00",
        &format!("get {HASH} --salt x"),
        &format!("get {HASH} --raw --json"),
        "put",
        "put a --salt x",
        "put a --seq 1",
        "put a --cas 1",
        "put a --key k --seq -1",
        "put a --keep-file x",
        "put a -f x",
        "keygen",
        "keygen k --public --import x",
        "conform",
        "conform here:1 --bep 3",
        "conform here:1 --rate 0",
        &format!("announce {HASH}"),
        &format!("announce {HASH} --port 0"),
        &format!("announce {HASH} --port 1 --implied"),
        &format!("peers {HASH} --for ever"),
        &format!("peers {HASH} --limit 0"),
        &format!("peers {HASH} --scrape --limit 1"),
        "sample host:1 --rate 5/s",
        "sample --rate 0/s",
        "id here",
        "decode 00 --file x",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
    assert!(parse(&format!("announce {HASH} --implied")).is_ok());
}

#[test]
fn ids_info_hashes_and_magnet_links_are_targets() {
    for text in [HASH.to_owned(), format!("magnet:?xt=urn:btih:{HASH}")] {
        let Command::Find(find) = parse(&format!("find {text}")).unwrap().command else { panic!("not find") };
        assert_eq!(find.target.info_hash.to_string(), HASH);
    }
}
