//! `overture-agent`: see the library of this package.

fn main() -> std::process::ExitCode {
    inventory_agent::command::main()
}
