//! `kad config`: what can be configured.

use serde::Serialize;
use toml::Value;

use crate::cli::{self, ConfigCommand};
use crate::config::{KEYS, Key};
use crate::exit::Exit;
use crate::output::Output;

#[derive(Serialize)]
struct KeyLine {
    key: &'static str,
    default: Option<Value>,
    /// On a loopback or private address, if it is another there.
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<Value>,
    unit: &'static str,
    about: &'static str,
}

#[derive(Serialize)]
struct Summary {
    keys: usize,
}

pub(crate) fn run(args: &cli::Config, output: &Output) -> anyhow::Result<Exit> {
    let ConfigCommand::Keys = args.command;
    for key in KEYS {
        let Key { name, unit, about } = *key;
        let (default, private) = (key.default(), key.private());
        let text = format!("{name:<27}{:>9} {unit:<12} {}", written(default.as_ref()), meaning(key));
        output.data("key", &KeyLine { key: name, default, private, unit, about }, text)?;
    }
    output.summary(&Summary { keys: KEYS.len() }, format!("{} keys", KEYS.len()))?;
    Ok(Exit::Success)
}

/// The value as a configuration file has it.
fn written(value: Option<&Value>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn meaning(key: &Key) -> String {
    match key.private() {
        Some(private) => format!("{} [private network: {private}]", key.about),
        None => key.about.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::fs;
    use std::path::Path;

    use super::*;

    const INTRODUCTION: &str = "# Configuration, key by key

Written by `UPDATE=1 cargo test -p kademlia-node --bin kad configuration`, and compared by that test with what there is.
`kad config keys` prints the same, with `--json` for programs.

`kad run` takes a key on the command line, `--limit table.per_subnet=4`; every command that joins Mainline takes a file,
`--config kad.toml`, in which the same is

```toml
[table]
per_subnet = 4
```

A duration is a number of seconds or text such as `\"200ms\"` or `\"1h\"`. Where a node is bound to a loopback or private
address, another default may hold; what is set holds everywhere.
";

    fn page() -> String {
        let mut page = INTRODUCTION.to_owned();
        let mut section = None;
        for key in KEYS {
            let of = key.name.split_once('.').map_or("", |(section, _)| section);
            if section.replace(of) != Some(of) {
                let title = if of.is_empty() { "Without a section".to_owned() } else { format!("[{of}]") };
                write!(page, "\n## {title}\n\n").unwrap();
                page += "| key | default | private network | unit | meaning |\n|---|---:|---:|---|---|\n";
            }
            let (default, private) = (written(key.default().as_ref()), written(key.private().as_ref()));
            let Key { name, unit, about } = key;
            writeln!(page, "| `{name}` | {default} | {private} | {unit} | {about} |").unwrap();
        }
        page
    }

    #[test]
    fn the_page_of_the_configuration_is_what_there_is() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, page()).unwrap();
        }
        let update = "out of date: UPDATE=1 cargo test -p kademlia-node --bin kad configuration";
        assert_eq!(fs::read_to_string(&file).unwrap_or_default(), page(), "{update}");
    }

    #[test]
    fn every_key_says_what_it_means_in_one_line() {
        for key in KEYS {
            let length = key.about.chars().count();
            assert!((10..=90).contains(&length) && !key.unit.is_empty(), "{key:?}");
            assert!(!key.about.contains(['\n', '|']) && key.default().is_some(), "{key:?}");
        }
    }
}
