//! The configuration file, and the same keys on the command line.
//!
//! Every limit of the engine, of the answering side and of the sockets is one key here. Durations are in seconds, or
//! text such as `"200ms"`; 0 turns a rate limit off.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bittorrent_profile::ServiceConfig;
use bittorrent_profile::dht::Builder;
use kademlia_core::Config;
use toml::Value;
use transport_udp::UdpConfig;

use crate::exit::Failure;
use crate::span;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) engine: Config,
    pub(crate) service: ServiceConfig,
    pub(crate) udp: Udp,
    pub(crate) dht: Dht,
}

/// What the sockets ask of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Udp {
    receive_buffer: usize,
    send_buffer: usize,
    batched: bool,
}

/// What the application side repeats, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dht {
    /// How often an announcement is renewed.
    pub(crate) renewal: Duration,
    /// How long a finished search answers further ones.
    pub(crate) requery: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            engine: Config::default(),
            service: ServiceConfig::default(),
            udp: Udp { receive_buffer: 2 << 20, send_buffer: 2 << 20, batched: true },
            dht: Dht { renewal: Duration::from_secs(15 * 60), requery: Duration::from_secs(15) },
        }
    }
}

/// The keys, and where each one's value is kept: the one list of what can be configured.
macro_rules! keys {
    ($($key:literal => $($field:ident).+,)*) => {
        const KEYS: &[&str] = &[$($key),*];

        impl Settings {
            fn slot(&mut self, key: &str) -> Option<&mut dyn Setting> {
                match key {
                    $($key => Some(&mut self.$($field).+),)*
                    _ => None,
                }
            }
        }
    };
}

keys! {
    "k" => engine.k,
    "alpha" => engine.alpha,
    "table.good_for" => engine.table.good_for,
    "table.keepalive" => engine.table.keepalive,
    "table.refresh" => engine.table.refresh,
    "table.bad_after" => engine.table.bad_after,
    "table.replacements" => engine.table.replacements,
    "table.one_per_ip" => engine.table.one_per_ip,
    "table.per_subnet_in_bucket" => engine.table.per_subnet_in_bucket,
    "table.per_subnet" => engine.table.per_subnet,
    "rpc.outstanding" => engine.rpc.outstanding,
    "rpc.per_ip" => engine.rpc.per_ip,
    "rpc.initial_timeout" => engine.rpc.initial_timeout,
    "rpc.min_timeout" => engine.rpc.min_timeout,
    "rpc.max_timeout" => engine.rpc.max_timeout,
    "rpc.retries" => engine.rpc.retries,
    "lookup.running" => engine.lookup.running,
    "lookup.waiting" => engine.lookup.waiting,
    "lookup.patience" => engine.lookup.patience,
    "lookup.messages" => engine.lookup.messages,
    "lookup.time" => engine.lookup.time,
    "lookup.candidates" => engine.lookup.candidates,
    "verify.per_ip" => engine.verify.per_ip,
    "verify.per_subnet" => engine.verify.per_subnet,
    "verify.rate" => engine.verify.rate,
    "verify.remembered" => engine.verify.remembered,
    "observed.quorum" => engine.observed.quorum,
    "observed.percent" => engine.observed.percent,
    "observed.one_per_network" => engine.observed.one_per_network,
    "observed.settle" => engine.observed.settle,
    "observed.votes" => engine.observed.votes,
    "inbound.per_ip" => engine.inbound.per_ip,
    "inbound.burst" => engine.inbound.burst,
    "inbound.quiet" => engine.inbound.quiet,
    "inbound.datagram" => engine.inbound.datagram,
    "bootstrap.first_pause" => engine.bootstrap.first_pause,
    "bootstrap.longest_pause" => engine.bootstrap.longest_pause,
    "bootstrap.routers" => engine.bootstrap.routers,
    "service.peer_ttl" => service.peer_ttl,
    "service.peers_per_reply" => service.peers_per_reply,
    "service.one_peer_per_ip" => service.one_peer_per_ip,
    "storage.bytes" => service.storage.bytes,
    "storage.per_key" => service.storage.per_key,
    "storage.per_source" => service.storage.per_source,
    "storage.per_subnet" => service.storage.per_subnet,
    "udp.receive_buffer" => udp.receive_buffer,
    "udp.send_buffer" => udp.send_buffer,
    "udp.batched" => udp.batched,
    "dht.renewal" => dht.renewal,
    "dht.requery" => dht.requery,
}

