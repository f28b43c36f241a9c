//! `pump`: runs a build in pump mode. See [`pump_client::pump`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pump_client::pump::main()
}
