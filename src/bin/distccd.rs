//! `distccd`: compiles files that distcc clients send.

fn main() -> std::process::ExitCode {
    distccd_cache::main()
}
