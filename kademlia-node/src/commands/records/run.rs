//! `kad records run`: a node in the foreground.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kademlia_core::runtime::Transport;
use kademlia_core::{Instant as EngineInstant, Key, Reach, Storage};
use signed_records::{Builder, PublicKey, Records, RecordsConfig, SecretKey, StoredRecord};
use storage_redb::RedbStorage;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::info;
use transport_udp::{UdpConfig, UdpTransport};

use super::load_key;
use super::memory::Memory;
use super::page;
use crate::cli::RecordsRun;
use crate::commands::{conclude_run, end_of, introduce};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::overlay;

/// The file of peers is saved at most this often.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

pub(super) async fn run(args: &RecordsRun, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    let identity = match &args.key {
        Some(path) => load_key(path)?,
        None => SecretKey::generate().map_err(|error| Failure::new(Exit::Nothing, error))?,
    };
    let transport = join::bind(&[args.bind], &UdpConfig::default()).await?;
    let public = identity.public();
    let builder = Records::builder().bootstrap(args.bootstrap.iter().cloned()).identity(identity);
    match &args.store {
        Some(path) => {
            let storage = open_store(path, public, args.bind)?;
            run_with(builder.storage(storage), transport, args, output, interrupt).await
        }
        None => run_with(builder, transport, args, output, interrupt).await,
    }
}

/// The database, made if it is not there; what it holds waits for the node.
fn open_store(
    path: &Path,
    node: PublicKey,
    bind: SocketAddr,
) -> Result<RedbStorage<Key<32>, StoredRecord>, Failure> {
    let config = match Reach::of_bound(bind) {
        Reach::Global => RecordsConfig::default(),
        Reach::Private => RecordsConfig::default().private_network(),
    };
    let now = (EngineInstant::ZERO, SystemTime::now());
    RedbStorage::open(path, config.storage, node.key(), now.0, now.1)
        .map_err(|error| overlay::not_opened(path, &error))
}

/// Whatever keeps the records.
async fn run_with<S>(
    builder: Builder<S>,
    transport: UdpTransport,
    args: &RecordsRun,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit>
where
    S: Storage<Key<32>, StoredRecord> + Send + 'static,
{
    let bound = transport.local_addrs()?;
    let (memory, peers) = Memory::load(args.peers.as_deref(), |addr| join::is_in_reach(&bound, addr));
    let listener = match args.debug {
        Some(addr) => Some(page::listen(addr).await?),
        None => None,
    };
    let records = builder.remember(peers).spawn(transport)?;
    introduce(&[(records.identity().to_string(), records.local_addr())], output)?;
    let began = Instant::now();
    let page = match listener {
        Some(listener) => {
            output.note(format!("state at http://{}/", listener.local_addr()?));
            Some(tokio::spawn(page::serve(listener, records.clone())))
        }
        None => None,
    };
    serve(&records, &memory, args.save_every, &mut interrupt).await?;
    memory.save(&records).await?;
    if let Some(page) = page {
        page.abort();
    }
    records.close().await;
    info!("stopped");
    conclude_run(began, output)
}

/// Saves now and then, until the user wants the end; any other is an error.
async fn serve<S>(
    records: &Records<S>,
    memory: &Memory,
    save_every: Duration,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()>
where
    S: Storage<Key<32>, StoredRecord> + Send + 'static,
{
    let pause = save_every.max(LEAST_PAUSE);
    let mut save = interval_at(Instant::now() + pause, pause);
    save.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = end_of(records.handle().events(1).await?);
    let (joining, mut joined) = (records.bootstrapped(), false);
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
            _ = save.tick() => memory.save(records).await?,
        }
    }
}
