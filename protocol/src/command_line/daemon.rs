//! What a server asks of a client's command line: which words to refuse, and which carry paths.
//! Owns no state.

use super::Word;
use super::option::{Forward, Meaning, RefusedClass};
use super::parse::{CommandLine, Item, Role, Span};
use super::reason::ServerRefusal;
use super::rewrite::replace;
use super::words::split_commas;

impl CommandLine {
    /// Why a server must not run this command for a client, if it must not: it loads code, chooses
    /// programs, reads options from files, or writes files other than object and dependencies.
    ///
    /// What is refused would let a client choose what runs. What only reads or writes files by name is not: a server shows and
    /// opens to a compiler nothing but toolchains and the job's own files.
    pub fn refused_by_server(&self) -> Option<ServerRefusal> {
        self.words_refused().or_else(|| self.items_refused())
    }

    /// What compilers look for before they tell options from values.
    fn words_refused(&self) -> Option<ServerRefusal> {
        let refusal = |class, word: &Word| {
            let word = word.clone();
            Some(ServerRefusal { class, word })
        };
        let (name, words) = self.words().split_first()?;
        if speaks_otherwise(name) {
            return refusal(RefusedClass::OtherSyntax, name);
        }
        // Both expand such a word wherever it stands, also as a value and behind "--".
        let response = |word: &&Word| word.len() > 1 && word.starts_with(b"@");
        if let Some(word) = words.iter().find(response) {
            return refusal(RefusedClass::ReadsOptions, word);
        }
        // clang's own front end and assembler, with options of their own.
        let front_end = |word: &&Word| word.starts_with(b"-cc1");
        match words.iter().find(front_end) {
            Some(word) => refusal(RefusedClass::OtherSyntax, word),
            None => None,
        }
    }

    fn items_refused(&self) -> Option<ServerRefusal> {
        self.items().iter().find_map(|item| {
            let class = self.item_refused(item)?;
            Some(ServerRefusal {
                class,
                word: self.shown(item),
            })
        })
    }

    fn item_refused(&self, item: &Item) -> Option<RefusedClass> {
        if item.role == Role::ResponseFile {
            return Some(RefusedClass::ReadsOptions);
        }
        // The preprocessor expands such words as the driver does.
        if item.carrier.is_some() && self.bytes(item.text).starts_with(b"@") {
            return Some(RefusedClass::ReadsOptions);
        }
        let Some(row) = item.row else {
            // Many front end options write files; those that the table does not know may be such.
            if item.carrier == Some(Forward::Clang) {
                return Some(RefusedClass::WritesFile);
            }
            let carries = item.role == Role::Option && self.bytes(item.text).starts_with(b"-X");
            return carries.then_some(RefusedClass::UnknownForwarded);
        };
        if row.refused.is_some() {
            return row.refused;
        }
        let value = self.value(item).unwrap_or(b"");
        let carried = item.carrier.is_some();
        match row.means {
            Meaning::Dependency(_) | Meaning::Output if carried => Some(RefusedClass::WritesFile),
            Meaning::Forward(Forward::WaCommas | Forward::Assembler) => {
                self.assembler_refused(item)
            }
            _ if row.spelling == "-mllvm" => llvm_refused(value),
            _ if row.spelling == "-f"
                && value.starts_with(b"opt-info")
                && value.contains(&b'=') =>
            {
                Some(RefusedClass::WritesFile)
            }
            _ if row.spelling == "-fuse-ld=" && value.contains(&b'/') => {
                Some(RefusedClass::RunsProgram)
            }
            _ => None,
        }
    }

    /// Words for the assembler that name files to write or to read options from.
    fn assembler_refused(&self, item: &Item) -> Option<RefusedClass> {
        let value = item.value?;
        let word = &self.words()[value.word];
        let pieces = match item.means() {
            Some(Meaning::Forward(Forward::WaCommas)) => split_commas(word, value.start),
            _ => std::iter::once(value.start..value.end).collect(),
        };
        pieces.into_iter().find_map(|range| match &word[range] {
            piece if piece.starts_with(b"@") => Some(RefusedClass::ReadsOptions),
            // Long options may be shortened and may have one dash.
            piece if piece.starts_with(b"-o") || piece.starts_with(b"--M") => {
                Some(RefusedClass::WritesFile)
            }
            piece if piece.starts_with(b"-MD") => Some(RefusedClass::WritesFile),
            piece if is_listing(piece) => Some(RefusedClass::WritesFile),
            _ => None,
        })
    }

