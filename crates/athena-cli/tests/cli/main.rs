//! The real binary, as a user runs it.

mod classify;
mod common;
mod doctor;
mod failures;
mod hostile;
mod policy;
mod scan;
mod tools;
