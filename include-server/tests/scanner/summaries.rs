//! What including a file came to is had again in other units: the answers are those of a scan that remembers nothing.

use std::path::Path;

use include_server::closure::Closure;
use include_server::configuration::CommandMacro;
use include_server::decline::Decline;
use include_server::file_table::FileTable;
use include_server::scan::scan;

use crate::support::{Compiler, Job, compiler, job, plant, words};

/// All that a scan says.
fn told(answer: &Result<Closure, Decline>) -> String {
    match answer {
        Ok(closure) => {
            let files = closure.files.iter();
            let files = files.map(|file| (&file.name, file.text_read, file.empty_lines));
            let hits = closure.has_include_hits.iter().map(|file| &file.name);
            let mut absent = closure.probed_absent();
            absent.sort();
            format!(
                "{:?}\n{:?}\n{absent:?}",
                files.collect::<Vec<_>>(),
                hits.collect::<Vec<_>>()
            )
        }
        Err(decline) => decline.to_string(),
    }
}

/// Units of one option set, scanned by one table again and again.
struct Project {
    job: Job,
    shared: FileTable,
}

impl Project {
    fn new(compiler: &Compiler, root: &Path, options: &str) -> Project {
        // Of files that may still change within one tick of the clock nothing is kept.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let shared = FileTable::new();
        shared.summaries().record_from(2);
        Project {
            job: job(compiler, root, &words(options)),
            shared,
        }
    }

    /// Scans `source` with these macros defined; the answer is the same with nothing remembered.
    #[track_caller]
    fn scan(&self, source: &str, macros: &[&str]) -> String {
        let mut unit = self.job.unit.clone();
        unit.source = source.into();
        let macros = macros.iter().map(|text| text.as_bytes().to_vec());
        unit.command_macros.extend(macros.map(CommandMacro::Define));
        let ours = told(&scan(&unit, &self.job.configuration, &self.shared));
        let fresh = told(&scan(&unit, &self.job.configuration, &FileTable::new()));
        assert_eq!(ours, fresh, "{source}");
        ours
    }

    fn taken(&self) -> u64 {
        self.shared.summaries().taken()
    }
}

/// `one.c` and `two.c` include `top.h`, which includes others; each unit is scanned three times in turn. How often a
/// summary was taken.
#[track_caller]
fn taken_in(headers: &str) -> u64 {
    let Some(gcc) = compiler("gcc") else {
        return u64::MAX;
    };
    let tree = plant(&format!(
        "//- one.c\n#include \"first.h\"\n#include \"top.h\"\n//- two.c\n#include \"first.h\"\n#include \"top.h\"\n//- first.h\n{headers}"
    ));
    let project = Project::new(&gcc, tree.path(), "-I. one.c");
    for _ in 0..3 {
        project.scan("one.c", &[]);
        project.scan("two.c", &[]);
    }
    project.taken()
}

#[test]
fn a_header_met_again_is_not_executed() {
    assert!(taken_in("//- top.h\n#include \"low.h\"\n//- low.h\n#define LOW\n") >= 4);
}

#[test]
fn what_hangs_on_more_than_macros_is_executed() {
    for low in [
        "#if __COUNTER__ == 0\n#include <a.h>\n#endif\n",
        "#if __INCLUDE_LEVEL__ == 2\n#include <a.h>\n#endif\n",
        "#pragma push_macro(\"X\")\n#define X 1\n#pragma pop_macro(\"X\")\n",
        "#assert machine(pump)\n#if #machine(pump)\n#include <a.h>\n#endif\n",
        "#pragma GCC push_options\n#pragma GCC optimize(\"O1\")\n#pragma GCC pop_options\n",
    ] {
        let headers = format!("//- top.h\n#include \"low.h\"\n//- low.h\n{low}//- a.h\n");
        let taken = taken_in(&headers);
        assert!(taken == 0 || taken == u64::MAX, "{low}: {taken}");
    }
}

#[test]
fn other_macros_have_other_effects() {
    let Some(gcc) = compiler("gcc") else { return };
    let tree = plant(
        "//- first.h\n//- one.c\n#include \"first.h\"\n#include \"top.h\"\n#ifdef SET\n#include \"set.h\"\n#endif\n\
         //- two.c\n#include \"first.h\"\n#define A\n#include \"top.h\"\n#undef A\n#include \"top.h\"\n#ifdef SET\n#include \"set.h\"\n#endif\n\
         //- top.h\n#include \"low.h\"\n//- low.h\n#ifdef A\n#include \"a.h\"\n#define SET\n#elif B == 2\n#include \"b.h\"\n#undef SET\n#endif\n\
         //- a.h\n//- b.h\n//- set.h\n",
    );
    let project = Project::new(&gcc, tree.path(), "-I. one.c");
    for _ in 0..4 {
        for macros in [&[][..], &["A"], &["B=2"], &["B=3"], &["A", "B=2"]] {
            project.scan("one.c", macros);
            project.scan("two.c", macros);
        }
    }
    assert!(project.taken() > 20);
}

