//! Everything that is done to the project: set up, demo, test, bench.

fn main() {}
