//! The program `distcc` for this crate's own tests; the one that is installed belongs to the root package.

fn main() -> std::process::ExitCode {
    pump_client::distcc::main()
}
