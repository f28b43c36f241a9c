//! `distcc`: compiles on other machines. See [`pump_client::distcc`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pump_client::distcc::main()
}
