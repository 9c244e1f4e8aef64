//! The configuration file, and the same keys on the command line.
//!
//! Every limit of the engine, of the answering side and of the sockets is one key here. Durations are in seconds, or
//! text such as `"200ms"`; 0 turns a rate limit off.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::ServiceConfig;
use bittorrent_profile::dht::Builder;
use kademlia_core::Config;
use kademlia_core::runtime::DriverConfig;
use toml::Value;
use transport_udp::UdpConfig;

use crate::exit::Failure;
use crate::span;

/// Everything that can be configured: the defaults of a node on the Internet, changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    engine: Config,
    service: ServiceConfig,
    udp: Udp,
    driver: DriverConfig,
    pub(crate) dht: Dht,
    /// The changes alone, for nodes with other defaults.
    changes: Arc<Vec<(String, Value)>>,
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
    /// Requests per second that all announcements together may take.
    pub(crate) renewal_budget: u32,
    /// How long a finished search answers further ones.
    pub(crate) requery: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            engine: Config::default(),
            service: ServiceConfig::default(),
            udp: Udp { receive_buffer: 2 << 20, send_buffer: 2 << 20, batched: true },
            driver: DriverConfig::default(),
            dht: Dht {
                renewal: Duration::from_secs(15 * 60),
                renewal_budget: 20,
                requery: Duration::from_secs(15),
            },
            changes: Arc::default(),
        }
    }
}

/// Settings that are found by their keys.
trait Keyed {
    fn slot(&mut self, key: &str) -> Option<&mut dyn Setting>;
}

/// The keys, and where each one's value is kept: the one list of what can be configured.
macro_rules! keys {
    ($($part:ident: $settings:ty { $($key:literal => $($field:ident).+,)* })*) => {
        const KEYS: &[&str] = &[$($($key,)*)*];

        $(impl Keyed for $settings {
            fn slot(&mut self, key: &str) -> Option<&mut dyn Setting> {
                match key {
                    $($key => Some(&mut self.$($field).+),)*
                    _ => None,
                }
            }
        })*

        impl Keyed for Settings {
            fn slot(&mut self, key: &str) -> Option<&mut dyn Setting> {
                $(if let Some(slot) = self.$part.slot(key) {
                    return Some(slot);
                })*
                None
            }
        }
    };
}

keys! {
    engine: Config {
        "k" => k,
        "alpha" => alpha,
        "health" => health,
        "table.good_for" => table.good_for,
        "table.keepalive" => table.keepalive,
        "table.refresh" => table.refresh,
        "table.bad_after" => table.bad_after,
        "table.replacements" => table.replacements,
        "table.one_per_ip" => table.one_per_ip,
        "table.near" => table.near,
        "table.per_subnet_in_bucket" => table.per_subnet_in_bucket,
        "table.per_subnet" => table.per_subnet,
        "rpc.outstanding" => rpc.outstanding,
        "rpc.per_ip" => rpc.per_ip,
        "rpc.initial_timeout" => rpc.initial_timeout,
        "rpc.min_timeout" => rpc.min_timeout,
        "rpc.max_timeout" => rpc.max_timeout,
        "rpc.retries" => rpc.retries,
        "lookup.running" => lookup.running,
        "lookup.waiting" => lookup.waiting,
        "lookup.patience" => lookup.patience,
        "lookup.messages" => lookup.messages,
        "lookup.reinforced_messages" => lookup.reinforced_messages,
        "lookup.time" => lookup.time,
        "lookup.candidates" => lookup.candidates,
        "lookup.paths" => lookup.paths,
        "lookup.per_path" => lookup.per_path,
        "lookup.dense" => lookup.dense,
        "lookup.dense_most" => lookup.dense_most,
        "lookup.per_subnet" => lookup.per_subnet,
        "lookup.per_wide_subnet" => lookup.per_wide_subnet,
        "verify.per_ip" => verify.per_ip,
        "verify.per_subnet" => verify.per_subnet,
        "verify.rate" => verify.rate,
        "verify.remembered" => verify.remembered,
        "observed.quorum" => observed.quorum,
        "observed.percent" => observed.percent,
        "observed.one_per_network" => observed.one_per_network,
        "observed.settle" => observed.settle,
        "observed.votes" => observed.votes,
        "inbound.per_ip" => inbound.per_ip,
        "inbound.burst" => inbound.burst,
        "inbound.quiet" => inbound.quiet,
        "inbound.datagram" => inbound.datagram,
        "strangers.per_ip" => strangers.per_ip,
        "strangers.burst" => strangers.burst,
        "strangers.all" => strangers.all,
        "egress.rate" => egress.rate,
        "bootstrap.first_pause" => bootstrap.first_pause,
        "bootstrap.longest_pause" => bootstrap.longest_pause,
        "bootstrap.routers" => bootstrap.routers,
    }
    service: ServiceConfig {
        "service.peer_ttl" => peer_ttl,
        "service.item_ttl" => item_ttl,
        "service.large_answers" => large_answers,
        "service.peers_per_reply" => peers_per_reply,
        "service.one_peer_per_ip" => one_peer_per_ip,
        "storage.bytes" => storage.bytes,
        "storage.per_key" => storage.per_key,
        "storage.per_source" => storage.per_source,
        "storage.per_subnet" => storage.per_subnet,
    }
    udp: Udp {
        "udp.receive_buffer" => receive_buffer,
        "udp.send_buffer" => send_buffer,
        "udp.batched" => batched,
    }
    driver: DriverConfig {
        "driver.commands" => commands,
        "driver.first_pause" => first_pause,
        "driver.longest_pause" => longest_pause,
    }
    dht: Dht {
        "dht.renewal" => renewal,
        "dht.renewal_budget" => renewal_budget,
        "dht.requery" => requery,
    }
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
        Arc::make_mut(&mut self.changes).push((key.to_owned(), value.clone()));
        Ok(())
    }

    /// How sockets are opened.
    pub(crate) fn sockets(&self) -> UdpConfig {
        let Udp { receive_buffer, send_buffer, batched } = self.udp;
        UdpConfig::default().receive_buffer(receive_buffer).send_buffer(send_buffer).batched(batched)
    }

    /// The description of a read-only node that behaves like this. What was not changed is as the node's address
    /// calls for.
    pub(crate) fn builder(&self) -> Builder {
        let (engine, service) = (Arc::clone(&self.changes), Arc::clone(&self.changes));
        bittorrent_profile::Dht::builder()
            .configure(move |config| change(config, &engine))
            .configure_service(move |config| change(config, &service))
            .configure_driver(|config| *config = self.driver)
            .renewal(self.dht.renewal)
            .renewal_budget(self.dht.renewal_budget)
            .requery(self.dht.requery)
    }
}

/// Makes those of the changes that concern these settings. Each was tried when it was read, so none fails.
fn change(settings: &mut impl Keyed, changes: &[(String, Value)]) {
    for (key, value) in changes {
        if let Some(slot) = settings.slot(key) {
            let _ = slot.set(value);
        }
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
