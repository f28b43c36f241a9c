//! Argument lists for the stages of a distributed compile. Owns no state.

use super::Word;
use super::language::language_of_name;
use super::option::{Action, DependencyKind, Forward, Meaning, SearchKind};
use super::outputs::needs_make_quoting;
use super::parse::{CommandLine, Item, Role, Span};

/// Options about the form of preprocessed text, which must keep its line markers and be complete.
const TEXT_FORM: [&str; 3] = ["-P", "--no-line-commands", "-fdirectives-only"];

/// Options whose work is done once the text is preprocessed.
const DONE_BY_CPP: [&str; 5] = [
    "-undef",
    "-finput-charset=",
    "-finput-charset=UTF-8",
    "-finput-charset=utf-8",
    "-remap",
];

impl CommandLine {
    /// The command that preprocesses the source here, to standard output: `-E` for `-c` or `-S`,
    /// no `-o`. When dependencies are wanted, file and target are spelled out so that the file is
    /// the one that the compile itself would write.
    pub fn for_preprocessing(&self) -> Vec<Word> {
        let mut replaced = false;
        let mut out = vec![self.compiler().to_vec()];
        for item in self.items().iter().filter(|item| item.carrier.is_none()) {
            match item.means() {
                Some(Meaning::Action(Action::Compile | Action::Assemble)) => {
                    if !replaced {
                        out.push(b"-E".to_vec());
                        replaced = true;
                    }
                }
                Some(Meaning::Output) => {}
                _ if is_one_of(item, &TEXT_FORM) => {}
                _ => out.extend_from_slice(&self.words()[item.words.clone()]),
            }
        }
        let dependencies = self.dependencies();
        if dependencies.wanted && (dependencies.direct || self.kind().is_clang()) {
            if let (None, Some(file)) = (dependencies.file, self.dependency_file(None)) {
                out.extend([b"-MF".to_vec(), file.path]);
            }
            if dependencies.targets.is_empty() {
                for (target, _) in self.dependency_targets(None) {
                    out.extend([b"-MQ".to_vec(), target]);
                }
            }
        }
        out
    }

    /// The command that a server runs on text that was preprocessed here (protocols 1 and 2):
    /// without the options whose work the preprocessor did, and without those for the linker.
    /// `-x LANGUAGE` becomes its preprocessed form, so the text is not preprocessed again.
    pub fn for_remote_preprocessed(&self) -> Vec<Word> {
        let kept = self.select(|item| match item.means() {
            _ if is_one_of(item, &TEXT_FORM) || is_one_of(item, &DONE_BY_CPP) => false,
            Some(Meaning::Search(kind)) => {
                let names_tools = item.row.is_some_and(|row| !row.spelling.contains("stdlib"));
                match kind {
                    SearchKind::Sysroot | SearchKind::HeaderSysroot | SearchKind::Programs => true,
                    SearchKind::Toolchain => names_tools,
                    _ => false,
                }
            }
            Some(
                Meaning::Macro(_)
                | Meaning::Forced(_)
                | Meaning::Dependency(_)
                | Meaning::Link
                | Meaning::Forward(Forward::Linker),
            ) => false,
            _ => true,
        });
        let kept = CommandLine::parse_as(&kept, self.kind());
        let mut words = kept.words().to_vec();
        for item in kept
            .items()
            .iter()
            .filter(|item| item.means() == Some(Meaning::Language))
        {
            let Some(span) = item.value else { continue };
            if let Some(language) = language_of_name(kept.bytes(span)) {
                replace(&mut words, span, language.preprocessed_name());
            }
        }
        words
    }

    /// The command that a server runs in pump mode (protocol 3): this one, with `-o` and the
    /// dependency target spelled out when they are implied, and with dependency options taken out
    /// of `-Wp,`, where servers do not look.
    ///
    /// `dependencies_output` is the environment variable of that name.
    pub fn for_remote_pump(&self, dependencies_output: Option<&[u8]>) -> Vec<Word> {
        let is_carried = |item: &Item| {
            item.carrier.is_some() && matches!(item.means(), Some(Meaning::Dependency(_)))
        };
        let mut out = self.words().to_vec();
        if self.items().iter().any(is_carried) {
            out = self.select(|item| !is_carried(item));
            for item in self.items().iter().filter(|item| is_carried(item)) {
                let value = self.value(item).unwrap_or(b"").to_vec();
                match item.means() {
                    Some(Meaning::Dependency(DependencyKind::All)) => {
                        out.extend([b"-MD".to_vec(), b"-MF".to_vec(), value]);
                    }
                    Some(Meaning::Dependency(DependencyKind::User)) => {
                        out.extend([b"-MMD".to_vec(), b"-MF".to_vec(), value]);
                    }
                    _ => {
                        out.push(self.bytes(item.text).to_vec());
                        out.extend(
                            item.value
                                .filter(|v| {
                                    *v != item.text && v.start == 0 || v.start > item.text.end
                                })
                                .map(|v| self.bytes(v).to_vec()),
                        );
                    }
                }
            }
        }
        if let (None, Some(output)) = (self.output(), self.output_file()) {
            out.extend([b"-o".to_vec(), output]);
        }
        if self.dependencies().targets.is_empty() {
            for (target, quoted) in self.dependency_targets(dependencies_output) {
                let option = if quoted && needs_make_quoting(&target) {
                    b"-MQ"
                } else {
                    b"-MT"
                };
                out.extend([option.to_vec(), target]);
            }
        }
        out
    }

    /// The words with every source operand replaced by `source`.
    pub fn with_source(&self, source: &[u8]) -> Vec<Word> {
        let mut words = self.words().to_vec();
        for item in self.items() {
            if matches!(item.role, Role::Source(_)) {
                replace(&mut words, item.text, source);
            }
        }
        words
    }

    /// The words with the output replaced by `output`, or `-o output` appended.
    pub fn with_output(&self, output: &[u8]) -> Vec<Word> {
        let mut words = self.words().to_vec();
        let mut found = false;
        for item in self.items().iter().filter(|item| item.carrier.is_none()) {
            if let (Some(Meaning::Output), Some(span)) = (item.means(), item.value) {
                replace(&mut words, span, output);
                found = true;
            }
        }
        if !found {
            words.extend([b"-o".to_vec(), output.to_vec()]);
        }
        words
    }

    /// The suffix, with its dot, of the text that [`Self::for_preprocessing`] gives: `.i .ii .mi
    /// .mii`. `None` without a single source.
    pub fn preprocessed_suffix(&self) -> Option<&'static [u8]> {
        self.language()
            .map(|language| language.preprocessed_suffix())
    }
}

fn is_one_of(item: &Item, spellings: &[&str]) -> bool {
    item.row
        .is_some_and(|row| spellings.contains(&row.spelling))
}

/// Replaces a span. Only for spans of the same words, each at most once per word.
pub(super) fn replace(words: &mut [Word], span: Span, with: &[u8]) {
    if let Some(word) = words.get_mut(span.word) {
        let (start, end) = (span.start.min(word.len()), span.end.min(word.len()));
        word.splice(start..end.max(start), with.iter().copied());
    }
}
