//! `kad`: a node of the BitTorrent Mainline DHT, and a command line to look into that network.

mod cli;
mod commands;
mod config;
mod exit;
mod interrupt;
mod join;
mod kept;
mod output;
mod overlay;
mod source;
mod span;
mod state;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    commands::execute(&cli).into()
}
