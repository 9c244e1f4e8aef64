//! The committed corpus, on any compiler.

use std::path::Path;

use fuzz::TARGETS;

#[test]
fn the_corpus_of_every_target_passes() {
    for (name, target) in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(files.len() >= 20, "{name} has only {} inputs", files.len());
        files.iter().for_each(|file| target(&std::fs::read(file).unwrap()));
    }
}
