//! observer's own commands: set-up, build, run, test, lint, bench. No product code.

fn main() {}
