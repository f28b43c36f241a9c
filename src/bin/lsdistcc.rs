//! `lsdistcc`: says which hosts have a distcc server. See [`pump_client::lsdistcc`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pump_client::lsdistcc::main()
}
