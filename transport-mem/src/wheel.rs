//! The event queue: a hierarchical timing wheel (Varghese and Lauck, 1987) over microseconds.
//!
//! Eleven levels of 64 slots cover every `u64`. An event sits at the level of the highest six-bit digit in which its
//! time differs from the present, in the slot of its own digit; when the present enters a slot, its events move to
//! lower levels. Slots are linked lists through one array: events never move, and an empty wheel costs 5 KB.

use kademlia_core::Instant;

const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT) as usize;
const NONE: u32 = u32::MAX;

/// Events in order of time, and first in, first out where times are equal.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// No event is earlier. Moves only in `pop`: the levels below are relative to it.
    present: u64,
    levels: Box<[Level; LEVELS]>,
    events: Vec<Event<T>>,
    /// First of the unused places in `events`, chained through `next`.
    vacant: u32,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// One bit for each slot that holds events.
    occupied: u64,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Event<T> {
    at: u64,
    previous: u32,
    next: u32,
    value: T,
}

/// Names a scheduled event until it is popped or cancelled; afterwards the name may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId(u32);

impl<T: Copy> Wheel<T> {
    pub(crate) fn new() -> Self {
        let slots = [Slot { first: NONE, last: NONE }; SLOTS];
        Wheel {
            present: 0,
            levels: Box::new([Level { occupied: 0, slots }; LEVELS]),
            events: Vec::new(),
            vacant: NONE,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds an event. One for the past comes next.
    pub(crate) fn schedule(&mut self, at: Instant, value: T) -> EventId {
        let event = Event { at: at.as_micros().max(self.present), previous: NONE, next: NONE, value };
        let id = if let Some(place) = self.events.get_mut(self.vacant as usize) {
            let id = self.vacant;
            self.vacant = place.next;
            *place = event;
            id
        } else {
            self.events.push(event);
            // Four billion events would not fit the memory.
            u32::try_from(self.events.len() - 1).unwrap_or(NONE)
        };
        self.link(id);
        self.len += 1;
        EventId(id)
    }

    /// Takes a scheduled event out.
    pub(crate) fn cancel(&mut self, id: EventId) {
        self.unlink(id.0);
        self.vacate(id.0);
    }

    /// Takes the next event out, unless it is later than `until`.
    pub(crate) fn pop(&mut self, until: Instant) -> Option<(Instant, T)> {
        loop {
            // Whatever sits at a lower level comes before everything at the higher ones.
            let (level, occupied) = self
                .levels
                .iter()
                .map(|level| level.occupied)
                .enumerate()
                .find(|&(_, occupied)| occupied != 0)?;
            let slot = occupied.trailing_zeros() as usize;
            let shift = DIGIT * u32::try_from(level).ok()?;
            let above = u64::MAX.checked_shl(shift + DIGIT).unwrap_or(0);
            let start = (self.present & above) | ((slot as u64) << shift);
            if start > until.as_micros() {
                return None;
            }
            self.present = start;
            if level == 0 {
                let id = self.levels[0].slots[slot].first;
                self.unlink(id);
                self.vacate(id);
                return Some((Instant::from_micros(start), self.events[id as usize].value));
            }
            self.cascade(level, slot);
        }
    }

    /// Moves a slot's events to the lower levels, in their order. Those levels are empty, so equal times stay in order.
    fn cascade(&mut self, level: usize, slot: usize) {
        let level = &mut self.levels[level];
        level.occupied &= !(1 << slot);
        let mut id = std::mem::replace(&mut level.slots[slot], Slot { first: NONE, last: NONE }).first;
        while id != NONE {
            let next = self.events[id as usize].next;
            self.link(id);
            id = next;
        }
    }

    /// The level and slot in which an event of that time sits now. An event that the present has not reached
    /// stays where this says, so that it also finds what was linked long ago.
    fn place(&self, at: u64) -> (usize, usize) {
        let differing = at ^ self.present;
        let level = differing.checked_ilog2().unwrap_or(0) / DIGIT;
        let digit = (at >> (DIGIT * level)) & (SLOTS as u64 - 1);
        (level as usize, usize::try_from(digit).unwrap_or(0))
    }

    fn link(&mut self, id: u32) {
        let (level, slot) = self.place(self.events[id as usize].at);
        let level = &mut self.levels[level];
        level.occupied |= 1 << slot;
        let slot = &mut level.slots[slot];
        let last = std::mem::replace(&mut slot.last, id);
        if last == NONE {
            slot.first = id;
        } else {
            self.events[last as usize].next = id;
        }
        let event = &mut self.events[id as usize];
        event.previous = last;
        event.next = NONE;
    }

    fn unlink(&mut self, id: u32) {
        let Event { at, previous, next, .. } = self.events[id as usize];
        let (level, slot) = self.place(at);
        let level = &mut self.levels[level];
        match previous {
            NONE => level.slots[slot].first = next,
            _ => self.events[previous as usize].next = next,
        }
        match next {
            NONE => level.slots[slot].last = previous,
            _ => self.events[next as usize].previous = previous,
        }
        if level.slots[slot].first == NONE {
            level.occupied &= !(1 << slot);
        }
    }

    fn vacate(&mut self, id: u32) {
        self.events[id as usize].next = self.vacant;
        self.vacant = id;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests;
