//! A wall clock that falls behind, for the machine slept, and is set right.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use kademlia_core::{Instant, Key, Storage};
use signed_records::{Draft, PublicKey, Records, RecordsConfig, SecretKey, StoredRecord, Timestamp};
use storage_redb::RedbStorage;
use tokio::time::sleep;
use transport_mem::{LinkModel, MemNetwork};

use crate::bed::{EPOCH, person, seconds};

type Disk = RedbStorage<Key<32>, StoredRecord>;

fn open(path: &Path, node: PublicKey, wall: Timestamp) -> Disk {
    let wall = UNIX_EPOCH + Duration::from_millis(wall.as_millis());
    RedbStorage::open(path, RecordsConfig::default().storage, node.key(), Instant::ZERO, wall).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_after_a_sleep_is_in_the_database_as_long_as_it_holds() {
    let (dir, network) = (tempfile::tempdir().unwrap(), MemNetwork::new(LinkModel::perfect(), 1));
    let (path, identity) = (dir.path().join("records.redb"), SecretKey::from_seed(&[7; 32]));
    let (public, start) = (identity.public(), tokio::time::Instant::now());
    let slept = Arc::new(AtomicU64::new(0));
    let wall = {
        let slept = Arc::clone(&slept);
        move || EPOCH.after(start.elapsed()).after(seconds(slept.load(Ordering::Relaxed)))
    };
    let transport = network.bind(SocketAddr::from(([20, 0, 0, 1], 7_101))).unwrap();
    let builder = Records::builder().identity(identity).seed([1; 32]);
    let builder = builder.storage(open(&path, public, wall())).wall_clock(wall.clone());
    let records = builder.spawn(transport).unwrap();
    // Two hours, of which only the wall clock knows.
    slept.store(7_200, Ordering::Relaxed);
    sleep(seconds(61)).await;
    let draft = Draft::endpoint("x").unwrap().lasting(seconds(3_600));
    records.publish(person(1), draft).await.unwrap();
    records.close().await;
    drop(records);
    assert_eq!(open(&path, public, wall().after(seconds(60))).len(), 1);
    assert_eq!(open(&path, public, wall().after(seconds(3_600))).len(), 0);
}
