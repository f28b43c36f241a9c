//! What the include server and the client ask of a parsed command line: sources, search path,
//! macros, forced includes, dependency options, and the words for the compiler probe.
//! Owns no state.

use super::Word;
use super::language::SourceLanguage;
use super::option::{
    DependencyKind, ForcedKind, Forward, MacroKind, Meaning, OptionRow, Probe, SearchKind,
};
use super::parse::{CommandLine, Item, Role};

/// One option of the include search path, in command-line order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchOption<'a> {
    /// Which list it feeds.
    pub kind: SearchKind,
    /// Its directory as written; `None` for options without one (`-nostdinc`).
    pub directory: Option<&'a [u8]>,
    /// The row of the table.
    pub row: &'static OptionRow,
    /// The option that carries it (`-Wp,`), if one does.
    pub carrier: Option<Forward>,
}

/// One `-D`, `-U` or `-A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandMacro<'a> {
    /// What it does.
    pub kind: MacroKind,
    /// Its value as written: `X`, `X=1`, `F(a)=a`.
    pub text: &'a [u8],
}

/// One `-include` or `-imacros`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForcedInclude<'a> {
    /// How it is read.
    pub kind: ForcedKind,
    /// The file as written.
    pub file: &'a [u8],
}

/// The options about dependency output, together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DependencyOptions<'a> {
    /// `-MD` or `-MMD` is there, or `-Wp,` carries one.
    pub wanted: bool,
    /// The first such is `-MMD`.
    pub user_only: bool,
    /// One is a direct argument, so the driver derives file and target from the output.
    pub direct: bool,
    /// The file that is named: the last `-MF`, or what `-Wp,-MD,FILE` says.
    pub file: Option<&'a [u8]>,
    /// Targets in order: text, and whether it is to be quoted for make (`-MQ`).
    pub targets: Vec<(&'a [u8], bool)>,
    /// `-MP`.
    pub phony: bool,
    /// `-MG`.
    pub missing_generated: bool,
}

impl CommandLine {
    /// All sources in order, with their languages.
    pub fn sources(&self) -> impl Iterator<Item = (&[u8], SourceLanguage)> {
        self.items.iter().filter_map(|item| match item.role {
            Role::Source(language) => Some((self.bytes(item.text), language)),
            _ => None,
        })
    }

    /// The source, if there is exactly one.
    pub fn source(&self) -> Option<&[u8]> {
        self.only_source().map(|(source, _)| source)
    }

    /// The language of the source, if there is exactly one.
    pub fn language(&self) -> Option<SourceLanguage> {
        self.only_source().map(|(_, language)| language)
    }

    fn only_source(&self) -> Option<(&[u8], SourceLanguage)> {
        let mut sources = self.sources();
        let first = sources.next()?;
        sources.next().is_none().then_some(first)
    }

    /// The value of the last `-o`, as written.
    pub fn output(&self) -> Option<&[u8]> {
        self.outputs().last()
    }

