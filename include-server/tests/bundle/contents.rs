//! What manifests and platforms say.

use std::os::unix::fs::symlink;

use include_server::facts::Freshness;
use protocol::bundle::block::Codecs;
use protocol::bundle::entry::{Content, Name};
use protocol::bundle::need::Need;
use protocol::identity::{Family, Identity};

use crate::server::Server;
use crate::support::{MODES, Site};

#[test]
fn the_systems_headers_are_among_the_files() {
    let mut site = Site::new(Freshness::Auto);
    site.write(
        "a.c",
        "#include <stdio.h>\n#include <stddef.h>\n#include \"inc/b.h\"\n",
    );
    site.write("inc/b.h", "#include <linux/types.h>\n");
    for compiler in ["gcc", "clang-19"] {
        let job = site.check(&format!("{compiler} -c a.c"));
        let entries = site.server.entries(&job);
        let find = |path: &str| {
            entries
                .iter()
                .find(|e| e.path.as_bytes() == path.as_bytes())
        };
        let stdio = find("/usr/include/stdio.h").unwrap();
        assert!(stdio.system && stdio.name == Name::Path);
        assert!(
            entries
                .iter()
                .any(|e| e.system && e.path.as_bytes().ends_with(b"/stddef.h"))
        );
        let own = site.entry(&job, "inc/b.h").unwrap();
        assert!(!own.system && own.name == Name::Relative);
        assert_eq!(job.manifest.own.len(), 1);
        assert!(job.manifest.own[0].path.as_bytes().ends_with(b"/a.c"));
    }
    site.write("c.cc", "#include <vector>\n#include <map>\n");
    for compiler in ["g++", "clang++-19"] {
        site.check(&format!("{compiler} -c c.cc"));
    }
}

#[test]
fn the_platform_tells_of_the_compiler_and_its_directories() {
    let mut site = Site::new(Freshness::Auto);
    site.write("a.c", "#include <mine.h>\nint a;\n");
    site.write("mine/mine.h", "");
    site.write("sys/s.h", "");
    let job = site.check("cc -Imine -isystem sys -isystem ROOT/sys -c a.c");
    let platform = &job.platform;
    assert_eq!(platform.names[0], b"cc");
    assert!(platform.names.len() == 2, "{platform:?}");
    let (identity, rest) = Identity::decode(&platform.identity).unwrap();
    assert!(rest.is_empty() && identity.family == Family::Gcc);
    let has = |path: &str| {
        platform
            .system_directories
            .iter()
            .any(|d| d == path.as_bytes())
    };
    assert!(
        has("/usr/include") && has("/usr/local/include"),
        "{platform:?}"
    );
    for directory in &platform.system_directories {
        let text = String::from_utf8_lossy(directory);
        assert!(!text.contains("..") && text.starts_with('/'), "{text}");
        assert!(
            !text.ends_with("/sys") && !text.ends_with("/mine"),
            "{text}"
        );
        assert!(!text.contains("include-server."), "{text}");
    }
    assert!(platform.environment.is_empty());
    let mut query = site.query("cc -Imine -c a.c");
    query.environment = Some(vec![
        b"PATH=/usr/bin:/bin".to_vec(),
        b"SOURCE_DATE_EPOCH=1".to_vec(),
        b"LANG=C".to_vec(),
        b"LC_ALL=".to_vec(),
    ]);
    let offered = site.answerer.offer(&query).unwrap();
    let cwd = site.path("");
    let job = site.server.take(&offered.body, &cwd, Vec::new(), |need| {
        Ok(crate::support::given(&offered, need))
    });
    let expected = [b"SOURCE_DATE_EPOCH=1".to_vec(), b"LANG=C".to_vec()];
    assert_eq!(job.unwrap().platform.environment, expected);
}

#[test]
fn links_and_directories_on_the_way_are_told() {
    for mode in MODES {
        let mut site = Site::new(mode);
        site.write("deep/real/x.h", "#include \"../y.h\"\n");
        site.write("deep/y.h", "int y;\n");
        site.write("empty/none", "");
        site.write("a.c", "#include <x.h>\n#include \"empty/../b.h\"\n");
        site.write("b.h", "int b;\n");
        symlink("deep/real", site.path("link")).unwrap();
        let job = site.check("gcc -Ilink -c a.c");
        let link = site.entry(&job, "link").unwrap();
        assert_eq!(link.content, Content::Link(b"deep/real".to_vec()));
        let directory = site.entry(&job, "empty").unwrap();
        assert_eq!(directory.content, Content::Directory);
        // Absolute, through the link.
        let job = site.check("gcc -IROOT/link -c a.c");
        let spelled = site.path("link/x.h").into_os_string().into_encoded_bytes();
        let entry = site.entry(&job, "deep/real/x.h").unwrap();
        assert_eq!(entry.name, Name::Other(spelled));
    }
}

