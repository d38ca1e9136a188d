use std::time::Duration;

unsafe extern "C" {
    fn pthread_self() -> usize;
    fn pthread_getcpuclockid(thread: usize, clock: *mut i32) -> i32;
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

/// A thread's CPU time, which other threads may read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(i32);

impl Clock {
    pub(crate) fn of_this_thread() -> Option<Self> {
        let mut clock = 0;
        // SAFETY: this thread lives; the clock is written.
        let status = unsafe { pthread_getcpuclockid(pthread_self(), &mut clock) };
        (status == 0).then_some(Self(clock))
    }

    /// None once the thread has ended.
    pub(crate) fn now(self) -> Option<Duration> {
        let mut time = [0; 2];
        // SAFETY: seconds and nanoseconds are written, of 64 bits each.
        let status = unsafe { clock_gettime(self.0, &mut time) };
        (status == 0).then(|| Duration::new(time[0] as u64, time[1] as u32))
    }
}

/// A watch over the most memory of this process, C's included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    before: u64,
}

impl Memory {
    pub(crate) fn watch() -> Option<Self> {
        // Forgets the peak so far.
        std::fs::write("/proc/self/clear_refs", "5").ok()?;
        Some(Self {
            before: most_resident()?,
        })
    }

    /// Bytes at most since then, beyond those of then.
    pub(crate) fn most(self) -> Option<u64> {
        Some(most_resident()?.saturating_sub(self.before))
    }
}

fn most_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}
