use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};
use sha1::{Digest, Sha1};

use super::*;

const INFO: &[u8] = b"d6:lengthi3e4:name1:a12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";

fn torrent(info: &[u8], more: &[u8]) -> Vec<u8> {
    [b"d8:announce3:url4:info", info, more, b"e"].concat()
}

fn hash(info: &[u8]) -> InfoHash {
    InfoHash::new(Sha1::digest(info).into())
}

#[test]
fn the_info_hash_is_taken_over_the_bytes_as_they_stand() {
    assert_eq!(InfoHash::from_torrent(&torrent(INFO, b"")), Ok(hash(INFO)));
    // Keys out of order and a number with zeros in front: whoever writes it anew gets another hash.
    let odd: &[u8] = b"d6:pieces20:aaaaaaaaaaaaaaaaaaaa4:name1:a6:lengthi003ee";
    assert_eq!(InfoHash::from_torrent(&torrent(odd, b"")), Ok(hash(odd)));
    let newline = [torrent(INFO, b"").as_slice(), b"\n"].concat();
    assert_eq!(InfoHash::from_torrent(&newline), Ok(hash(INFO)));
}

#[test]
fn megabytes_of_pieces_are_read() {
    let pieces = vec![0xff; 5 << 20];
    let info = [b"d6:pieces5242880:", pieces.as_slice(), b"e"].concat();
    assert_eq!(InfoHash::from_torrent(&torrent(&info, b"")), Ok(hash(&info)));
}

#[test]
fn bep5_5_16_a_torrent_names_nodes_to_join_through() {
    let nodes = b"5:nodesll11:192.0.2.1:xi1ee\
        l9:127.0.0.1i6881eel14:router.examplei7eel3:::1i65535eel1:ai0eel1:ai65536eel0:i1eei5ee";
    let file = torrent(INFO, nodes);
    let torrent = Torrent::read(&file).unwrap();
    let expected = [("192.0.2.1:x", 1), ("127.0.0.1", 6_881), ("router.example", 7), ("::1", 65_535)];
    let expected = expected.map(|(host, port)| (host.to_owned(), port));
    assert_eq!(torrent.nodes(), expected, "whatever is no host and port is left out");
    assert_eq!(torrent.info_hash(), hash(INFO));
    let many = [b"5:nodesl".as_slice(), &b"l1:ai1ee".repeat(MAX_NODES + 1), b"e"].concat();
    let many = super::tests::torrent(INFO, &many);
    assert_eq!(Torrent::read(&many).unwrap().nodes().len(), MAX_NODES);
}

#[test]
fn what_is_no_torrent_is_refused_and_the_error_says_why() {
    use NotATorrent::{NoInfo, NoPieces, NotBencode, TooLong, VersionTwo};
    let v2 = b"d9:file treede12:meta versioni2e4:name1:ae";
    let hybrid = b"d9:file treede12:meta versioni2e6:pieces0:e";
    assert_eq!(InfoHash::from_torrent(&torrent(hybrid, b"")), Ok(hash(hybrid)));
    for (file, error) in [
        (torrent(v2, b""), VersionTwo),
        (torrent(b"de", b""), NoPieces),
        (torrent(b"le", b""), NoInfo),
        (torrent(INFO, &[b"4:info", INFO].concat()), NoInfo),
        (b"d8:announce3:urle".to_vec(), NoInfo),
        (b"le".to_vec(), NotBencode),
        (b"".to_vec(), NotBencode),
        (b"d".to_vec(), NotBencode),
        (b"d4:infoe".to_vec(), NotBencode),
        (b"di1e4:infoe".to_vec(), NotBencode),
        (b"d4:info99:ae".to_vec(), NotBencode),
        (b"d4:info99999999999999999999:ae".to_vec(), NotBencode),
        (b"d4:infoi-ee".to_vec(), NotBencode),
        (b"<html>".to_vec(), NotBencode),
        ([b"d1:a".to_vec(), b"l".repeat(100_000), b"e".repeat(100_000), b"e".to_vec()].concat(), NotBencode),
        (vec![b'd'; MAX_SIZE + 1], TooLong),
    ] {
        let start = file.get(..30).unwrap_or(&file).escape_ascii().to_string();
        assert_eq!(InfoHash::from_torrent(&file), Err(error), "{start}");
    }
}

#[test]
fn sixty_four_directories_deep_is_deep_enough_and_the_limit() {
    let nested = |depth: usize| {
        let inner = [b"l".repeat(depth), b"e".repeat(depth)].concat();
        // The root and `info` are two more.
        torrent(&[b"d6:pieces0:1:x".as_slice(), &inner, b"e"].concat(), b"")
    };
    assert!(InfoHash::from_torrent(&nested(62)).is_ok());
    assert_eq!(InfoHash::from_torrent(&nested(63)), Err(NotATorrent::NotBencode));
}

proptest! {
    #[test]
    fn p31_no_bytes_panic(bytes in vec(any::<u8>(), 0..200), at in 0_usize..120) {
        let _ = Torrent::read(&bytes);
        let mut file = torrent(INFO, b"5:nodesll1:ai1eee");
        if let Some(byte) = file.get_mut(at) {
            *byte ^= bytes.first().copied().unwrap_or(1);
        }
        let _ = Torrent::read(&file);
    }

    #[test]
    fn whatever_stands_beside_info_the_hash_is_its_bytes(
        before in any::<i64>(),
        text in vec(any::<u8>(), 0..100),
        name in "[a-z]{1,8}",
    ) {
        let string = |bytes: &[u8]| [bytes.len().to_string().as_bytes(), b":", bytes].concat();
        let info = [b"d6:pieces".as_slice(), &string(&text), &string(name.as_bytes()), b"de", b"e"].concat();
        let file = [
            b"d1:a".as_slice(),
            format!("i{before}e").as_bytes(),
            b"4:info",
            &info,
            b"1:zl",
            &string(&text),
            b"ee",
        ]
        .concat();
        prop_assert_eq!(InfoHash::from_torrent(&file), Ok(hash(&info)));
    }
}
