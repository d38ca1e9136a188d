use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose data every critical section leaves whole, even one that panics: changes are complete before
/// foreign code, such as a waker, can run.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
