//! `kad kv run`: a node in the foreground.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kademlia_core::{Instant, Reach, Storage};
use key_value::kv::Builder;
use key_value::{Id, Kv, KvConfig, Pair};
use storage_redb::RedbStorage;
use tracing::{info, warn};
use transport_udp::{UdpConfig, UdpTransport};

use crate::cli::KvRun;
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
    output.note(format!("kad {}: node {} on {}", env!("CARGO_PKG_VERSION"), kv.key(), kv.local_addr()));
    tokio::select! {
        () = interrupt.wait() => {}
        joined = kv.bootstrapped() => {
            joined?;
            info!("joined the network");
            interrupt.wait().await;
        }
    }
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
    Ok(Exit::Success)
}

fn open(path: &Path, args: &KvRun, key: Id) -> Result<RedbStorage<Id, Pair>, Failure> {
    let config = match Reach::of_bound(args.bind) {
        Reach::Global => KvConfig::default(),
        Reach::Private => KvConfig::default().private_network(),
    };
    RedbStorage::open(path, config.storage, key, Instant::ZERO, SystemTime::now())
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
