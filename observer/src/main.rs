//! The one binary: all it does is `observer::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    observer::cli::main()
}
