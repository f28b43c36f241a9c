//! Where a job is, and whether that can show in its result: the same sources in another directory (another version's build in Portage, another user's
//! home) then have the same result. Owns no state.
//!
//! A job's *root* is the longest directory above its working directory and its files. Its place does not matter when
//!
//! * no word of the command line mentions the root or a directory above it, so that the compiler knows all files below it by relative names, and
//!   `__FILE__` with what is computed from it is the same elsewhere;
//! * no option makes the compiler write down its working directory, plainly or compressed: debug information, link-time optimisation, coverage and the
//!   like;
//! * and the root is in none of the outputs, which is looked at when there are some ([`mentions`]).

use memchr::memmem;
use protocol::command_line::{CommandLine, Forward, Item, Meaning, Role};

use super::key::{Input, What};
use crate::tree::is_below;

/// The root of a job whose place may not matter; `None` when it does.
pub(crate) fn root<'a>(
    cwd: &'a [u8],
    line: &CommandLine,
    inputs: &[Input<'a>],
) -> Option<&'a [u8]> {
    let mut root = cwd;
    let top = first_component(cwd)?;
    for input in inputs {
        // What is elsewhere altogether, such as the system's headers, keeps its absolute path in the name of the result.
        let is_near = input.path.starts_with(top) && is_below(input.path, top);
        // Directories above the working directory are there anyway.
        let is_above = input.what == What::Directory && is_below(cwd, input.path);
        if is_near && !is_above {
            root = common(root, input.path);
        }
    }
    // `/home` alone is no place that a build could be moved from.
    let is_deep = root.iter().filter(|&&byte| byte == b'/').count() > 1;
    let is_quiet = !line.words().iter().any(|word| names(word, root))
        && !line.items().iter().any(|item| shows_directory(line, item));
    (is_deep && is_quiet).then_some(root)
}

/// Whether an output mentions a root.
pub(crate) fn mentions(output: &[u8], root: &[u8]) -> bool {
    memmem::find(output, root).is_some()
}

/// `/home` of `/home/me/p`.
fn first_component(path: &[u8]) -> Option<&[u8]> {
    let rest = path.strip_prefix(b"/")?;
    let end = rest.iter().position(|&byte| byte == b'/');
    let end = end.unwrap_or(rest.len());
    (end > 0).then(|| &path[..=end])
}

/// The longest directory that both are or are below.
fn common<'a>(dir: &'a [u8], path: &[u8]) -> &'a [u8] {
    let mut dir = dir;
    while !is_below(path, dir) {
        let slash = dir.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        if slash == 0 {
            return b"/";
        }
        dir = &dir[..slash];
    }
    dir
}

/// Whether a word may name the root, something below it, or a directory above it by an absolute path.
fn names(word: &[u8], root: &[u8]) -> bool {
    if memmem::find(word, root).is_some() {
        return true;
    }
    let mut slashes = memchr::memchr_iter(b'/', word);
    slashes.any(|at| {
        // Within a path there is something of a name in front of the slash, except that an option's name may be glued to it.
        let before = at.checked_sub(1).map(|before| word[before]);
        let inside = match before {
            None => false,
            Some(b'.' | b'/') => true,
            Some(byte) => byte.is_ascii_alphanumeric() && !word.starts_with(b"-"),
        };
        let rest = &word[at..];
        let end = rest.iter().position(|byte| b"\"':,;= ".contains(byte));
        let path = &rest[..end.unwrap_or(rest.len())];
        let path = match path {
            [path @ .., b'/'] if !path.is_empty() => path,
            path => path,
        };
        !inside && (path == b"/" || is_below(root, path))
    })
}

