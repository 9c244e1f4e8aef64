//! Proves, on any host, that `kademlia-core` without default features needs no standard library: this crate defines a
//! panic handler, and the compiler refuses it if any crate below brings another, as std does.

#![no_std]
#![forbid(unsafe_code)]

use kademlia_core::{Key, Keyspace};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Something that uses the crate, so that it is loaded.
pub fn shared_bits(a: u8, b: u8) -> usize {
    Key::new([a]).common_prefix(&Key::new([b]))
}
