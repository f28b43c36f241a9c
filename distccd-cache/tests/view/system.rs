//! What depends on the system: paths below the toolchain's directories, ordinary users, refused namespaces.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use distccd_cache::job::{CompileOutcome, JobError};
use distccd_cache::workshop::{ViewPolicy, Workshop, WorkshopSettings};
use protocol::request::{Input, Request};
use protocol::tree::TreeEntry;
use protocol::version::Version;

use crate::support::{TestShop, file, path};

const GCC: &str = "/usr/bin/gcc";

fn request(cwd: &str, entries: Vec<TreeEntry>, words: &str) -> Request {
    let argv = words.split(' ').map(|w| w.as_bytes().to_vec()).collect();
    Request {
        version: Version::Pump3,
        cwd: Some(cwd.as_bytes().to_vec()),
        argv,
        input: Input::Tree(entries),
    }
}

/// Compiles a file of a client in some directory, with debug information, and returns object and dependencies.
#[track_caller]
fn compile_in(dir: &str) -> (Vec<u8>, String) {
    let shop = TestShop::new(ViewPolicy::Namespace);
    let entries = vec![
        file(
            path(&format!("{dir}/a.c")),
            b"#include <stdio.h>\n#include <x.h>\nint f(void) { return puts(X); }\n",
        ),
        file(path(&format!("{dir}/inc/x.h")), b"#define X __FILE__\n"),
        TreeEntry::system_link(path("/usr/include")),
        TreeEntry::system_link(path("/usr/lib/gcc/x86_64-linux-gnu/12/include")),
    ];
    let words = format!("gcc -g -MD -I{dir}/inc -c {dir}/a.c -o obj/a.o");
    let finished = shop
        .run(request(dir, entries, &words), Path::new(GCC))
        .unwrap_or_else(|e| panic!("{dir}: {e}"));
    assert_eq!(
        finished.outcome,
        CompileOutcome::Ok,
        "{dir}: {}",
        String::from_utf8_lossy(&finished.reply.stderr)
    );
    let dependencies = finished.reply.dependencies.expect("dependencies");
    (
        finished.reply.object,
        String::from_utf8_lossy(&dependencies).into_owned(),
    )
}

#[test]
fn projects_below_directories_of_the_system() {
    let dirs = [
        "/usr/src/project",
        "/usr/local/src/a/b",
        "/usr/local/include/gen",
        "/usr/project",
        "/opt/project/main",
        "/usr/include/client-project",
        "/lib/project",
        "/etc/project",
        "/dev/shm/project",
        "/tmp/project",
        "/run/project",
        "/root/project",
        "/project",
    ];
    for dir in dirs {
        if dir.starts_with("/lib/") && fs::symlink_metadata("/lib").is_ok_and(|m| m.is_symlink()) {
            continue;
        }
        let (object, dependencies) = compile_in(dir);
        assert!(
            dependencies.contains(&format!("{dir}/inc/x.h")),
            "{dependencies}"
        );
        let needle = format!("{dir}/a.c\0").into_bytes();
        assert!(
            object.windows(needle.len()).any(|w| w == needle),
            "{dir}: __FILE__ is the client's"
        );
    }
}

#[test]
fn the_working_directory_may_be_the_root() {
    let shop = TestShop::new(ViewPolicy::Namespace);
    let entries = vec![file(path("/a.c"), b"int x;\n")];
    let finished = shop
        .run(request("/", entries, "gcc -c a.c"), Path::new(GCC))
        .expect("a reply");
    assert_eq!(finished.outcome, CompileOutcome::Ok);
}

#[test]
fn a_header_of_the_servers_in_a_directory_of_the_clients_discards_the_result() {
    // The client has files in a directory where the server has one more, found first on the search path.
    let Some(other) = ["/usr/include/zlib.h", "/usr/include/stdio.h"]
        .into_iter()
        .find(|p| Path::new(p).exists())
    else {
        panic!("no header in /usr/include")
    };
    let name = Path::new(other)
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let entries = vec![
        file(
            path("/home/u/a.c"),
            format!("#include \"mine.h\"\n#include \"{name}\"\n").as_bytes(),
        ),
        file(path("/usr/include/mine.h"), b""),
    ];
    let shop = TestShop::new(ViewPolicy::Namespace);
    let words = "gcc -MD -I/usr/include -c a.c -o a.o";
    let result = shop.run(request("/home/u", entries, words), Path::new(GCC));
    assert!(
        matches!(result, Err(JobError::UnexpectedFile(_))),
        "{result:?}"
    );
}

#[test]
fn a_working_directory_that_is_no_path() {
    let shop = TestShop::new(ViewPolicy::Auto);
    for cwd in ["", "home/u", "/home/../../x"] {
        let entries = vec![file(path("/home/u/a.c"), b"int x;\n")];
        let result = shop.run(request(cwd, entries, "gcc -c /home/u/a.c"), Path::new(GCC));
        assert!(
            matches!(&result, Err(error) if error.is_bad_request()),
            "{cwd}: {result:?}"
        );
    }
}

/// Runs some tests of this program again, as another user or inside other namespaces. Being root is needed for that; an
/// ordinary user runs them as such anyway.
fn run_again(prepare: impl FnOnce(&mut Command, &Path)) {
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("tests");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("copied");
    let temp = dir.path().join("tmp");
    fs::create_dir(&temp).expect("a directory");
    for path in [dir.path(), temp.as_path()] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("open to all");
    }
    let mut command = Command::new(&program);
    command
        .args([
            "identity::",
            "ending::",
            "hostile::",
            "bundle_groves::",
            "--test-threads=2",
        ])
        .env("TMPDIR", &temp)
        .current_dir("/");
    prepare(&mut command, &program);
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("test result: ok") && !text.contains("running 0 tests"),
        "{text}"
    );
}

#[test]
fn everything_works_for_an_ordinary_user() {
    if !is_root() {
        return;
    }
    run_again(|command, _| {
        command.uid(65534).gid(65534);
    });
}

fn is_root() -> bool {
    // SAFETY: a plain system call.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn where_namespaces_are_refused_jobs_get_the_rewriting_view() {
    if std::env::var_os("PUMPHOUSE_TEST_REFUSED").is_some() {
        let temp = tempfile::tempdir().expect("a directory");
        let shop =
            Workshop::new(WorkshopSettings::new(temp.path().to_owned())).expect("jobs can run");
        let described = shop.describe();
        assert!(
            described.contains("temporary root, because this system refuses namespaces"),
            "{described}"
        );
        let mut settings = WorkshopSettings::new(temp.path().to_owned());
        settings.view = ViewPolicy::Namespace;
        assert!(Workshop::new(settings).is_err());
        let shop = TestShop::new(ViewPolicy::Auto);
        let entries = vec![file(path("/home/u/a.c"), b"int x;\n")];
        let finished = shop
            .run(request("/home/u", entries, "gcc -c a.c"), Path::new(GCC))
            .expect("a reply");
        assert_eq!(
            (finished.view, finished.outcome),
            ("rewrite", CompileOutcome::Ok)
        );
        return;
    }
    // In a user namespace of our own we may say that there shall be no further one.
    let this = std::env::current_exe().expect("this program");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["-Ur", "sh", "-c", script])
        .arg(this)
        .args([
            "--exact",
            "system::where_namespaces_are_refused_jobs_get_the_rewriting_view",
        ])
        .env("PUMPHOUSE_TEST_REFUSED", "1")
        .output()
        .expect("unshare runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "{text}");
}