    /// The values of all `-o`.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &[u8]> {
        self.items
            .iter()
            .filter(|item| item.carrier.is_none() && item.means() == Some(Meaning::Output))
            .filter_map(|item| self.value(item))
    }

    /// The search options in the order in which the compilers take them: the driver's own in
    /// command-line order, then carried ones.
    pub fn search_options(&self) -> impl Iterator<Item = SearchOption<'_>> {
        self.items.iter().filter_map(|item| {
            let row = item.row?;
            let Meaning::Search(kind) = row.means else {
                return None;
            };
            Some(SearchOption {
                kind,
                directory: self.value(item),
                row,
                carrier: item.carrier,
            })
        })
    }

    /// The macros in the order in which the compilers take them: the driver's own in command-line
    /// order, then carried ones.
    pub fn macros(&self) -> impl Iterator<Item = CommandMacro<'_>> {
        self.items.iter().filter_map(|item| match item.means()? {
            Meaning::Macro(kind) => Some(CommandMacro {
                kind,
                text: self.value(item)?,
            }),
            _ => None,
        })
    }

    /// The forced includes in command-line order. The compilers read all `-imacros` first.
    pub fn forced_includes(&self) -> impl Iterator<Item = ForcedInclude<'_>> {
        self.items.iter().filter_map(|item| match item.means()? {
            Meaning::Forced(kind) => Some(ForcedInclude {
                kind,
                file: self.value(item)?,
            }),
            _ => None,
        })
    }

    /// The last word that chooses a standard, as written after `-std=`; `-ansi` gives `ansi`.
    pub fn standard(&self) -> Option<&[u8]> {
        let last = self
            .items
            .iter()
            .rfind(|item| item.means() == Some(Meaning::Standard))?;
        Some(
            self.value(last)
                .filter(|value| !value.is_empty())
                .unwrap_or(b"ansi"),
        )
    }

    /// The dependency options, together. In gcc a carried `-MD FILE` comes after every driver
    /// option, so its file wins; clang takes `-Wp,-MD,FILE` as `-MD -MF FILE` in its place, which
    /// differs only when `-MF` is given as well.
    pub fn dependencies(&self) -> DependencyOptions<'_> {
        let mut all = DependencyOptions::default();
        for item in &self.items {
            let Some(Meaning::Dependency(kind)) = item.means() else {
                continue;
            };
            let value = self.value(item);
            match kind {
                DependencyKind::All | DependencyKind::User => {
                    if !all.wanted {
                        all.user_only = kind == DependencyKind::User;
                    }
                    all.wanted = true;
                    all.direct |= item.carrier.is_none();
                    all.file = value.or(all.file);
                }
                DependencyKind::File => all.file = value.or(all.file),
                DependencyKind::Target => all.targets.extend(value.map(|v| (v, false))),
                DependencyKind::QuotedTarget => all.targets.extend(value.map(|v| (v, true))),
                DependencyKind::Phony => all.phony = true,
                DependencyKind::MissingGenerated => all.missing_generated = true,
            }
        }
        all
    }

    /// True when only the compiler's own list tells the search path: `-iprefix` and its kin,
    /// sysroots, `-B`, tool chains, and carried search options.
    pub fn needs_compiler_search(&self) -> bool {
        self.search_options().any(|option| {
            let simple = matches!(
                option.kind,
                SearchKind::Quote | SearchKind::Bracket | SearchKind::System | SearchKind::After
            );
            !simple || option.carrier.is_some()
        })
    }

    /// The words that may change the compiler's built-in macros or default search directories:
    /// the compiler, and every option but those known not to matter (source, output, action,
    /// dependency output, macros, forced includes, warnings, debug information, `-x`). With
    /// `with_search`, options of the search path are kept as well, in order, so that the
    /// compiler's own list can be read.
    ///
    /// The caller adds `-x` with [`SourceLanguage::name`].
    pub fn probe_words(&self, with_search: bool) -> Vec<Word> {
        self.select(|item| match (item.role, item.row) {
            (Role::Option, Some(row)) => match row.probe {
                Probe::Keep => row.means != Meaning::Language,
                Probe::Drop => false,
                Probe::Search => with_search,
            },
            (Role::Option, None) => true,
            _ => false,
        })
    }

    /// The compiler and the words of those items for which `keep` says so. A carrier stays when
    /// something that it carries stays, and then carries only that.
    pub(super) fn select(&self, keep: impl Fn(&Item) -> bool) -> Vec<Word> {
        let mut out = vec![self.words[0].clone()];
        for item in self.items.iter().filter(|item| item.carrier.is_none()) {
            match item.means() {
                Some(Meaning::Forward(
                    Forward::WpCommas | Forward::Preprocessor | Forward::Clang,
                )) => self.select_carried(item, &keep, &mut out),
                _ if keep(item) => out.extend_from_slice(&self.words[item.words.clone()]),
                _ => {}
            }
        }
        out
    }

    /// Appends a carrier with those of its pieces that belong to items to keep.
    fn select_carried(&self, carrier: &Item, keep: &impl Fn(&Item) -> bool, out: &mut Vec<Word>) {
        let Some(value) = carrier.value else { return };
        let inside = |word: usize, start: usize| word == value.word && start >= value.start;
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut dropped = false;
        for item in self.items.iter().filter(|item| item.carrier.is_some()) {
            // An item's option and its value may stand in two carriers; each has its part.
            let parts = [Some(item.text), item.value.filter(|v| *v != item.text)];
            for part in parts
                .into_iter()
                .flatten()
                .filter(|p| inside(p.word, p.start))
            {
                let glued = part.word == item.text.word
                    && part.start > item.text.start
                    && part.end <= item.text.end;
                if glued {
                    continue;
                }
                if keep(item) {
                    pieces.push(self.bytes(part))
                } else {
                    dropped = true
                }
            }
        }
        if !dropped {
            out.extend_from_slice(&self.words[carrier.words.clone()]);
        } else if !pieces.is_empty() {
            let head = &self.words[carrier.words.start][..value.start.min(4)];
            out.push([head, &pieces.join(&b","[..])].concat());
        }
    }
}
