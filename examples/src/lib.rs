//! Small runnable programs over the Athena crates.
