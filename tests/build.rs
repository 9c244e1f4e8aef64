//! Makes one file of the Rust blocks of `docs/building-an-overlay.md`, to be compiled and run as a test.

use std::path::Path;
use std::{env, fs, io};

const GUIDE: &str = "../docs/building-an-overlay.md";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={GUIDE}");
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let code = rust_blocks(&fs::read_to_string(GUIDE)?);
    fs::write(Path::new(&out).join("guide.rs"), &code)?;
    // The same as documentation with one block, for a doc test.
    fs::write(Path::new(&out).join("guide.md"), format!("```no_run\n{code}\nfn main() {{}}\n```\n"))
}

fn rust_blocks(guide: &str) -> String {
    let blocks = guide.split("\n```rust\n").skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0));
    blocks.collect::<Vec<_>>().join("\n\n")
}