/// Whether an option may make the compiler write down where it runs. What is not known to be harmless counts.
fn shows_directory(line: &CommandLine, item: &Item) -> bool {
    let text = line.bytes(item.text);
    let Some(row) = item.row else {
        return !matches!(item.role, Role::Source(_));
    };
    if row.local.is_some() {
        return true;
    }
    let begins = |beginnings: &[&str]| {
        let mut beginnings = beginnings.iter();
        beginnings.any(|beginning| text.starts_with(beginning.as_bytes()))
    };
    match row.means {
        Meaning::Debug => {
            text != b"-g0"
                && !begins(&[
                    "-ffile-prefix-map=",
                    "-fmacro-prefix-map=",
                    "-fdebug-prefix-map=",
                ])
        }
        Meaning::Forward(Forward::WpCommas | Forward::Preprocessor | Forward::Linker) => false,
        Meaning::Forward(_) => true,
        Meaning::Code => begins(&[
            "-fcoverage",
            "-fembed",
            "-flto",
            "-fprofile",
            "-fsanitize",
            "-ftest-coverage",
            "-fworking-directory",
            "-fthinlto",
            "-fxray",
        ]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::bundle::digest::Digest;

    fn root_of(cwd: &str, line: &str, paths: &[&str]) -> Option<String> {
        let digest = Digest([1; 32]);
        let input = |path: &&'static str| Input {
            path: path.as_bytes(),
            what: What::File(&digest, 0),
            name: None,
        };
        let paths: Vec<&'static str> = paths.iter().map(|path| &*path.to_string().leak()).collect();
        let inputs: Vec<Input<'_>> = paths.iter().map(input).collect();
        let words: Vec<Vec<u8>> = line
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect();
        let line = CommandLine::parse(&words);
        root(cwd.as_bytes(), &line, &inputs).map(|root| String::from_utf8(root.to_vec()).unwrap())
    }

    #[test]
    fn the_root_is_above_all_files_that_are_near() {
        let line = "gcc -O2 -I../include -c a.c -o a.o";
        let files = [
            "/h/me/p/src/a.c",
            "/h/me/p/include/x.h",
            "/usr/include/stdio.h",
        ];
        let found = root_of("/h/me/p/src", line, &files);
        assert_eq!(found.as_deref(), Some("/h/me/p"));
        let found = root_of("/h/me/p/src", line, &["/h/me/p/src/a.c"]);
        assert_eq!(found.as_deref(), Some("/h/me/p/src"));
        // Nothing that could be moved.
        assert_eq!(root_of("/h/me", line, &["/h/you/a.c"]), None);
        assert_eq!(root_of("/h", line, &["/h/a.c"]), None);
    }

    #[test]
    fn words_that_name_the_place_keep_a_job_there() {
        let check =
            |word: &str| root_of("/h/me/p", &format!("gcc {word} -c a.c"), &["/h/me/p/a.c"]);
        for word in [
            "-I/h/me/p/include",
            "-I/h/me",
            "-I/h/me/",
            "-I/",
            "/h/me/p/b.c",
            "-DDIR=\"/h/me/p/x\"",
            "-DDIR=\"/h/me\"",
            "-isystem/h/me",
            "--sysroot=/h",
            "-fmacro-prefix-map=/h/me/p=.",
        ] {
            assert_eq!(check(word), None, "{word}");
        }
        for word in [
            "-I../include",
            "src/h/me.c",
            "-DDIR=\"/usr/local\"",
            "-I/usr/include/glib-2.0",
            "-I./",
            "-fmacro-prefix-map=./=",
            "-Wp,-MMD,a.d",
        ] {
            assert_eq!(check(word).as_deref(), Some("/h/me/p"), "{word}");
        }
    }

    #[test]
    fn options_that_write_the_place_down_keep_a_job_there() {
        let check =
            |word: &str| root_of("/h/me/p", &format!("gcc {word} -c a.c"), &["/h/me/p/a.c"]);
        for word in [
            "-g",
            "-ggdb3",
            "-g1",
            "-gsplit-dwarf",
            "-gz",
            "-flto",
            "-flto=auto",
            "--coverage",
            "-fprofile-arcs",
            "-fsanitize=address",
            "-Wa,-g",
            "-Xassembler -g",
            "-save-temps",
            "-fstack-usage",
            "-frecord-gcc-switches -g",
        ] {
            assert_eq!(check(word), None, "{word}");
        }
        for word in [
            "-O2", "-g0", "-fPIC", "-Wall", "-std=c11", "-MD", "-pipe", "-m64",
        ] {
            assert_eq!(check(word).as_deref(), Some("/h/me/p"), "{word}");
        }
    }
}
