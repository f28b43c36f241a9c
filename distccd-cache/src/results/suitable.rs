//! Which command lines have results that can be kept at all. Owns no state.

use protocol::command_line::{CommandLine, LocalClass, PlainClass, Role};

use super::mentions::Mentions;

/// Why the result of a command line is not kept, in a line; `None` when it may be.
///
/// An option that the table does not know, or whose result may depend on more than the job's files and this compiler, is a reason.
pub(crate) fn refused(line: &CommandLine) -> Option<String> {
    let doubtful = line.items().iter().find(|item| match item.row {
        None => !matches!(item.role, Role::Source(_)),
        // What contents mention is looked for in ASCII.
        Some(row) => {
            row.local.is_some_and(depends_on_more) || row.plain == Some(PlainClass::Charset)
        }
    });
    if let Some(item) = doubtful {
        let word = line.bytes(item.text);
        return Some(format!(
            "the result of {} may depend on more than the job's files",
            String::from_utf8_lossy(word)
        ));
    }
    let words = line.words().iter();
    let mentioned = words
        .map(|word| Mentions::of(word))
        .find(|found| !found.is_nothing());
    mentioned.map(|found| format!("the command line mentions {}", found.words()))
}

/// Whether results of an option that keeps jobs at home depend on something that no name of a result holds.
fn depends_on_more(class: LocalClass) -> bool {
    match class {
        // The server sends back what they write; and the command line is part of the name.
        LocalClass::Writes(_) | LocalClass::NamesOutputs | LocalClass::RecordsCommand => false,
        LocalClass::NotACompile
        | LocalClass::ThisMachine
        | LocalClass::Profile
        | LocalClass::ReadsFile
        | LocalClass::RunsProgram
        | LocalClass::Modules
        | LocalClass::Statistics
        | LocalClass::ShowsCommands
        | LocalClass::SeveralCompiles
        | LocalClass::UnknownForwarded
        | LocalClass::Unsupported => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> Option<String> {
        let words: Vec<Vec<u8>> = line
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect();
        refused(&CommandLine::parse(&words))
    }

    #[test]
    fn what_depends_on_more_than_files_is_not_kept() {
        for line in [
            "gcc -march=native -c a.c",
            "gcc -fprofile-use -c a.c",
            "gcc -fplugin=x.so -c a.c",
            "gcc -specs=x -c a.c",
            "gcc -ftime-report -c a.c",
            "gcc -DX=__DATE__ -c a.c",
            "gcc -D__TIME_=x -DT=__TIMESTAMP__ -c a.c",
            "gcc -finput-charset=UTF-16 -c a.c",
            "gcc -c a.c @more",
            "gcc -c a.c b.o",
        ] {
            assert!(refusal(line).is_some(), "{line}");
        }
    }

    #[test]
    fn what_ordinary_builds_say_is_kept() {
        for line in [
            "gcc -O2 -g -Wall -std=c11 -DX=1 -Iinclude -isystem /x -MD -MF a.d -MT a.o -c a.c -o a.o",
            "g++ -fPIC -fvisibility=hidden -m64 -march=x86-64-v3 -pipe -c a.cc",
            "gcc -finput-charset=UTF-8 -Wp,-MMD,a.d -nostdinc -include x.h -ffreestanding -c a.c",
            "gcc -gsplit-dwarf -fstack-usage -frandom-seed=a -flto -c a.c",
            "clang -c a.c -o a.o -fcolor-diagnostics",
        ] {
            assert_eq!(refusal(line), None, "{line}");
        }
    }
}
