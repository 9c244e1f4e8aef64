//! `kad kv`: the key-value overlay.

mod client;
mod dump;
mod get;
mod put;
mod run;

use crate::cli::{Kv, KvCommand};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;

pub(super) async fn run(args: &Kv, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    match &args.command {
        KvCommand::Run(args) => run::run(args, output, interrupt).await,
        KvCommand::Put(args) => put::run(args, output, interrupt).await,
        KvCommand::Remove(args) => put::remove(args, output, interrupt).await,
        KvCommand::Get(args) => get::run(args, output, interrupt).await,
        KvCommand::Dump(args) => dump::run(args, output, interrupt).await,
    }
}
