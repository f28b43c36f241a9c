//! How jobs end: killed when nobody waits or when they take too long, nothing left in any case.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use distccd_cache::job::{CompileOutcome, JobError};
use distccd_cache::workshop::{SandboxPolicy, ViewPolicy};
use protocol::request::{Input, Request};
use protocol::version::Version;
use protocol::wait_status::WaitStatus;

use crate::support::{Project, TestShop, compilers};

const VIEWS: [ViewPolicy; 2] = [ViewPolicy::Namespace, ViewPolicy::Rewrite];

/// A "compiler" that is a shell script, where the views can see it.
struct Script {
    dir: tempfile::TempDir,
}

impl Script {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cc");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("cc")
    }
}

fn project() -> Project {
    Project::new(&[("a.c", "int x;\n")])
}

/// A source that keeps a compiler busy for hours.
fn endless() -> Project {
    let mut text =
        String::from("constexpr long f(long n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\n");
    text.push_str("constexpr long x = f(90);\n");
    Project::new(&[("a.cc", &text)])
}

const ENDLESS: &str = "c++ -std=c++17 -fconstexpr-ops-limit=9000000000000 -fconstexpr-loop-limit=2000000000 -fconstexpr-cache-depth=1 -c a.cc -o a.o";

/// The processes whose command line mentions a path.
pub fn processes_with(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let lines = entries.filter_map(|e| fs::read(e.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

#[test]
fn a_client_that_goes_away_takes_the_compiler_with_it() {
    for view in VIEWS {
        let shop = TestShop::new(view);
        let project = endless();
        let mark = format!("MARK_{}_{view:?}", std::process::id());
        let request = project.request(&format!("{ENDLESS} -D{mark}"));
        let running = async {
            // The client leaves as soon as the compiler proper (a child of the driver) is at work.
            while !processes_with(&mark)
                .iter()
                .any(|line| line.contains("cc1plus"))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let finished = shop
            .run_until(request, Path::new("/usr/bin/g++"), running)
            .expect("an end");
        assert_eq!(finished.outcome, CompileOutcome::Disconnected);
        assert_eq!(processes_with(&mark), Vec::<String>::new(), "{view:?}");
    }
}

#[test]
fn a_compile_that_takes_too_long_is_stopped() {
    for view in VIEWS {
        let shop = TestShop::with(view, |settings| {
            settings.job_lifetime = Some(Duration::from_millis(300))
        });
        let project = endless();
        let mark = format!("SLOW_{}_{view:?}", std::process::id());
        let finished = shop
            .run(
                project.request(&format!("{ENDLESS} -D{mark}")),
                Path::new("/usr/bin/g++"),
            )
            .expect("an end");
        assert_eq!(finished.outcome, CompileOutcome::TimedOut);
        assert_eq!(finished.reply.status, WaitStatus::exited(118));
        assert!(finished.reply.object.is_empty());
        assert_eq!(processes_with(&mark), Vec::<String>::new(), "{view:?}");
    }
}

#[test]
fn a_compiler_that_ignores_requests_to_stop() {
    let script =
        Script::new("case $1 in -fno-*) exit 1;; esac; trap '' TERM; while :; do sleep 1000; done");
    let shop = TestShop::with(ViewPolicy::Rewrite, |settings| {
        settings.job_lifetime = Some(Duration::from_millis(50))
    });
    let finished = shop
        .run(project().request("cc -c a.c -o a.o"), &script.path())
        .expect("an end");
    assert_eq!(finished.outcome, CompileOutcome::TimedOut);
    assert_eq!(
        processes_with(&script.path().to_string_lossy()),
        Vec::<String>::new()
    );
}

#[test]
fn a_dropped_job_kills_its_compiler() {
    for view in VIEWS {
        let shop = TestShop::new(view);
        let project = endless();
        let mark = format!("DROPPED_{}_{view:?}", std::process::id());
        let request = project.request(&format!("{ENDLESS} -D{mark}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let job = shop.shop.run(
                request,
                Path::new("/usr/bin/g++"),
                std::future::pending::<()>(),
            );
            let running = async {
                while !processes_with(&mark)
                    .iter()
                    .any(|line| line.contains("cc1plus"))
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                result = job => panic!("ended by itself: {result:?}"),
                () = running => {}
            }
        });
        // A start that was under way ends on another thread, which then finds that nobody wants its result.
        while !processes_with(&mark).is_empty() || !shop.left_over().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn errors_of_the_source_are_the_compilers_own() {
    for view in VIEWS {
        let shop = TestShop::new(view);
        let project = Project::new(&[("a.c", "int x = ;\n")]);
        for compiler in compilers(&["gcc", "clang-19"]) {
            let finished = shop
                .run(project.request("cc -c a.c -o a.o"), &compiler)
                .expect("a reply");
            assert_eq!(finished.outcome, CompileOutcome::Error);
            assert_eq!(finished.reply.status, WaitStatus::exited(1));
            assert!(
                String::from_utf8_lossy(&finished.reply.stderr)
                    .contains("error: expected expression")
            );
            assert_eq!(finished.reply.dependencies, None);
            assert_eq!(finished.source, b"a.c");
        }
    }
}

#[test]
fn a_compiler_that_is_not_there() {
    for view in VIEWS {
        let shop = TestShop::new(view);
        let finished = shop
            .run(
                project().request("nosuch -c a.c -o a.o"),
                Path::new("/usr/bin/nosuch-cc"),
            )
            .expect("a reply");
        assert_eq!(finished.reply.status, WaitStatus::exited(110));
        let stderr = String::from_utf8_lossy(&finished.reply.stderr).into_owned();
        assert!(
            stderr.contains("cannot run /usr/bin/nosuch-cc: No such file"),
            "{stderr}"
        );
    }
}

#[test]
fn a_compiler_that_writes_nothing_or_a_link() {
    // Without the sandbox, which would not let it make such things: reading outputs is safe by itself.
    let shop = TestShop::with(ViewPolicy::Rewrite, |settings| {
        settings.sandbox.policy = SandboxPolicy::Off;
    });
    for text in ["exit 0", "ln -s /etc/passwd a.o", "mkdir a.o", "mkfifo a.o"] {
        let script = Script::new(&format!(
            "for word; do case $word in -E) exit 1;; esac; done; {text}"
        ));
        let result = shop.run(project().request("cc -c a.c -o a.o"), &script.path());
        assert!(
            matches!(result, Err(JobError::MissingOutput(_))),
            "{text}: {result:?}"
        );
    }
}

#[test]
fn a_compiler_killed_by_a_signal() {
    let script = Script::new("kill -SEGV $$");
    let shop = TestShop::new(ViewPolicy::Rewrite);
    let finished = shop
        .run(project().request("cc -c a.c -o a.o"), &script.path())
        .expect("a reply");
    assert_eq!(finished.reply.status.signal(), Some(11));
    assert!(!finished.reply.status.core_dumped());
}

#[test]
fn a_full_temporary_directory_is_no_reply() {
    let shop = TestShop::new(ViewPolicy::Auto);
    let gone = shop.temp.path().to_owned();
    fs::remove_dir(&gone).expect("removed");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let job = shop.shop.run(
        project().request("gcc -c a.c"),
        Path::new("/usr/bin/gcc"),
        std::future::pending::<()>(),
    );
    let result = runtime.block_on(job);
    assert!(
        matches!(&result, Err(error @ JobError::Io { .. }) if !error.is_bad_request()),
        "{result:?}"
    );
    fs::create_dir(&gone).expect("made again");
}

#[test]
fn preprocessed_sources_in_protocols_1_and_2() {
    let text = b"# 1 \"a.c\"\nint f(void) { return 42; }\n";
    for view in VIEWS {
        for (version, wire) in [
            (Version::Plain1, text.to_vec()),
            (Version::Lzo2, protocol::lzo::compress(text)),
        ] {
            for compiler in compilers(&["gcc", "clang-19"]) {
                let argv = ["cc", "-O2", "-c", "dir/a.c", "-o", "out/a.o"]
                    .map(|w| w.as_bytes().to_vec())
                    .to_vec();
                let request = Request {
                    version,
                    cwd: None,
                    argv,
                    input: Input::Preprocessed(wire.clone()),
                };
                let shop = TestShop::new(view);
                let finished = shop.run(request, &compiler).expect("a reply");
                assert_eq!(
                    finished.outcome,
                    CompileOutcome::Ok,
                    "{}",
                    String::from_utf8_lossy(&finished.reply.stderr)
                );
                assert!(finished.reply.object.starts_with(b"\x7fELF"));
                assert_eq!(finished.reply.dependencies, None);
                assert_eq!(finished.reply.version, version);
            }
        }
    }
}
