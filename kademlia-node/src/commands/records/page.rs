//! A node's state as a page, read-only, for whoever sits at this machine (D11).
//!
//! Answers `GET /` with a page and `GET /status.json` with JSON, and nothing else. It listens on loopback only, and answers
//! only who names it by that address: no page from elsewhere reads it through the user's browser (T24).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kademlia_core::{Key, Storage};
use signed_records::{Records, StoredRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::exit::{Exit, Failure};

/// Longest request that is read, in bytes.
const LONGEST: usize = 4_096;
/// Longest time for a request and its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Connections served at once; further ones wait.
const AT_ONCE: usize = 8;
/// Pause after a connection that could not be had.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens at a loopback address.
pub(super) async fn listen(addr: SocketAddr) -> Result<TcpListener, Failure> {
    if !addr.ip().is_loopback() {
        let failure = Failure::usage(format!("{addr} is no loopback address"));
        return Err(failure.hint("the page is for this machine only: --debug 127.0.0.1:7180"));
    }
    let bound = TcpListener::bind(addr).await;
    bound.map_err(|error| Failure::new(Exit::Bind, format!("cannot bind {addr}: {error}")))
}

/// Answers for ever.
pub(super) async fn serve<S>(listener: TcpListener, records: Records<S>)
where
    S: Storage<Key<32>, StoredRecord> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let Ok(own) = listener.local_addr() else { return };
    loop {
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let records = records.clone();
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, answer(stream, own, &records)).await;
                    drop(turn);
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn answer<S>(mut stream: TcpStream, own: SocketAddr, records: &Records<S>) -> std::io::Result<()>
where
    S: Storage<Key<32>, StoredRecord> + Send + 'static,
{
    let mut request = Vec::new();
    let mut part = [0; 1_024];
    while !request.ends_with(b"\r\n\r\n") && request.len() < LONGEST {
        match stream.read(&mut part).await? {
            0 => break,
            read => request.extend_from_slice(&part[..read]),
        }
    }
    let (status, kind, body) = match (wanted(&request, own), records.status().await) {
        (Ok(Page::Html), Ok(status)) => ("200 OK", "text/html; charset=utf-8", status.to_html()),
        (Ok(Page::Json), Ok(status)) => ("200 OK", "application/json", status.to_json()),
        (Ok(_), Err(_)) => ("503 Service Unavailable", "text/plain", String::new()),
        (Err(status), _) => (status, "text/plain", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
         Content-Security-Policy: default-src 'none'\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Html,
    Json,
}

/// What a request is for; otherwise the status that it gets.
fn wanted(request: &[u8], own: SocketAddr) -> Result<Page, &'static str> {
    let bad = "400 Bad Request";
    let head = request.strip_suffix(b"\r\n\r\n").and_then(|head| str::from_utf8(head).ok()).ok_or(bad)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad);
    };
    let header = |name: &str| {
        let values = lines.clone().filter_map(|line| line.split_once(':'));
        let mut values =
            values.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        (values.next(), values.next())
    };
    let hosts = [own.to_string(), format!("localhost:{}", own.port())];
    // A name that somebody else's server gave the browser for this address is none of ours (DNS rebinding).
    match header("host") {
        (Some(host), None) if hosts.iter().any(|own| own == host) => {}
        _ => return Err("421 Misdirected Request"),
    }
    match header("origin") {
        (None, _) => {}
        (Some(origin), None) if hosts.iter().any(|own| origin == format!("http://{own}")) => {}
        _ => return Err("403 Forbidden"),
    }
    match (method, path) {
        ("GET", "/") => Ok(Page::Html),
        ("GET", "/status.json") => Ok(Page::Json),
        ("GET", _) => Err("404 Not Found"),
        _ => Err("405 Method Not Allowed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fs_d11_the_page_answers_only_who_names_it_by_its_own_address() {
        let own = "127.0.0.1:7180".parse().unwrap();
        let ask = |text: &str| wanted(text.replace('\n', "\r\n").as_bytes(), own);
        assert_eq!(ask("GET / HTTP/1.1\nHost: 127.0.0.1:7180\n\n"), Ok(Page::Html));
        assert_eq!(ask("GET /status.json HTTP/1.1\nhost: localhost:7180\n\n"), Ok(Page::Json));
        assert_eq!(
            ask("GET / HTTP/1.1\nHost: localhost:7180\nOrigin: http://localhost:7180\n\n"),
            Ok(Page::Html)
        );
        for (request, status) in [
            ("GET / HTTP/1.1\n\n", "421"),
            ("GET / HTTP/1.1\nHost: evil.example:7180\n\n", "421"),
            ("GET / HTTP/1.1\nHost: 127.0.0.1\n\n", "421"),
            ("GET / HTTP/1.1\nHost: 127.0.0.1:7180\nHost: evil.example\n\n", "421"),
            ("GET / HTTP/1.1\nHost: 127.0.0.1:7180\nOrigin: http://evil.example\n\n", "403"),
            ("GET / HTTP/1.1\nHost: 127.0.0.1:7180\nOrigin: null\n\n", "403"),
            ("POST / HTTP/1.1\nHost: 127.0.0.1:7180\n\n", "405"),
            ("GET /../etc/passwd HTTP/1.1\nHost: 127.0.0.1:7180\n\n", "404"),
            ("GET / HTTP/2\nHost: 127.0.0.1:7180\n\n", "400"),
            ("GET /\n\n", "400"),
            ("GET / HTTP/1.1\nHost: 127.0.0.1:7180\n", "400"),
            ("", "400"),
        ] {
            assert_eq!(ask(request).unwrap_err().get(..3), Some(status), "{request}");
        }
        assert!(wanted(b"\xff\xff\r\n\r\n", own).is_err());
    }

    #[tokio::test]
    async fn fs_d11_the_page_is_for_this_machine_only() {
        for addr in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
            assert!(listen(addr.parse().unwrap()).await.is_err(), "{addr}");
        }
        assert!(listen("127.0.0.1:0".parse().unwrap()).await.is_ok());
    }
}
