//! The fuzz body for the whole module. Lives in the library, so that the fuzzer and the ordinary
//! tests run the same code. Owns no state.

use super::parse::CommandLine;
use super::verdict::{Distribution, verdict};
use super::words::{ResponseLimits, expand_response_files, expand_response_text};
use super::{CompilerKind, Word};

/// Takes `data` for words separated by NUL bytes and puts them through everything that this module
/// does. Panics only when an invariant is broken: rewriting must keep source and output, and what
/// is compiled elsewhere must have them.
pub fn fuzz_command_line(data: &[u8]) {
    let words: Vec<Word> = data.split(|&b| b == 0).map(<[u8]>::to_vec).collect();
    let limits = ResponseLimits {
        depth: 3,
        bytes: 1 << 16,
        words: 1 << 12,
    };
    let nested = expand_response_files(&words, limits, |name| Some(name.to_vec()));
    let words = nested.unwrap_or(words);
    expand_response_text(data);
    for kind in [CompilerKind::Gcc, CompilerKind::Clangxx, CompilerKind::Cc] {
        exercise(&CommandLine::parse_as(&words, kind));
    }
    exercise(&CommandLine::parse(&words));
}

fn exercise(command: &CommandLine) {
    let decision = verdict(command);
    let preprocessing = command.for_preprocessing();
    let preprocessed = command.for_remote_preprocessed();
    let pump = command.for_remote_pump(Some(b"file target"));
    command.probe_words(true);
    command.probe_words(false);
    command.macros().for_each(drop);
    command.search_options().for_each(drop);
    command.forced_includes().for_each(drop);
    command.dependency_file(None);
    command.extra_outputs();
    let mut mapped = 0;
    command.map_paths(|path| {
        mapped += 1;
        Some([b"/root", path].concat())
    });
    if command.stock_server_cannot_relocate().is_none() && mapped == 0 {
        assert!(
            !command
                .source()
                .is_some_and(|source| source.starts_with(b"/"))
        );
    }
    if let Some(refusal) = command.refused_by_server() {
        assert!(!refusal.to_string().contains('\n'));
    }
    match decision {
        Distribution::Local(reason) => assert!(!reason.to_string().contains('\n')),
        Distribution::Remote { pump: mode } => {
            if let Err(reason) = mode {
                assert!(!reason.to_string().contains('\n'));
            }
            check_rewrites(command, &preprocessing, &preprocessed, &pump);
        }
    }
}

/// What a remote job's argument lists must keep.
fn check_rewrites(command: &CommandLine, cpp: &[Word], preprocessed: &[Word], pump: &[Word]) {
    let source = command.source().expect("a remote job has one source");
    let output = command.output_file().expect("a remote job has an output");
    let kind = command.kind();
    let cpp = CommandLine::parse_as(cpp, kind);
    assert_eq!(cpp.source(), Some(source));
    assert_eq!(cpp.output(), None);
    assert!(cpp.macros().eq(command.macros()));
    assert!(cpp.search_options().eq(command.search_options()));
    let preprocessed = CommandLine::parse_as(preprocessed, kind);
    assert_eq!(preprocessed.source(), Some(source));
    assert_eq!(preprocessed.output_file().as_ref(), Some(&output));
    assert_eq!(preprocessed.macros().next(), None);
    let pump = CommandLine::parse_as(pump, kind);
    assert_eq!(pump.source(), Some(source));
    assert_eq!(pump.output(), Some(&output[..]));
    assert!(pump.macros().eq(command.macros()));
    let replaced = CommandLine::parse_as(&pump.with_output(b"new.o"), kind);
    assert_eq!(replaced.output(), Some(&b"new.o"[..]));
    let replaced = CommandLine::parse_as(&pump.with_source(b"new.c"), kind);
    assert_eq!(replaced.source(), Some(&b"new.c"[..]));
}
