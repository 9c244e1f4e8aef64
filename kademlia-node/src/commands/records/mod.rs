//! `kad records`: the signed-record overlay.

mod client;
mod look;
mod memory;
mod page;
mod publish;
mod reach;
mod run;
mod shown;

use std::path::Path;

use signed_records::SecretKey;

use super::keygen;
use crate::cli::{Records, RecordsCommand};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Output;

pub(super) async fn run(args: &Records, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    match &args.command {
        RecordsCommand::Run(args) => run::run(args, output, interrupt).await,
        RecordsCommand::Publish(args) => publish::run(args, output, interrupt).await,
        RecordsCommand::Withdraw(args) => publish::withdraw(args, output, interrupt).await,
        RecordsCommand::Resolve(args) => look::resolve(args, output, interrupt).await,
        RecordsCommand::Find(args) => look::find(args, output, interrupt).await,
        RecordsCommand::List(args) => look::list(args, output, interrupt).await,
        RecordsCommand::Ping(args) => reach::ping(args, output, interrupt).await,
        RecordsCommand::Probe(args) => reach::probe(args, output, interrupt).await,
    }
}

/// The key in a file that `kad keygen` wrote.
fn load_key(path: &Path) -> Result<SecretKey, Failure> {
    Ok(SecretKey::from_expanded(&keygen::load(path)?.to_expanded()))
}
