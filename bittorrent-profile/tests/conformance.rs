//! The conformance table names tests, of this crate and of the workspace's others; here they are looked for.

use std::path::Path;
use std::{fs, io};

fn sources(folder: &Path, out: &mut String) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, out)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&fs::read_to_string(path)?);
        }
    }
    Ok(())
}

#[test]
fn every_test_that_the_conformance_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in
        ["src", "../kademlia-core/src", "../kademlia-node/src", "../kademlia-node/tests", "../tests/tests"]
    {
        sources(&root.join(folder), &mut code).unwrap();
    }
    let table = fs::read_to_string(root.join("CONFORMANCE.md")).unwrap();
    let ids = ["bep", "fs_", "p1", "p3", "p5", "t1", "c1_", "c2_", "c3_"];
    let named = table.split('`').skip(1).step_by(2);
    let tests: Vec<_> =
        named.filter(|name| ids.iter().any(|id| name.starts_with(id)) && !name.ends_with('…')).collect();
    assert!(tests.len() > 40, "{tests:?}");
    let missing: Vec<_> = tests.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