#[test]
fn a_file_that_is_only_found_has_one_entry_whatever_its_name() {
    let mut site = Site::new(Freshness::Auto);
    site.write("inc/x.h", "int x;\n");
    site.write("a.c", "#include <x.h>\n");
    site.write("b.c", "#if __has_include(\"inc/x.h\")\nint b;\n#endif\n");
    let read = site.check("gcc -IROOT/inc -c a.c");
    let found = site.check("gcc -c b.c");
    assert_eq!(site.entry(&read, "inc/x.h").unwrap().name, Name::Path);
    let index = |job: &crate::server::Job| job.manifest.used.end();
    assert_eq!(index(&read), index(&found));
    // Read under another name it is another entry, since a server that rewrites paths must know.
    let relative = site.check("gcc -Iinc -c a.c");
    assert_eq!(
        site.entry(&relative, "inc/x.h").unwrap().name,
        Name::Relative
    );
    assert!(index(&relative) > index(&read));
    assert!(relative.manifest.dead.is_empty());
}

#[test]
fn a_source_that_is_included_elsewhere_is_both() {
    let mut site = Site::new(Freshness::Auto);
    site.write("a.c", "int a;\n");
    site.write("all.c", "#include \"a.c\"\n");
    let all = site.check("gcc -c all.c");
    assert_eq!(all.manifest.used.len(), site.server.entries(&all).len() - 1);
    let alone = site.check("gcc -c a.c");
    assert_eq!(site.entry(&alone, "a.c").unwrap(), alone.manifest.own[0]);
    site.write("a.c", "long a;\n");
    site.check("gcc -c a.c");
    site.check("gcc -c all.c");
}

#[test]
fn a_first_line_of_ones_own_is_no_trouble() {
    let mut site = Site::new(Freshness::Auto);
    let text = format!("#line 1 \"{}\"\nint a;\n", site.path("a.c").display());
    site.write("a.c", &text);
    let answer = site.answerer.answer(&site.query("gcc -c a.c")).unwrap();
    assert!(answer.layout.is_err());
    site.check("gcc -c a.c");
}

#[test]
fn twins_that_their_times_keep_apart_go_as_they_are() {
    let mut site = Site::new(Freshness::Auto);
    site.write("one/t.h", "#pragma once\nint t(void);\n");
    site.write("two/t.h", "#pragma once\nint t(void);\n");
    let file = std::fs::File::options()
        .write(true)
        .open(site.path("one/t.h"))
        .unwrap();
    let earlier = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    file.set_modified(earlier).unwrap();
    site.write("a.c", "#include \"one/t.h\"\n#include \"two/t.h\"\n");
    site.check("gcc -c a.c");
}

#[test]
fn what_cannot_be_shown_is_a_doubt() {
    let site = Site::new(Freshness::Auto);
    site.write("q\"uote/x.h", "int x;\n");
    site.write("a.c", "#include <x.h>\n");
    site.write("b.c", "#error no\n");
    for (command, reason) in [
        ("gcc -IROOT/q\"uote -c a.c", "#line"),
        ("gcc -c b.c", "#error"),
        ("gcc -c none.c", "none.c"),
    ] {
        let doubt = site
            .answerer
            .offer(&site.query(command))
            .map(|_| ())
            .unwrap_err();
        assert!(doubt.to_string().contains(reason), "{doubt}");
    }
}

#[test]
fn sources_that_were_put_away_are_sent_as_they_were_scanned() {
    for mode in MODES {
        let mut site = Site::new(mode);
        site.answerer.keep_sources(30);
        let query = |site: &Site, number: u32| site.query(&format!("gcc -c {number}.c"));
        site.write("h.h", "int h;\n");
        for number in 0..4 {
            site.write(
                &format!("{number}.c"),
                &format!("#include \"h.h\"\nint a{number};\n"),
            );
        }
        site.settle();
        let sections: Vec<_> = (0..4)
            .map(|n| site.answerer.rich(&query(&site, n)))
            .collect();
        for round in 0..2 {
            // One that has none of the files.
            site.server = Server::default();
            for number in 0..4 {
                let job = site.check(&format!("gcc -c {number}.c"));
                assert_eq!(job.manifest.own.len(), 1, "{round}");
                let again = site.answerer.rich(&query(&site, number));
                assert_eq!(again, sections[number as usize]);
            }
        }
        // With a time of its own, and the same text.
        site.write("0.c", "#include \"h.h\"\nint a0;\n");
        site.settle();
        site.server = Server::default();
        site.check("gcc -c 0.c");
    }
}

#[test]
fn a_source_that_changed_after_it_was_put_away_is_not_sent_under_its_old_name() {
    for mode in MODES {
        let mut site = Site::new(mode);
        site.answerer.keep_sources(0);
        site.write("a.c", "int a;\n");
        site.settle();
        let offered = site.offer("gcc -c a.c");
        let job = site.check("gcc -c a.c");
        let Content::File { digest, .. } = job.manifest.own[0].content else {
            panic!("a source is a file");
        };
        let need = Need {
            codecs: Codecs::ALL,
            setting: false,
            table: None,
            blobs: vec![digest],
        };
        assert!(offered.parcels(&need).is_ok());
        site.write("a.c", "int b;\n");
        let text = |need| match offered.parcels(need) {
            Ok(_) => panic!("the bytes are gone"),
            Err(error) => error.to_string(),
        };
        let changed = text(&need);
        assert!(changed.contains("it has changed since"), "{changed}");
        std::fs::remove_file(site.path("a.c")).unwrap();
        let missing = text(&need);
        assert!(missing.contains("No such file"), "{missing}");
        site.write("a.c", "int b;\n");
        site.check("gcc -c a.c");
    }
}
