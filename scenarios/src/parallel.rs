//! Work that falls into independent parts, on as many threads as there are processors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// `part(0)` to `part(count - 1)`, in this order; `each` is called whenever one more is done.
pub(crate) fn map<T: Send>(count: usize, part: impl Fn(usize) -> T + Sync, mut each: impl FnMut()) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count);
    let next = AtomicUsize::new(0);
    let (sender, done) = mpsc::channel();
    let mut parts: Vec<(usize, T)> = thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, part) = (sender.clone(), &next, &part);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= count || sender.send((place, part(place))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        done.iter().inspect(|_| each()).collect()
    });
    parts.sort_by_key(|(place, _)| *place);
    parts.into_iter().map(|(_, part)| part).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn parts_come_in_order_and_each_is_counted() {
        for count in [0, 1, 100] {
            let mut done = 0;
            let squares = map(count, |n| n * n, || done += 1);
            assert_eq!(squares, (0..count).map(|n| n * n).collect::<Vec<_>>());
            assert_eq!(done, count);
        }
    }

    #[test]
    fn they_run_side_by_side() {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let all = Barrier::new(threads);
        // Would never end if one waited for another to be done.
        map(threads, |_| all.wait(), || {});
    }
}
