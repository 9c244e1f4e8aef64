//! The seams between the crates, read from their sources and manifests: the core knows no overlay, dependencies point one
//! way, and an overlay takes few lines.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Words of single overlays, of their values and of their formats. What cites a rule's source in a comment may name them.
const FOREIGN: [&str; 16] = [
    "announce",
    "bencode",
    "bittorrent",
    "cbor",
    "infohash",
    "info_hash",
    "keyvalue",
    "key_value",
    "krpc",
    "magnet",
    "mailbox",
    "mainline",
    "scrape",
    "signedrecord",
    "signed_record",
    "torrent",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.append(&mut files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The same without those of tests.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let is_test = |file: &Path| file.iter().any(|part| part == "tests" || part == "tests.rs");
    files(dir).into_iter().filter(|file| !is_test(file.strip_prefix(dir).unwrap())).collect()
}

/// A file's lines of code with their numbers: without comments, and without the tests at its end.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = source.lines().take_while(|line| line.trim() != "mod tests {").enumerate();
    let code = lines.map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default().trim()));
    code.filter(|(_, line)| !line.is_empty())
}

/// A foreign word in a line of code, or a number of a BEP.
fn foreign(line: &str) -> Option<&'static str> {
    let line = line.to_lowercase();
    let bep = line
        .split("bep")
        .skip(1)
        .any(|rest| rest.trim_start_matches([' ', '_']).starts_with(|c: char| c.is_ascii_digit()));
    FOREIGN.into_iter().find(|word| line.contains(word)).or(bep.then_some("a BEP"))
}

#[test]
fn fs_seams_the_core_s_code_names_no_bep_no_value_and_no_overlay() {
    let files = sources(&root().join("kademlia-core/src"));
    assert!(files.len() > 40 && files.iter().any(|file| file.ends_with("node/inbound.rs")), "{files:?}");
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        for (number, line) in code(&source) {
            assert_eq!(foreign(line), None, "{}:{number}: {line}", file.display());
        }
    }
}

#[test]
fn fs_seams_a_foreign_word_in_code_is_found_and_one_in_a_comment_is_not() {
    let found = |source: &str| code(source).find_map(|(number, line)| Some((number, foreign(line)?)));
    assert_eq!(
        found("/// A torrent's (BEP 5).\nfn peers() {} // as in KRPC\nmod tests {\n    fn bep5() {}\n"),
        None
    );
    assert_eq!(found("use x;\nstruct InfoHash;\n"), Some((2, "infohash")));
    assert_eq!(found("let text = \"not bencoded\";"), Some((1, "bencode")));
    assert_eq!(found("fn bep_42() {}"), Some((1, "a BEP")));
}

/// The workspace's packages, and those of them that each is built on; with a feature or without.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--no-deps", "--format-version", "1"]).current_dir(root());
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_string();
    let members: Vec<_> = packages.iter().map(|package| text(&package["name"])).collect();
    let built_on = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let normal = all.filter(|dependency| dependency["kind"] != "dev");
        normal.map(|dependency| text(&dependency["name"])).filter(|name| members.contains(name)).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), built_on(package))).collect()
}

#[test]
fn fs_seams_the_core_is_built_on_nothing_of_ours_and_dependencies_point_one_way() {
    let dependencies = dependencies();
    assert!(dependencies["kademlia-core"].is_empty(), "{:?}", dependencies["kademlia-core"]);
    // No transport knows an overlay, no overlay a transport or another overlay, no storage either.
    let on_the_core_alone: Vec<_> = dependencies
        .keys()
        .filter(|name| {
            !["kademlia-core", "kademlia-scenarios", "mainline-conformance", "kademlia-node", "tests", "fuzz"]
                .contains(&name.as_str())
        })
        .collect();
    assert!(on_the_core_alone.len() >= 3, "{on_the_core_alone:?}");
    for name in on_the_core_alone {
        assert_eq!(dependencies[name], ["kademlia-core"], "{name}");
    }
}

#[test]
fn fs_seams_every_line_of_the_feature_sets_d_and_e_has_a_test() {
    for (package, set, lines) in [("overlays/signed-records", 'd', 12), ("overlays/key-value", 'e', 7)] {
        let dirs = ["src", "tests"].map(|dir| files(&root().join(package).join(dir)));
        let rust = dirs.into_iter().flatten().filter(|file| file.extension().is_some_and(|of| of == "rs"));
        let source: String = rust.map(|file| fs::read_to_string(file).unwrap()).collect();
        let code: Vec<_> = source.lines().map(str::trim).collect();
        for line in 1..=lines {
            // With what follows, for D1 is not D10; and run with all others, so nothing but `test` stands above it.
            let is_named = |pair: &[&str]| {
                pair[1].contains(&format!("fn fs_{set}{line}_"))
                    && ["#[test]", "#[tokio::test]"].contains(&pair[0])
            };
            assert!(code.windows(2).any(is_named), "no test is named after {set}{line}");
        }
    }
}

#[test]
fn fs_seams_an_overlay_takes_less_than_120_lines_of_code() {
    let example = fs::read_to_string(root().join("kademlia-core/examples/overlay.rs")).unwrap();
    let (_, overlay) = example.split_once("// The overlay begins here.").unwrap();
    let (overlay, _) = overlay.split_once("// The overlay ends here.").unwrap();
    for part in ["impl Protocol for", "impl Codec<", "impl Service<"] {
        assert!(overlay.contains(part), "{part}");
    }
    let lines = code(overlay).count();
    println!("{lines} lines");
    assert!((60..120).contains(&lines), "{lines} lines");
}
