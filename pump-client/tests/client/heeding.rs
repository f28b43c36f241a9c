//! A signal that whoever runs the tests may ignore: `nohup`, a shell's background. Programs that are started would ignore it, too.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Lets a command's process heed a signal.
pub(crate) fn heeding(command: &mut Command, signal: i32) -> &mut Command {
    // SAFETY: what runs before exec makes one system call, which has no memory effects.
    unsafe {
        command.pre_exec(move || {
            libc::signal(signal, libc::SIG_DFL);
            Ok(())
        })
    }
}
