//! `distccmon-text`: shows the jobs that run now. See [`pump_client::monitor`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pump_client::monitor::main()
}
