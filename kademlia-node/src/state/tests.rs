use std::panic::{AssertUnwindSafe, catch_unwind};

use kademlia_core::{Reach, Rng};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::*;

const STEPS: [Step; 5] = [Step::Create, Step::Write, Step::Sync, Step::Rename, Step::SyncDirectory];

fn contact(n: u8, family: Family) -> Contact<Key<20>> {
    let addr = match family {
        Family::V4 => SocketAddr::from(([20, 0, n, 1], 6881)),
        Family::V6 => SocketAddr::from(([0x2003, 0, 0, 0, 0, 0, 0, u16::from(n)], 6881)),
    };
    Contact::new(Key::new([n; 20]), addr)
}

fn snapshot(local: u8, contacts: u8, family: Family) -> (Family, Snapshot<Key<20>>) {
    let contacts = (0..contacts).map(|n| contact(n, family)).collect();
    (family, Snapshot { local: Key::new([local; 20]), contacts })
}

fn both() -> State {
    vec![snapshot(1, 3, Family::V4), snapshot(2, 2, Family::V6)]
}

fn all(_: SocketAddr) -> bool {
    true
}

fn snapshots(family: Family) -> impl Strategy<Value = Option<(Family, Snapshot<Key<20>>)>> {
    let ip = match family {
        Family::V4 => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        Family::V6 => any::<[u8; 16]>().prop_map(IpAddr::from).boxed(),
    };
    let contacts = vec((any::<[u8; 20]>(), ip, any::<u16>()), 0..40);
    let of_contacts = move |(local, contacts): ([u8; 20], Vec<_>)| {
        let contact = |(key, ip, port)| Contact::new(Key::new(key), SocketAddr::new(ip, port));
        let contacts = contacts.into_iter().map(contact).collect();
        (family, Snapshot { local: Key::new(local), contacts })
    };
    proptest::option::of((any::<[u8; 20]>(), contacts).prop_map(of_contacts))
}

fn states() -> impl Strategy<Value = State> {
    (snapshots(Family::V4), snapshots(Family::V6)).prop_map(|(v4, v6)| v4.into_iter().chain(v6).collect())
}

/// Bytes that get past the checksum: what a malicious or a future writer might leave.
fn signed() -> impl Strategy<Value = Vec<u8>> {
    let counts = proptest::prop_oneof![Just(vec![0, 0, 0, 2]), vec(any::<u8>(), 4)];
    let sections =
        (proptest::sample::select(vec![4_u8, 6, 5]), any::<[u8; 20]>(), counts, vec(any::<u8>(), 0..90));
    vec(sections, 0..3).prop_map(|sections| {
        let mut bytes = [MAGIC, &[VERSION]].concat();
        for (family, local, count, contacts) in sections {
            bytes.push(family);
            bytes.extend(local);
            bytes.extend(count);
            bytes.extend(contacts);
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend(checksum.to_be_bytes());
        bytes
    })
}

proptest! {
    #[test]
    fn p52_what_is_saved_is_loaded(state in states()) {
        prop_assert_eq!(decode(&encode(&state), all), Ok(state));
    }

    #[test]
    fn p52_no_bytes_panic_or_yield_an_address_out_of_reach(bytes in vec(any::<u8>(), 0..300), signed in signed()) {
        for bytes in [bytes.clone(), [MAGIC, &bytes].concat(), signed] {
            if let Ok(state) = decode(&bytes, |addr| Reach::Global.admits(addr)) {
                let mut contacts = state.iter().flat_map(|(_, snapshot)| &snapshot.contacts);
                prop_assert!(contacts.all(|contact| Reach::Global.admits(contact.addr)));
            }
        }
    }

    #[test]
    fn p52_a_node_only_gets_what_its_reach_admits(state in states(), private: bool) {
        let reach = if private { Reach::Private } else { Reach::Global };
        let loaded = decode(&encode(&state), |addr| reach.admits(addr)).unwrap();
        for ((_, saved), (_, loaded)) in state.iter().zip(&loaded) {
            let admitted: Vec<_> = saved.contacts.iter().filter(|contact| reach.admits(contact.addr)).collect();
            prop_assert_eq!(loaded.contacts.iter().collect::<Vec<_>>(), admitted);
        }
    }
}

#[test]
fn t22_every_truncation_is_refused() {
    let bytes = encode(&both());
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length], all).is_err(), "{length} bytes");
    }
}

