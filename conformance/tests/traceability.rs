//! `docs/conformance.md`: every requirement, the checks that judge it from outside, and the tests that are named after it.
//! To write it anew: `UPDATE=1 cargo test -p mainline-conformance --test traceability`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use mainline_conformance::{Check, Group};

const INTRODUCTION: &str = "# Conformance, requirement by requirement

Written by `UPDATE=1 cargo test -p mainline-conformance --test traceability`, and compared by that test with what there is:
the checks of `kad conform`, and the tests whose names have the requirement's number. The paragraphs behind the numbers, and
tests that have other names, are in [bittorrent-profile/CONFORMANCE.md](../bittorrent-profile/CONFORMANCE.md).

Every check is shown able to fail: `conformance/tests/flaws.rs` has a node for each thing that can be wrong.
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The Rust files of all crates.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            sources(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// The functions of a file that are tests.
fn tests(source: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    source.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
        std::mem::take(&mut is_test).then(|| function.split(['(', '<']).next()).flatten()
    })
}

/// The crates whose tests show what a Mainline node of ours does.
const EVIDENCE: [&str; 6] =
    ["bittorrent-profile", "conformance", "kademlia-core", "kademlia-node", "tests", "transport-udp"];

/// The requirements that a test's name tells: 44.6 of `bep44_44_6_…`, C.1 of `c1_…`, T10 of `t10_…`.
fn requirements(name: &str) -> BTreeSet<String> {
    let words: Vec<_> = name.split('_').collect();
    let number = |word: &str| word.parse::<u32>().ok();
    let mut found = BTreeSet::new();
    let mut bep = None;
    for (at, word) in words.iter().enumerate() {
        bep = word.strip_prefix("bep").and_then(number).or(bep);
        // `fs_c1` is a point of another list.
        let is_other = at > 0 && words[at - 1] == "fs";
        if let Some(point) = words.get(at + 1).and_then(|next| number(next))
            && number(word).is_some()
            && number(word) == bep
        {
            found.insert(format!("{word}.{point}"));
        }
        match word.split_at_checked(1) {
            Some(("c", digits)) if !is_other && number(digits).is_some() => {
                found.insert(format!("C.{digits}"))
            }
            Some(("t", digits)) if number(digits).is_some() => found.insert(format!("T{digits}")),
            _ => false,
        };
    }
    found
}

fn page() -> String {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    let mut by_requirement: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let krate = file.strip_prefix(root()).unwrap().iter().next().unwrap().to_string_lossy().into_owned();
        if !EVIDENCE.contains(&krate.as_str()) {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        for name in tests(&source) {
            for requirement in requirements(name) {
                by_requirement.entry(requirement).or_default().insert(format!("{krate}: `{name}`"));
            }
        }
    }
    let mut page = INTRODUCTION.to_owned();
    for group in Group::ALL {
        write!(page, "\n## {group}\n\n| | `kad conform` | tests |\n|---|---|---|\n").unwrap();
        let ids: Vec<_> = Check::all().filter(|check| check.group() == group).map(|check| check.id).collect();
        let mut written = BTreeSet::new();
        for id in ids.into_iter().filter(|id| written.insert(*id)) {
            let checks: Vec<_> = Check::all().filter(|check| check.id == id).map(line).collect();
            let tests: Vec<_> = by_requirement.get(id).into_iter().flatten().cloned().collect();
            writeln!(page, "| {id} | {} | {} |", checks.join("<br>"), tests.join("<br>")).unwrap();
        }
    }
    page
}

/// What a check demands; for what cannot be seen, why.
fn line(check: &Check) -> String {
    match check.unseen_because() {
        Some(why) => format!("{} {}: *not observable: {why}*", check.level, check.rule),
        None => format!("{} `{}`: {}", check.level, check.name, check.rule),
    }
}

#[test]
fn the_page_is_what_there_is() {
    let (file, page) = (root().join("docs/conformance.md"), page());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let difference =
        page.lines().zip(written.lines().chain(std::iter::repeat(""))).find(|(due, is)| due != is);
    assert_eq!(
        difference, None,
        "out of date: UPDATE=1 cargo test -p mainline-conformance --test traceability"
    );
    assert_eq!(page.lines().count(), written.lines().count());
}

#[test]
fn every_requirement_has_a_test() {
    let page = page();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    let untested: Vec<_> = rows.filter(|row| row.ends_with("|  |")).collect();
    assert_eq!(untested, [""; 0]);
    assert!(page.lines().filter(|line| line.starts_with("| ")).count() > 60, "rows are found");
}

#[test]
fn names_tell_requirements() {
    let ids = |name| requirements(name).into_iter().collect::<Vec<_>>();
    assert_eq!(ids("bep5_5_7_5_12_fs_a9_find_node"), ["5.12", "5.7"]);
    assert_eq!(ids("bep5_5_8_bep32_32_5_nodes"), ["32.5", "5.8"]);
    assert_eq!(ids("c3_bep32_32_6_popular"), ["32.6", "C.3"]);
    assert_eq!(ids("fs_c1_bep32_32_1_dual"), ["32.1"]);
    assert_eq!(ids("t10_p19_replies_meet_silence"), ["T10"]);
    assert_eq!(ids("bep44_44_2_1000_bytes"), ["44.2"]);
    assert_eq!(ids("the_page_is_what_there_is"), [""; 0]);
}
