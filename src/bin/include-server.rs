//! `include-server`: finds every header that a compile reads. See [`include_server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    include_server::cli::main()
}
