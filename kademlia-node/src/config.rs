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
use keys::Keyed;
pub(crate) use keys::{KEYS, Key};

mod keys;

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

impl Settings {
    /// The defaults of a node in a private network.
    fn private_network() -> Self {
        let all = Settings::default();
        Settings { engine: all.engine.private_network(), service: all.service.private_network(), ..all }
    }

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
    let near = |known: &&str| known.split('.').next() == Some(section);
    let near: Vec<_> = KEYS.iter().map(|known| known.name).filter(near).collect();
    let known = if near.is_empty() { String::new() } else { format!("known: {}; ", near.join(", ")) };
    let failure = Failure::usage(format!("unknown configuration key `{key}`"));
    failure.hint(format!("{known}`kad config keys` lists all, with what they mean"))
}

/// A value that a key can set.
trait Setting {
    /// Takes the value, or says what was expected.
    fn set(&mut self, value: &Value) -> Result<(), String>;

    /// The value as it would be set.
    fn get(&self) -> Value;
}

impl Setting for bool {
    fn set(&mut self, value: &Value) -> Result<(), String> {
        *self = value.as_bool().ok_or("true or false")?;
        Ok(())
    }

    fn get(&self) -> Value {
        Value::Boolean(*self)
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

            fn get(&self) -> Value {
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
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

    fn get(&self) -> Value {
        if self.subsec_nanos() > 0 {
            return Value::Float(self.as_secs_f64());
        }
        Value::Integer(i64::try_from(self.as_secs()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests;