#[test]
fn t22_every_flipped_bit_is_refused() {
    let bytes = encode(&both());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        assert!(decode(&flipped, all).is_err(), "bit {bit}");
    }
}

#[test]
fn t22_a_full_file_stays_below_the_limit_and_a_longer_one_is_refused() {
    let mut rng = Rng::from_number(1);
    let many = |family: Family| {
        let mut contacts = vec![contact(1, family); MOST_CONTACTS + 5];
        contacts.iter_mut().for_each(|contact| contact.key = Key::new(rng.fork()[..20].try_into().unwrap()));
        (family, Snapshot { local: Key::new([1; 20]), contacts })
    };
    let bytes = encode(&[Family::V6].map(many).into());
    assert!((bytes.len() * 2) as u64 <= LONGEST);
    assert_eq!(decode(&bytes, all).unwrap()[0].1.contacts.len(), MOST_CONTACTS);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fs::write(&path, vec![b'k'; 3 << 20]).unwrap();
    assert!(matches!(load(&path, all), Loaded::Damaged { why, kept: Some(_) } if why == "too long"));
}

#[test]
fn fs_b6_what_cannot_be_read_is_put_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    assert!(matches!(load(&path, all), Loaded::Fresh));
    for damaged in [b"".as_slice(), b"kadstate", b"something else"] {
        fs::write(&path, damaged).unwrap();
        let Loaded::Damaged { kept: Some(kept), .. } = load(&path, all) else { panic!("{damaged:?}") };
        assert_eq!(fs::read(kept).unwrap(), damaged);
        assert!(matches!(load(&path, all), Loaded::Fresh));
    }
    let mut newer = encode(&both());
    newer[MAGIC.len()] = 2;
    let end = newer.len() - 4;
    let checksum = crc32c::crc32c(&newer[..end]);
    newer[end..].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(decode(&newer, all), Err(Corrupt::Version));
}

#[test]
fn a_directory_in_the_files_place_does_not_stop_the_node() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fs::create_dir(&path).unwrap();
    assert!(matches!(load(&path, all), Loaded::Damaged { .. }));
}

#[cfg(unix)]
#[test]
fn fs_b6_the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    fs::write(with_suffix(&path, ".new"), "left by a crash, readable by all").unwrap();
    save(&path, &both()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// The state that a load after a failure or a crash finds.
fn after(path: &Path) -> State {
    match load(path, all) {
        Loaded::Restored(state) => state,
        other => panic!("{other:?}"),
    }
}

#[test]
fn p52_an_error_at_any_step_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let (old, new) = (both(), vec![snapshot(9, 9, Family::V4)]);
    for failing in STEPS {
        save(&path, &old).unwrap();
        let full = |step| if step == failing { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
        assert!(replace(&path, &encode(&new), full).is_err());
        assert_eq!(after(&path), if failing == Step::SyncDirectory { new.clone() } else { old.clone() });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }
}

#[test]
fn p52_a_crash_at_any_step_leaves_the_old_or_the_new_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let (old, new) = (both(), vec![snapshot(9, 9, Family::V4)]);
    for fatal in STEPS {
        save(&path, &old).unwrap();
        let crash = |step| if step == fatal { panic!("crash before {step:?}") } else { Ok(()) };
        assert!(catch_unwind(AssertUnwindSafe(|| replace(&path, &encode(&new), crash))).is_err());
        assert_eq!(after(&path), if fatal == Step::SyncDirectory { new.clone() } else { old.clone() });
        // Nor does what the crash left behind, cut anywhere, keep the next save from working.
        fs::write(with_suffix(&path, ".new"), &encode(&new)[..20]).unwrap();
        save(&path, &new).unwrap();
        assert_eq!(after(&path), new);
    }
}
