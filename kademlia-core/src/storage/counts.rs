//! How many records each source holds.

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use crate::address::masked;
use crate::storage::{NoRoom, StorageLimits};

/// Records per source and per subnet. Both maps forget whom they count nothing for.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    sources: BTreeMap<IpAddr, u32>,
    subnets: BTreeMap<IpAddr, u32>,
}

impl Counts {
    /// What one more entry in one of the maps takes: key and count, in nodes that are two thirds full.
    pub(super) const ENTRY: usize = (size_of::<IpAddr>() + size_of::<u32>()) * 3 / 2;

    /// Whether `ip` may hold one more record.
    pub(super) fn admit(&self, ip: IpAddr, limits: &StorageLimits) -> Result<(), NoRoom> {
        let reached =
            |count: Option<&u32>, limit: usize| limit != 0 && count.is_some_and(|n| *n as usize >= limit);
        if reached(self.sources.get(&source(ip)), limits.per_source) {
            return Err(NoRoom::Source);
        }
        if reached(self.subnets.get(&subnet(ip)), limits.per_subnet) {
            return Err(NoRoom::Subnet);
        }
        Ok(())
    }

    pub(super) fn add(&mut self, ip: IpAddr) {
        for (map, key) in [(&mut self.sources, source(ip)), (&mut self.subnets, subnet(ip))] {
            let count = map.entry(key).or_default();
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn remove(&mut self, ip: IpAddr) {
        for (map, key) in [(&mut self.sources, source(ip)), (&mut self.subnets, subnet(ip))] {
            match map.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    map.remove(&key);
                }
            }
        }
    }

    /// Entries in both maps.
    pub(super) fn len(&self) -> usize {
        self.sources.len() + self.subnets.len()
    }

    /// Entries there would be with one more record of `ip`, and one less of `replaced`.
    pub(super) fn len_with(&self, ip: IpAddr, replaced: Option<IpAddr>) -> usize {
        let with = |map: &BTreeMap<IpAddr, u32>, group: fn(IpAddr) -> IpAddr| {
            let added = !map.contains_key(&group(ip));
            let last = |old: IpAddr| group(old) != group(ip) && map.get(&group(old)) == Some(&1);
            map.len() + usize::from(added) - usize::from(replaced.is_some_and(last))
        };
        with(&self.sources, source) + with(&self.subnets, subnet)
    }
}

/// What one host can be assumed to have to itself: an IPv4 address, an IPv6 /64.
pub(super) fn source(ip: IpAddr) -> IpAddr {
    masked(ip, 32, 64)
}

/// What one customer can be assumed to have at most: an IPv4 /24, an IPv6 /48.
pub(super) fn subnet(ip: IpAddr) -> IpAddr {
    masked(ip, 24, 48)
}
