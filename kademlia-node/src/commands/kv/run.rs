//! `kad kv run`: a node in the foreground.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kademlia_core::{Instant as EngineInstant, Reach, Storage};
use key_value::kv::Builder;
use key_value::{Id, Kv, KvConfig, Pair};
use storage_redb::RedbStorage;
use tokio::time::Instant;
use tracing::{info, warn};
use transport_udp::{UdpConfig, UdpTransport};

use crate::cli::KvRun;
use crate::commands::{conclude_run, end_of, introduce};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::overlay;

pub(super) async fn run(args: &KvRun, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    let transport = join::bind(&[args.bind], &UdpConfig::default()).await?;
    let builder = Kv::builder().bootstrap(args.bootstrap.iter().cloned());
    let Some(path) = &args.store else { return run_with(builder, transport, args, output, interrupt).await };
    let key = remembered_key(path)?;
    let store = open(path, args, key)?;
    info!("the database has {} pairs", store.len());
    run_with(builder.key(key).storage(store), transport, args, output, interrupt).await
}

/// Wherever the pairs are.
async fn run_with<St: Storage<Id, Pair> + Send + 'static>(
    builder: Builder<St>,
    transport: UdpTransport,
    args: &KvRun,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let kv = builder.spawn(transport)?;
    introduce(&[(kv.key().to_string(), kv.local_addr())], output)?;
    let began = Instant::now();
    serve(&kv, &mut interrupt).await?;
    if let Some(path) = &args.dump {
        let dump = kv.dump().await?;
        let is_drawn = path.extension().is_some_and(|extension| extension == "puml");
        let text = if is_drawn { dump.to_plantuml() } else { dump.to_json() };
        if let Err(error) = fs::write(path, text) {
            warn!("cannot write {}: {error}", path.display());
        }
    }
    kv.shutdown().await;
    info!("stopped");
    conclude_run(began, output)
}

/// Until the user wants the end; any other is an error.
async fn serve<St: Storage<Id, Pair> + Send + 'static>(
    kv: &Kv<St>,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    let ended = end_of(kv.handle().events(1).await?);
    let (joining, mut joined) = (kv.bootstrapped(), false);
    tokio::pin!(joining, ended);
    loop {
        tokio::select! {
            () = interrupt.wait() => return Ok(()),
            failure = &mut ended => return Err(failure.into()),
            result = &mut joining, if !joined => {
                result?;
                joined = true;
                info!("joined the network");
            }
        }
    }
}

fn open(path: &Path, args: &KvRun, key: Id) -> Result<RedbStorage<Id, Pair>, Failure> {
    let config = match Reach::of_bound(args.bind) {
        Reach::Global => KvConfig::default(),
        Reach::Private => KvConfig::default().private_network(),
    };
    RedbStorage::open(path, config.storage, key, EngineInstant::ZERO, SystemTime::now())
        .map_err(|error| overlay::not_opened(path, &error))
}

/// The node's key: what it holds is what others look for near that key, so it stays with the database.
fn remembered_key(store: &Path) -> Result<Id, Failure> {
    let path = beside(store);
    let failure = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::BadData, format!("the node's key in {}: {error}", path.display()))
    };
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|error| failure(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = Kv::random_key().map_err(|error| failure(&error))?;
            fs::write(&path, format!("{key}\n")).map_err(|error| failure(&error))?;
            Ok(key)
        }
        Err(error) => Err(failure(&error)),
    }
}

fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_ends_with_its_node() {
        let transport = join::bind(&["127.0.0.1:0".parse().unwrap()], &UdpConfig::default()).await.unwrap();
        let kv = Kv::builder().spawn(transport).unwrap();
        let (_signal, mut interrupt) = Interrupt::by_hand();
        let stopping = async {
            kv.handle().with(|_, _| ()).await.unwrap();
            kv.shutdown().await;
        };
        let day = Duration::from_secs(86_400);
        let (served, ()) = tokio::join!(tokio::time::timeout(day, serve(&kv, &mut interrupt)), stopping);
        assert!(served.expect("it ends").is_err());
    }
}
