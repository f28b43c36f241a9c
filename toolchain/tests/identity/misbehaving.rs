//! Programs that are no compilers, or bad ones: each is refused with its reason, and soon.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use toolchain::run::RunError;
use toolchain::{IdentifyError, Language, identify};

use crate::support::{Fake, ask, question, usual};

fn refusal(compiler: &Path) -> IdentifyError {
    match ask(compiler, Language::C) {
        Ok((identity, _)) => panic!("{} is {identity:?}", compiler.display()),
        Err(error) => error,
    }
}

#[test]
fn what_is_no_program() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let script = file("cc", b"#!/bin/sh\nexec gcc \"$@\"\n");
    let error = refusal(&script);
    assert!(matches!(error, IdentifyError::Script { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("is a script, so nothing tells which compiler it starts")
    );
    for text in [&b""[..], b"hello", b"\x7fELF", &[0x7f; 4096]] {
        let error = refusal(&file("text", text));
        assert!(matches!(error, IdentifyError::NoProgram { .. }), "{error}");
    }
    for missing in ["nothing", "cc/gcc"] {
        let error = refusal(&directory.path().join(missing));
        assert!(matches!(error, IdentifyError::Unreadable { .. }), "{error}");
    }
    let error = refusal(directory.path());
    assert!(matches!(error, IdentifyError::Unreadable { .. }), "{error}");
    let link = directory.path().join("gcc");
    std::fs::copy("/bin/true", directory.path().join("ccache")).unwrap();
    symlink("ccache", &link).unwrap();
    let error = refusal(&link);
    assert!(matches!(error, IdentifyError::Wrapper { .. }), "{error}");
    let error = refusal(Path::new("/bin/true"));
    assert!(matches!(error, IdentifyError::NoCompiler { .. }), "{error}");
    let error = refusal(Path::new("/bin/ls"));
    assert!(matches!(error, IdentifyError::Refused { .. }), "{error}");
}

#[test]
fn a_program_that_starts_another_compiler_is_a_wrapper() {
    match refusal(&Fake::new("wrap").compiler()) {
        IdentifyError::Wrapper { starts, .. } => assert_eq!(starts, "/usr/bin/gcc"),
        error => panic!("{error}"),
    }
}

#[test]
fn bad_compilers_are_refused_with_a_reason() {
    let fake = Fake::new("honest");
    let error = || refusal(&fake.compiler());
    ask(&fake.compiler(), Language::C).expect("an honest compiler");
    fake.set("crash");
    assert!(matches!(error(), IdentifyError::Refused { .. }));
    fake.set("silent");
    assert!(matches!(error(), IdentifyError::NoCompiler { .. }));
    fake.set("macroless");
    assert!(matches!(error(), IdentifyError::NoCompiler { .. }));
    fake.set("plugin");
    assert!(matches!(error(), IdentifyError::Loads { .. }));
    fake.set("flood");
    assert!(matches!(
        error(),
        IdentifyError::Run {
            cause: RunError::TooLong,
            ..
        }
    ));
    fake.set("hang");
    let environment = usual();
    let compiler = fake.compiler();
    let question = question(&compiler, &environment);
    let found = identify(&question, Duration::from_millis(300));
    let error = found.expect_err("it does not answer");
    assert!(matches!(
        error,
        IdentifyError::Run {
            cause: RunError::TooSlow(_),
            ..
        }
    ));
    assert!(
        error.to_string().contains("no answer within 0.3 seconds"),
        "{error}"
    );
}
