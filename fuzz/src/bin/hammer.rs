//! Runs a target on its corpus, mutated at random: fuzzing for a compiler without coverage.
//!
//! `hammer TARGET TIMES [SEED]`; an input that fails is in the panic's place printed as hexadecimal digits.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::ExitCode;

use fuzz::TARGETS;
use kademlia_core::Rng;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let target = arguments.first().and_then(|name| TARGETS.iter().find(|(known, _)| known == name));
    let times = arguments.get(1).and_then(|times| times.parse::<u64>().ok());
    let (Some((name, target)), Some(times)) = (target, times) else {
        eprintln!("usage: hammer {{bencode|krpc|node|stores}} TIMES [SEED]");
        return ExitCode::from(2);
    };
    let seed = arguments.get(2).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let corpus = corpus(name);
    let mut rng = Rng::from_number(seed);
    for _ in 0..times {
        let input = mutated(&corpus, &mut rng);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{name} fails on {hex}");
            resume_unwind(panic);
        }
    }
    println!("{name}: {times} executions from {} inputs, seed {seed}", corpus.len());
    ExitCode::SUCCESS
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut inputs: Vec<_> = files.filter_map(|file| std::fs::read(file.path()).ok()).collect();
    inputs.sort_unstable();
    inputs.push(Vec::new());
    inputs
}

/// One input with some bytes changed, doubled, left out, or put in from another.
fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let any = |rng: &mut Rng| corpus.get(rng.below(corpus.len())).cloned().unwrap_or_default();
    let mut input = any(rng);
    for _ in 0..rng.below(8) {
        let at = rng.below(input.len() + 1);
        let end = (at + 1 + rng.below(16)).min(input.len());
        match rng.below(6) {
            0 => input.insert(at, any_byte(rng)),
            1 => drop(input.drain(at.min(end)..end)),
            2 => {
                let part = input[at.min(end)..end].to_vec();
                input.splice(at..at, part);
            }
            3 => {
                let other = any(rng);
                let from = rng.below(other.len() + 1);
                let part = &other[from..(from + rng.below(64)).min(other.len())];
                input.splice(at..at, part.iter().copied());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = if rng.below(2) == 0 { *byte ^ 1 << rng.below(8) } else { any_byte(rng) };
                }
            }
        }
    }
    input.truncate(4_096);
    input
}

fn any_byte(rng: &mut Rng) -> u8 {
    rng.next_u64().to_le_bytes()[0]
}
