//! The `overture` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    overture::cli::main()
}