#[test]
fn files_read_once_stay_so_in_each_unit() {
    let Some(gcc) = compiler("gcc") else { return };
    let tree = plant(
        "//- first.h\n//- one.c\n#include \"first.h\"\n#include \"top.h\"\n#include \"top.h\"\n\
         //- two.c\n#include \"first.h\"\n#include \"once.h\"\n#include \"top.h\"\n\
         //- three.c\n#include \"first.h\"\n#include \"twin.h\"\n#include \"top.h\"\n\
         //- top.h\n#include \"once.h\"\n#include \"mid.h\"\n//- mid.h\n#include \"once.h\"\n#include \"low.h\"\n//- low.h\n\
         //- once.h\n#pragma once\n#include \"low.h\"\n//- twin.h\n#pragma once\n#include \"low.h\"\n",
    );
    let project = Project::new(&gcc, tree.path(), "-I. one.c");
    for _ in 0..4 {
        project.scan("one.c", &[]);
        project.scan("two.c", &[]);
        assert!(project.scan("three.c", &[]).contains("equal content"));
    }
    assert!(project.taken() > 0);
}

#[test]
fn changed_files_are_noticed_below_a_summary() {
    let Some(gcc) = compiler("gcc") else { return };
    let tree = plant(
        "//- first.h\n//- one.c\n#include \"first.h\"\n#include <top.h>\n//- two.c\n#include \"first.h\"\n#include <top.h>\n\
         //- i/top.h\n#include <mid.h>\n//- i/mid.h\n#include <low.h>\n//- i/low.h\n#define LOW\n//- first/x.h\n//- i/new.h\n",
    );
    let project = Project::new(&gcc, tree.path(), "-Ifirst -Ii one.c");
    let learn = || {
        for _ in 0..3 {
            project.scan("one.c", &[]);
            project.scan("two.c", &[]);
        }
        project.scan("one.c", &[])
    };
    assert!(!learn().contains("new.h"));
    std::fs::write(tree.path().join("i/low.h"), "#include <new.h>\n").unwrap();
    assert!(learn().contains("i/new.h"));
    std::fs::write(tree.path().join("first/low.h"), "#include <x.h>\n").unwrap();
    assert!(learn().contains("first/x.h"));
    std::fs::remove_file(tree.path().join("first/low.h")).unwrap();
    assert!(learn().contains("i/new.h"));
    assert!(project.taken() > 0);
}

#[test]
fn depth_is_that_of_the_unit() {
    let Some(gcc) = compiler("gcc") else { return };
    let mut fixture = String::from(
        "//- first.h\n//- shallow.c\n#include \"first.h\"\n#include \"n0.h\"\n//- deep.c\n#include \"first.h\"\n#include \"m0.h\"\n",
    );
    for level in 0..120 {
        fixture += &format!("//- m{level}.h\n#include \"m{}.h\"\n", level + 1);
        fixture += &format!("//- n{level}.h\n#include \"n{}.h\"\n", level + 1);
    }
    fixture += "//- m120.h\n#include \"n0.h\"\n//- n120.h\n";
    let tree = plant(&fixture);
    let project = Project::new(&gcc, tree.path(), "shallow.c");
    for _ in 0..4 {
        project.scan("shallow.c", &[]);
        assert!(project.scan("deep.c", &[]).contains("200"));
    }
    assert!(project.taken() > 0);
}

/// Threads that meet the same headers for the first time read ahead of each other; what one unit does not include is not in
/// its answer.
#[test]
fn threads_that_begin_at_once_answer_as_alone() {
    let Some(gcc) = compiler("gcc") else { return };
    let text = "int a_declaration(int of, char *no, double interest);\n".repeat(2000);
    let mut files = String::new();
    for unit in 0..4 {
        files +=
            &format!("//- unit{unit}.c\n#include \"all.h\"\n#if 0\n#include \"never.h\"\n#endif\n");
    }
    files += "//- never.h\n//- all.h\n";
    let headers: String = (0..40)
        .map(|at| format!("#include \"h{at}.h\"\n"))
        .collect();
    files += &headers;
    for at in 0..40 {
        let other = (at + 1) % 40;
        files += &format!(
            "//- h{at}.h\n#ifndef H{at}\n#define H{at}\n{text}#include \"h{other}.h\"\n#include \"absent{at}/h.h\"\n#endif\n//- absent{at}/h.h\n"
        );
    }
    let tree = plant(&files);
    let project = Project::new(&gcc, tree.path(), "-I. unit0.c");
    let (project, start) = (&project, &std::sync::Barrier::new(4));
    std::thread::scope(|scope| {
        for unit in 0..4 {
            scope.spawn(move || {
                start.wait();
                let answer = project.scan(&format!("unit{unit}.c"), &[]);
                assert!(answer.contains("absent39/h.h") && !answer.contains("never.h"));
            });
        }
    });
}