impl Settings {
    /// The defaults, changed by the file, changed by the `KEY=VALUE` pairs.
    ///
    /// # Errors
    /// A [`Failure`] that names the key or the file.
    pub(crate) fn load(file: Option<&Path>, pairs: &[String]) -> Result<Self, Failure> {
        let mut settings = Settings::default();
        if let Some(path) = file {
            let unusable = |error: &dyn std::fmt::Display| {
                Failure::usage(format!("cannot use the configuration {}: {error}", path.display()))
            };
            let text = fs::read_to_string(path).map_err(|error| unusable(&error))?;
            let table: toml::Table = text.parse().map_err(|error| unusable(&error))?;
            for (key, value) in flatten(table) {
                settings.set(&key, &value)?;
            }
        }
        for pair in pairs {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("`{pair}` is no limit")).hint("write KEY=VALUE"))?;
            settings.set(key.trim(), &scalar(value.trim()))?;
        }
        Ok(settings)
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<(), Failure> {
        let slot = self.slot(key).ok_or_else(|| unknown(key))?;
        slot.set(value)
            .map_err(|expected| Failure::usage(format!("{key} = {value}: expected {expected}")))?;
        if self.engine.k == 0 || self.engine.alpha == 0 {
            return Err(Failure::usage(format!("{key} = {value}: expected at least 1")));
        }
        Ok(())
    }

    /// How sockets are opened.
    pub(crate) fn sockets(&self) -> UdpConfig {
        let Udp { receive_buffer, send_buffer, batched } = self.udp;
        UdpConfig::default().receive_buffer(receive_buffer).send_buffer(send_buffer).batched(batched)
    }

    /// The description of a read-only node that behaves like this.
    pub(crate) fn builder(&self) -> Builder {
        let (engine, service) = (self.engine.clone(), self.service);
        bittorrent_profile::Dht::builder()
            .configure(|config| *config = Config { read_only: true, ..engine })
            .configure_service(|config| *config = service)
            .renewal(self.dht.renewal)
            .requery(self.dht.requery)
    }
}

/// `[inbound] per_ip = 64` is `inbound.per_ip = 64`.
fn flatten(table: toml::Table) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => {
                flat.extend(flatten(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => {
                flat.insert(key, value);
            }
        }
    }
    flat
}

/// A value on the command line, where text needs no quotes.
fn scalar(text: &str) -> Value {
    if let Ok(number) = text.parse() {
        Value::Integer(number)
    } else if let Ok(boolean) = text.parse() {
        Value::Boolean(boolean)
    } else if let Ok(number) = text.parse() {
        Value::Float(number)
    } else {
        Value::String(text.to_owned())
    }
}

fn unknown(key: &str) -> Failure {
    let section = key.split_once('.').map_or(key, |(section, _)| section);
    let mut near: Vec<_> =
        KEYS.iter().filter(|known| known.split('.').next() == Some(section)).copied().collect();
    if near.is_empty() {
        near = KEYS.to_vec();
    }
    Failure::usage(format!("unknown configuration key `{key}`")).hint(format!("known: {}", near.join(", ")))
}

/// A value that a key can set.
trait Setting {
    /// Takes the value, or says what was expected.
    fn set(&mut self, value: &Value) -> Result<(), String>;
}

impl Setting for bool {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        *self = value.as_bool().ok_or("true or false")?;
        Ok(())
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            fn set(&mut self, value: &Value) -> Result<(), String> {
                let number = value.as_integer().and_then(|number| number.try_into().ok());
                *self = number.ok_or_else(|| format!("a whole number from 0 to {}", <$number>::MAX))?;
                Ok(())
            }
        }
    )*};
}

whole_numbers!(u8, u32, usize);

impl Setting for Duration {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        let text = match value {
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => String::new(),
        };
        *self = span::parse(&text).map_err(|_| "seconds, or a duration such as \"200ms\"")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
