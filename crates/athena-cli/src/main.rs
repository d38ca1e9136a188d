//! The `athena` command-line tool.

fn main() {}
