//! Work on all cores, results in the order of the input.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Results that may wait for an earlier one before workers pause.
const AHEAD: usize = 1024;

/// Applies `work` to every input on as many threads as there are cores and hands the results to
/// `sink` in input order. Ends early when `sink` fails.
pub(crate) fn in_order<I, R, E>(
    inputs: impl Iterator<Item = I> + Send,
    work: impl Fn(I) -> R + Sync,
    mut sink: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E>
where
    R: Send,
{
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let inputs = Mutex::new(inputs.enumerate());
    let (sender, receiver) = sync_channel(AHEAD);
    thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                loop {
                    let Ok(mut queue) = inputs.lock() else { return };
                    let Some((index, input)) = queue.next() else {
                        return;
                    };
                    drop(queue);
                    if sender.send((index, work(input))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        // Owned here, so that a sink that fails lets the workers' next `send` fail too.
        for (index, result) in receiver {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&next) {
                next += 1;
                sink(result)?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_input() {
        let mut seen = Vec::new();
        let slow_first = |n: u32| {
            if n == 0 {
                thread::yield_now();
            }
            n * 2
        };
        let outcome: Result<(), ()> = in_order(0..5_000, slow_first, |n| {
            seen.push(n);
            Ok(())
        });
        assert_eq!(outcome, Ok(()));
        assert!(seen.iter().copied().eq((0..5_000).map(|n| n * 2)));
    }

    #[test]
    fn a_failing_sink_ends_an_endless_input() {
        let outcome = in_order(0_u64.., |n| n, |n| if n < 10 { Ok(()) } else { Err(n) });
        assert_eq!(outcome, Err(10));
    }
}
