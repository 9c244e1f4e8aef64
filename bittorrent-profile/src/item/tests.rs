use core::cell::Cell;

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;

thread_local! {
    /// Signatures verified on this thread.
    pub(crate) static VERIFIED: Cell<usize> = const { Cell::new(0) };
}

/// BEP 44's key and its secret, in the expanded form that the text gives.
const PUBLIC: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";
const EXPANDED: &str = "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d\
                        b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d";

fn hex<const N: usize>(digits: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(core::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    bytes
}

fn owner() -> SecretKey {
    SecretKey::from_expanded(&hex(EXPANDED))
}

fn hello() -> RawValue {
    RawValue::new(b"12:Hello World!").unwrap()
}

#[test]
fn bep44_44_3_44_4_mutable_vector() {
    assert_eq!(owner().public(), PUBLIC.parse().unwrap());
    assert_eq!(*owner().to_expanded(), hex(EXPANDED), "the secret survives");
    let item = MutableItem::sign(&owner(), Salt::default(), 1, hello());
    assert_eq!(signed_bytes(&item.salt, 1, &item.value), b"3:seqi1e1:v12:Hello World!");
    let signature = "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
                     1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01";
    assert_eq!(item.signature, Signature::new(hex(signature)));
    assert_eq!(Item::Mutable(item.into()).target().to_string(), "4a533d47ec9c7d95b1ad75f576cffc641853b750");
}

#[test]
fn bep44_44_3_44_4_mutable_vector_with_salt() {
    let salt = Salt::new(b"foobar").unwrap();
    let item = MutableItem::sign(&owner(), salt, 1, hello());
    assert_eq!(signed_bytes(&salt, 1, &item.value), b"4:salt6:foobar3:seqi1e1:v12:Hello World!");
    let signature = "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
                     df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08";
    assert_eq!(item.signature, Signature::new(hex(signature)));
    assert!(item.is_authentic());
    assert_eq!(Item::Mutable(item.into()).target().to_string(), "411eba73b6f087ca51a3795d9c8c938d365e32c1");
}

#[test]
fn bep44_44_3_immutable_vector() {
    assert_eq!(Item::Immutable(hello()).target().to_string(), "e5f96f6f38320f0f33959cb4d3d656452117aadb");
}

#[test]
fn bep44_44_4_examples_in_the_text() {
    let value = RawValue::new(b"12:Hello world!").unwrap();
    assert_eq!(signed_bytes(&Salt::default(), 4, &value), b"3:seqi4e1:v12:Hello world!");
    let salt = Salt::new(b"foobar").unwrap();
    assert_eq!(signed_bytes(&salt, 4, &value), b"4:salt6:foobar3:seqi4e1:v12:Hello world!");
}

#[test]
fn bep46_46_2_targets_of_the_vectors() {
    let key: PublicKey = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e".parse().unwrap();
    let targets = [
        (&b""[..], "cc3f9d90b572172053626f9980ce261a850d050b"),
        (b"n", "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f"),
    ];
    for (salt, target) in targets {
        assert_eq!(mutable_target(&key, &Salt::new(salt).unwrap()).to_string(), target);
    }
}

#[test]
fn bep44_44_2_what_is_no_value() {
    for garbage in [&b""[..], b"1:ab", b"i1ei2e", b"i01e", b"5:abc", b"e", b"1:ae1:v1:a", b"d1:be"] {
        assert!(RawValue::new(garbage).is_err(), "{:?}", garbage.escape_ascii());
    }
    assert_eq!(RawValue::new(b"d1:bi1e1:ai1ee"), Err(NotAValue::Disorder));
    assert_eq!(RawValue::new(b"ld1:bi1e1:ai1eee"), Err(NotAValue::Disorder), "however deep");
    assert!(RawValue::new(&[b'l'; 500]).is_err());
    for sound in [&b"i-7e"[..], b"0:", b"le", b"de", b"d1:ai1e1:bl3:abcee"] {
        assert_eq!(RawValue::new(sound).unwrap().as_bytes(), sound, "kept as it came");
    }
}

#[test]
fn bep44_44_2_p44_a_value_has_at_most_1000_bytes_of_bencode() {
    assert_eq!(RawValue::string([7; 996]).unwrap().as_bytes().len(), MAX_VALUE);
    assert_eq!(RawValue::string([7; 997]), Err(NotAValue::TooLong));
    assert_eq!(RawValue::new(&[b'i'; 1_001]), Err(NotAValue::TooLong));
    assert_eq!(RawValue::longest().as_bytes().len(), MAX_VALUE);
    RawValue::new(RawValue::longest().as_bytes()).unwrap();
}

#[test]
fn bep44_44_5_p44_a_salt_has_at_most_64_bytes() {
    for (length, fits) in [(0, true), (64, true), (65, false)] {
        assert_eq!(Salt::new(&vec![1; length]).is_some(), fits);
    }
}

#[test]
fn bep44_44_3_a_getter_takes_only_what_belongs_to_the_target() {
    let salt = Salt::new(b"blog").unwrap();
    let item = MutableItem::sign(&owner(), salt, 3, hello());
    let parts = ItemParts::of(&Item::Mutable(item.clone().into()), None);
    assert_eq!(parts.mutable(&owner().public(), &salt), Some(item));
    assert_eq!(parts.mutable(&owner().public(), &Salt::default()), None, "another salt");
    assert_eq!(parts.mutable(&SecretKey::from_seed(&[1; 32]).public(), &salt), None, "another key");
    assert_eq!(ItemParts { seq: Some(4), ..parts.clone() }.mutable(&owner().public(), &salt), None);
    assert_eq!(ItemParts { seq: Some(-3), ..parts }.mutable(&owner().public(), &salt), None);
    let parts = ItemParts::of(&Item::Immutable(hello()), None);
    assert_eq!(parts.immutable(&immutable_target(&hello())), Some(hello()));
    assert_eq!(parts.immutable(&Key::new([0; 20])), None);
}

#[test]
fn bep44_44_8_who_has_the_version_gets_its_number_only() {
    let item = Item::Mutable(MutableItem::sign(&owner(), Salt::default(), 3, hello()).into());
    let alone = ItemParts { seq: Some(3), ..ItemParts::default() };
    assert_eq!(ItemParts::of(&item, Some(3)), alone);
    assert_eq!(ItemParts::of(&item, Some(4)), alone);
    assert!(ItemParts::of(&item, Some(2)).value.is_some());
}

/// RFC 8032, 7.1, test 2: the public key of a seed, and its signature over one byte.
#[test]
fn bep44_44_4_a_seed_is_rfc_8032_s() {
    let owner =
        SecretKey::from_seed(&hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
    let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    assert_eq!(owner.public(), public.parse().unwrap());
    let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                     085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    assert_eq!(owner.sign(&[0x72]), Signature::new(hex(signature)));
}

#[test]
fn the_secret_is_never_shown() {
    let shown = format!("{:?}", owner());
    assert_eq!(shown, format!("SecretKey(of {PUBLIC})"));
}

/// A key of small order signs anything; the strict rules do not take its signatures (44.5).
#[test]
fn bep44_44_5_weak_keys_sign_nothing() {
    let weak = PublicKey::new({
        let mut identity = [0; 32];
        identity[0] = 1;
        identity
    });
    let mut signature = [0; 64];
    signature[0] = 1;
    let signature = Signature::new(signature);
    let item = MutableItem { key: weak, salt: Salt::default(), seq: 1, value: hello(), signature };
    assert!(!item.is_authentic());
}

proptest! {
    /// P44: any change to what was signed is noticed.
    #[test]
    fn p44_a_signature_covers_salt_number_and_value(
        seed: [u8; 32],
        salt in proptest::collection::vec(any::<u8>(), 0..=64),
        seq in 0..i64::MAX,
        value in proptest::collection::vec(any::<u8>(), 0..100),
        bit in 0..512_usize,
    ) {
        let salt = Salt::new(&salt).unwrap();
        let item = MutableItem::sign(&SecretKey::from_seed(&seed), salt, seq, RawValue::string(&value).unwrap());
        prop_assert!(item.is_authentic());
        let again = MutableItem { seq: seq + 1, ..item.clone() };
        prop_assert!(!again.is_authentic());
        let mut longer = value;
        longer.push(0);
        let again = MutableItem { value: RawValue::string(&longer).unwrap(), ..item.clone() };
        prop_assert!(!again.is_authentic());
        let mut signature = *item.signature.as_bytes();
        signature[bit / 8] ^= 1 << (bit % 8);
        let again = MutableItem { signature: Signature::new(signature), ..item.clone() };
        prop_assert!(!again.is_authentic());
        prop_assert_eq!(item.value.as_string().map(<[u8]>::len), Some(longer.len() - 1));
    }
}
