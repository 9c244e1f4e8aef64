//! A way to a node on which the answers to some requests are lost.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes datagrams on between a client and a node until the tests end.
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
}

impl Relay {
    /// Loses the answers to the requests that `loses` chooses.
    pub(crate) fn to(node: SocketAddr, mut loses: impl FnMut(&[u8]) -> bool + Send + 'static) -> Self {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (front, back, unread) = (bind(), bind(), bind());
        let addr = front.local_addr().unwrap();
        let client = Arc::new(Mutex::new(None));
        let there = (front.try_clone().unwrap(), back.try_clone().unwrap(), Arc::clone(&client));
        thread::spawn(move || {
            let (front, back, client) = there;
            let mut buffer = [0; 2_048];
            while let Ok((length, from)) = front.recv_from(&mut buffer) {
                *client.lock().unwrap() = Some(from);
                let way = if loses(&buffer[..length]) { &unread } else { &back };
                way.send_to(&buffer[..length], node).unwrap();
            }
        });
        thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while let Ok((length, _)) = back.recv_from(&mut buffer) {
                let client = client.lock().unwrap().expect("nobody answers before he is asked");
                front.send_to(&buffer[..length], client).unwrap();
            }
        });
        Relay { addr }
    }
}

/// Whether a request has this method.
pub(crate) fn is(request: &[u8], method: &str) -> bool {
    let method = format!("1:q{}:{method}", method.len());
    request.windows(method.len()).any(|window| window == method.as_bytes())
}
