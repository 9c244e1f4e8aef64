//! Every line of the feature set has a test that is named after it.

use std::fs;
use std::path::Path;

/// The sources of this crate and of its tests.
fn read(dir: &Path, sources: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_line_of_feature_set_d_has_a_test() {
    let (root, mut sources) = (Path::new(env!("CARGO_MANIFEST_DIR")), String::new());
    ["src", "tests"].iter().for_each(|dir| read(&root.join(dir), &mut sources));
    let lines: Vec<_> = sources.lines().map(str::trim).collect();
    for line in 1..=12 {
        // With what follows, for D1 is not D10; and run with all others, so nothing but `test` stands above it.
        let is_named = |pair: &[&str]| {
            pair[1].contains(&format!("fn fs_d{line}_")) && ["#[test]", "#[tokio::test]"].contains(&pair[0])
        };
        assert!(lines.windows(2).any(is_named), "no test is named after D{line}");
    }
}