    /// The words with `map` applied to every absolute path that the compiler reads: the source,
    /// and the values of path options, glued or separate, also inside `-Wp,` and `-Xpreprocessor`.
    /// `map` gives the new path, or `None` to leave it. Output and dependency names are not
    /// touched.
    pub fn map_paths(&self, mut map: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Vec<Word> {
        let mut words = self.words().to_vec();
        let mut spans: Vec<Span> = self.path_spans().map(|(_, span)| span).collect();
        // From the end, so that earlier spans of the same word stay where they are.
        spans.sort_by_key(|span| std::cmp::Reverse((span.word, span.start)));
        spans.dedup();
        for span in spans {
            let path = self.bytes(span);
            if path.starts_with(b"/")
                && let Some(mapped) = map(path)
            {
                replace(&mut words, span, &mapped);
            }
        }
        words
    }

    fn path_spans(&self) -> impl Iterator<Item = (&Item, Span)> {
        self.items()
            .iter()
            .filter_map(|item| match (item.role, item.row) {
                (Role::Source(_), _) => Some((item, item.text)),
                (_, Some(row)) if row.path => Some((item, item.value?)),
                _ => None,
            })
    }

    /// The first word with an absolute path that a stock server does not map into the client's
    /// root, so that the compiler there would look in the wrong place: `--sysroot=/x`,
    /// `-isysroot /x`, `--include-directory=/x`, `-Wp,-I/x`; or with a prefix map, which the
    /// server's own root would defeat.
    pub fn stock_server_cannot_relocate(&self) -> Option<&Word> {
        let lost = self.path_spans().find(|(item, span)| {
            let by_stock = match item.row {
                Some(row) => row.stock_relocates && item.carrier.is_none(),
                None => true,
            };
            !by_stock && self.bytes(*span).starts_with(b"/")
        });
        let item = lost.map(|(item, _)| item).or_else(|| {
            self.items().iter().find(|item| {
                let text = self.bytes(item.text);
                let maps = [
                    &b"-ffile-prefix-map="[..],
                    b"-fdebug-prefix-map=",
                    b"-fmacro-prefix-map=",
                    b"-fcoverage-prefix-map=",
                ];
                item.role == Role::Option && maps.iter().any(|map| text.starts_with(map))
            })
        })?;
        self.words().get(item.words.start)
    }
}

/// LLVM's own options, of which there are thousands: those that load a library, and those that name files. A value without a slash can only
/// name a file of the job's own.
fn llvm_refused(value: &[u8]) -> Option<RefusedClass> {
    let name = value.strip_prefix(b"-").unwrap_or(value);
    let name = name.strip_prefix(b"-").unwrap_or(name);
    match value {
        _ if name.starts_with(b"load") => Some(RefusedClass::LoadsCode),
        _ if value.starts_with(b"@") => Some(RefusedClass::ReadsOptions),
        _ if value.contains(&b'/') => Some(RefusedClass::WritesFile),
        _ => None,
    }
}

/// The assembler's `-a=FILE`, `-al=FILE`, `--al=FILE`: a listing in a file.
fn is_listing(piece: &[u8]) -> bool {
    let name = piece.strip_prefix(b"-").unwrap_or(piece);
    let name = name.strip_prefix(b"-").unwrap_or(name);
    name.starts_with(b"a") && name.contains(&b'=')
}

/// Whether clang under this name takes the options of Microsoft's compilers. It looks at how the name ends, whatever is before and without a version.
fn speaks_otherwise(name: &[u8]) -> bool {
    let versionless = name
        .iter()
        .rposition(|byte| !(byte.is_ascii_digit() || b".-".contains(byte)));
    let name = &name[..versionless.map_or(0, |last| last + 1)];
    let name = name.strip_suffix(b".exe").unwrap_or(name);
    [&b"cl"[..], b"dxc"].iter().any(|end| name.ends_with(end))
}
