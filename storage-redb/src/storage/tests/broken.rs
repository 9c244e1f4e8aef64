//! Disks that fail, and files that are not what they should be.

use redb::{Database, TableDefinition};

use super::*;

#[test]
fn a_disk_that_fails_stops_nobody_and_gets_everything_later() {
    let platter = Platter::default();
    let mut store = open(&platter, 0).unwrap();
    insert(&mut store, 1, 1, 60);
    insert(&mut store, 1, 2, 60);
    store.flush().unwrap();

    platter.set_broken(true);
    insert(&mut store, 1, 3, 60);
    assert!(store.remove(&Key::new([1]), &1));
    for _ in 0..3 {
        let before = store.health().failures;
        assert!(store.flush().unwrap_err().to_string().contains("broken"));
        let health = store.health();
        assert_eq!(health.waiting, 2);
        assert!(health.failures > before, "it tries of its own accord, too");
        assert!(health.error.unwrap().contains("broken"));
        assert_eq!(slots(&store, NOW), [2, 3].into());
    }
    // What comes and goes while nothing can be written leaves nothing to be written.
    for _ in 0..100 {
        insert(&mut store, 2, 4, 60);
        store.flush().unwrap_err();
        assert!(store.remove(&Key::new([2]), &4));
    }
    assert!(store.health().waiting <= 4, "{:?}", store.health());

    platter.set_broken(false);
    store.flush().unwrap();
    let health = store.health();
    assert_eq!((health.waiting, health.error), (0, None));
    assert!(health.failures >= 3);
    assert_eq!(contents(&open(&platter.copy(), 0).unwrap(), NOW), contents(&store, NOW));
    assert_eq!(platter.rows(), 2);
}

#[test]
fn a_full_disk_takes_what_fits_again() {
    let platter = Platter::default();
    let mut store = open(&platter, 0).unwrap();
    insert(&mut store, 0, 0, 60);
    store.flush().unwrap();
    platter.set_capacity(platter.bytes().len() as u64);
    // Or what fits is taken before all of it is there.
    platter.set_broken(true);
    for key in 1..=255 {
        (0..250).for_each(|slot| insert(&mut store, key, slot, 60));
    }
    platter.set_broken(false);
    assert!(store.flush().is_err(), "{}", platter.bytes().len());
    assert_eq!(store.health().waiting, 255 * 250);
    assert_eq!(slots(&open(&platter.copy(), 0).unwrap(), NOW), [0].into(), "all or nothing");
    for key in 2..=255 {
        (0..250).for_each(|slot| assert!(store.remove(&Key::new([key]), &slot)));
    }
    store.flush().unwrap();
    assert_eq!(contents(&open(&platter.copy(), 0).unwrap(), NOW), contents(&store, NOW));
}

#[test]
fn a_disk_that_fails_to_the_end_loses_only_what_it_never_took() {
    let platter = Platter::default();
    let mut store = open(&platter, 0).unwrap();
    insert(&mut store, 1, 1, 60);
    store.flush().unwrap();
    insert(&mut store, 1, 2, 60);
    platter.set_broken(true);
    drop(store);
    platter.set_broken(false);
    assert!(slots(&open(&platter, 0).unwrap(), NOW).contains(&1));
}

fn written() -> Platter {
    let platter = Platter::default();
    let mut store = open(&platter, 0).unwrap();
    for key in 0..16 {
        (0..40).for_each(|slot| insert(&mut store, key, slot, 60));
    }
    drop(store);
    platter
}

/// One bit somewhere, a bit where something is (most of a young file is unused), or a page in the place of another.
fn damage(bytes: &mut [u8], rng: &mut Rng) {
    const PAGE: usize = 4_096;
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let page = |at: usize| at / PAGE * PAGE..at / PAGE * PAGE + PAGE;
    let (anywhere, somewhere, elsewhere) =
        (rng.below(bytes.len()), used[rng.below(used.len())], used[rng.below(used.len())]);
    match rng.below(3) {
        0 => bytes[anywhere] ^= 1 << rng.below(8),
        1 => bytes[somewhere] ^= 1 << rng.below(8),
        _ => bytes.copy_within(page(somewhere), page(elsewhere).start),
    }
}

#[test]
fn nothing_damaged_is_read_as_a_record() {
    let platter = written();
    let intact = contents(&open(&platter.copy(), 0).unwrap(), NOW);
    let mut refused = 0;
    for seed in 0..300 {
        let damaged = platter.copy();
        damage(&mut damaged.bytes(), &mut Rng::from_number(seed));
        match open(&damaged, 0) {
            Ok(store) => assert_eq!(contents(&store, NOW), intact, "seed {seed}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 30, "{refused}");
}

#[test]
fn what_is_cut_off_or_overwritten_is_an_error() {
    let platter = written();
    let length = platter.bytes().len();
    for kept in [1, 8, 9, 100, 4_096, 8_192, length / 2, length - 1] {
        let cut = platter.copy();
        cut.bytes().truncate(kept);
        assert!(open(&cut, 0).is_err(), "{kept} bytes kept");
    }
    let mut rng = Rng::from_number(2);
    for length in [1, 100, 4_096, 100_000] {
        let mut noise = vec![0; length];
        rng.fill(&mut noise);
        assert!(matches!(open(&Platter::with(noise), 0), Err(OpenError::Foreign(_))));
    }
}

fn change(database: &Database, table: TableDefinition<'_, &str, u64>, name: &str, number: u64) {
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(name, number).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_database_of_something_else_is_told_apart() {
    let other = Platter::default();
    change(&other.database(), TableDefinition::new("prices"), "apples", 3);
    assert!(matches!(open(&other, 0), Err(OpenError::Foreign(_))));

    let newer = written();
    change(&newer.database(), TableDefinition::new("meta"), "format", 2);
    assert!(matches!(open(&newer, 0), Err(OpenError::Format { found: 2, expected: 1 })));

    let wider =
        RedbStorage::<Key<20>, Note>::open_with(written().opener(160), UNLIMITED, Key::ZERO, NOW, wall(0));
    assert!(matches!(wider, Err(OpenError::KeyWidth { found: 8, expected: 160 })));
}

/// A record that nothing is read as.
#[derive(Clone, Debug)]
struct Other(Note);

impl Record for Other {
    type Slot = u8;

    fn slot(&self) -> u8 {
        self.0.slot()
    }

    fn source(&self) -> IpAddr {
        self.0.source()
    }
}

impl Durable for Other {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &[u8]) -> Option<Self> {
        None
    }
}

#[test]
fn records_of_something_else_are_an_error_and_stay() {
    let platter = written();
    let other =
        RedbStorage::<Key<1>, Other>::open_with(platter.opener(8), UNLIMITED, Key::ZERO, NOW, wall(0));
    assert!(matches!(other, Err(OpenError::Unreadable)));
    assert_eq!(platter.rows(), 640);
}
