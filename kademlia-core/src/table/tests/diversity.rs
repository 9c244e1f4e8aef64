//! Who may enter beside whom, and what only an answer can do (T1, P12).

use super::*;

#[test]
fn t1_one_entry_per_ip_and_few_per_subnet() {
    let mut table = filled(8, []);
    let now = Instant::ZERO;
    let insert = |table: &mut Table<Small>, contact| {
        let wanted = table.wants(now, &contact);
        let insert = table.answered(now, contact, None);
        table.check().unwrap();
        assert_eq!(wanted, insert != Insert::Refused);
        insert
    };
    assert_eq!(insert(&mut table, from(0x80, [9, 9, 9, 1], 1)), Insert::Added);
    assert_eq!(insert(&mut table, from(0x40, [9, 9, 9, 1], 2)), Insert::Refused, "the same address");
    assert_eq!(
        insert(&mut table, from(0x40, [9, 9, 9, 2], 1)),
        Insert::Refused,
        "the same /24 in this bucket"
    );
    for key in 1..=8 {
        insert(&mut table, at(key));
    }
    assert!(table.depth() > 1);
    assert_eq!(insert(&mut table, from(0x40, [9, 9, 9, 2], 1)), Insert::Added, "now that is another bucket");
}

#[test]
fn t1_few_per_subnet_in_the_whole_table() {
    let mut table = Table::new(LOCAL, 1, TableConfig { per_subnet_in_bucket: 0, per_subnet: 3, ..rules() });
    let inserts = (0..5_u8).map(|n| table.answered(Instant::ZERO, from(0x80 >> n, [9, 9, 9, n], 1), None));
    assert_eq!(inserts.filter(|insert| *insert == Insert::Added).count(), 3);
    table.check().unwrap();
}

#[test]
fn t1_who_is_in_the_way_stays_if_good_is_asked_if_questionable_and_goes_if_bad() {
    let neighbour = from(0x41, [1, 2, 0x40, 2], 6881);
    let mut table = filled(8, [0x40]);
    assert_eq!(table.answered(minutes(1), neighbour, None), Insert::Refused);
    assert!(table.wants(minutes(20), &neighbour));
    assert_eq!(table.answered(minutes(20), neighbour, None), Insert::Waiting { ask: Some(at(0x40)) });
    assert_eq!(fail(&mut table, 0x40, 2), Some(neighbour));
    table.check().unwrap();

    let mut table = filled(8, [0x40]);
    fail(&mut table, 0x40, 2);
    assert_eq!(table.answered(Instant::ZERO, neighbour, None), Insert::Replaced(at(0x40)));
    table.check().unwrap();
}

#[test]
fn t1_one_subnet_does_not_fill_the_replacements() {
    let mut table = filled(1, [0x80, 0x40, 0x90, 0x91]);
    for host in 0..20 {
        table.answered(minutes(1), from(0xa0 + host, [9, 9, 9, host], 1), None);
    }
    assert_eq!(table.counts(Instant::ZERO).replacements, 3);
}

#[test]
fn p12_a_good_entry_keeps_its_address_and_a_questionable_one_may_move() {
    let mut table = filled(8, [0x40, 0x20]);
    let moved = from(0x40, [7, 7, 7, 7], 1);
    assert!(!table.wants(minutes(1), &moved));
    assert_eq!(table.answered(minutes(1), moved, None), Insert::Refused);
    assert!(table.contains(&at(0x40)));
    assert!(table.wants(minutes(16), &moved));
    assert!(!table.wants(minutes(16), &at(0x40)), "known where it is");
    assert_eq!(table.answered(minutes(16), moved, None), Insert::Updated);
    assert!(table.contains(&moved) && !table.contains(&at(0x40)));
    assert_eq!(table.failed(minutes(16), &at(0x40)), None, "a failure at the old address does not count");
    assert_eq!(quality(&table, 0x40, minutes(16)), Some(Quality::Good));
}

#[test]
fn p12_only_an_answer_changes_the_key_at_an_address() {
    let mut table = filled(8, [0x40]);
    let renamed = from(0x20, [1, 2, 0x40, 1], 6881);
    assert!(!table.queried_by(minutes(1), &renamed));
    assert!(table.wants(minutes(1), &renamed), "worth a ping, under the key it claims");
    let neighbour = from(0x20, [1, 2, 0x40, 1], 6882);
    assert!(!table.wants(minutes(1), &neighbour), "another socket there is not: the entry is good");
    assert_eq!(keys(&table), [0x40]);
    assert_eq!(table.answered(minutes(1), renamed, None), Insert::Replaced(at(0x40)));
    assert_eq!(keys(&table), [0x20]);
}

#[test]
fn a_place_freed_by_a_renamed_node_goes_to_who_waits() {
    let mut table = filled(1, [0x80, 0x40, 0x90, 0x20]);
    assert_eq!(keys(&table), [0x20, 0x40, 0x80]);
    let renamed = from(0x01, [1, 2, 0x80, 1], 6881);
    assert_eq!(table.answered(Instant::ZERO, renamed, None), Insert::Replaced(at(0x80)));
    assert_eq!(keys(&table), [0x01, 0x20, 0x40, 0x90]);
    table.check().unwrap();
}
