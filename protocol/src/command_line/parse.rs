//! From words to items: which word is an option, which its value, which a source.
//! Owns [`CommandLine`], the parsed form. Parsing is total.

use super::Word;
use super::compiler::{CompilerKind, compiler_kind};
use super::language::{SourceLanguage, is_source, language_of_name, language_of_suffix, suffix};
use super::option::{Action, Forward, Meaning, OptionRow, Takes};
use super::table::{lookup, lookup_forwarded};
use super::words::split_commas;
use std::ops::Range;

/// A part of one word of a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which word, counting the compiler as 0.
    pub word: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// What a group of words is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An option with its value.
    Option,
    /// An operand that is compiled.
    Source(SourceLanguage),
    /// An operand of any other kind: object, library, or unknown.
    Operand,
    /// `-`: standard input.
    StandardInput,
    /// `@file`, not expanded.
    ResponseFile,
    /// `--`: no options follow.
    EndOfOptions,
}

/// One option or operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub role: Role,
    /// The words it is written in. For a word that another option carries, that carrier's words.
    pub words: Range<usize>,
    /// The option or operand itself, without separate value.
    pub text: Span,
    /// Its row in the table; `None` for operands and options that the table does not know.
    pub row: Option<&'static OptionRow>,
    /// Its value, glued or separate; `None` if it takes none or lacks it.
    pub value: Option<Span>,
    /// The option that carries it (`-Wp,`, `-Xpreprocessor`, `-Xclang`), if one does.
    pub carrier: Option<Forward>,
    /// It takes a separate value and the command line ends before it.
    pub lacks_value: bool,
}

impl Item {
    /// The meaning of an option that the table knows.
    pub fn means(&self) -> Option<Meaning> {
        self.row.map(|row| row.means)
    }
}

/// A compiler command line: every word, and for each what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    pub(super) words: Vec<Word>,
    kind: CompilerKind,
    pub(super) items: Vec<Item>,
    action: Action,
}

impl CommandLine {
    /// Parses `words`, the first of which names the compiler. Never fails; an empty list is a
    /// compiler with an empty name.
    pub fn parse(words: &[Word]) -> Self {
        let kind = words
            .first()
            .map_or(CompilerKind::Other, |argv0| compiler_kind(argv0));
        Self::parse_as(words, kind)
    }

    /// The same when the caller knows better than the name says which compiler it is (`cc`).
    pub fn parse_as(words: &[Word], kind: CompilerKind) -> Self {
        let words = if words.is_empty() {
            vec![Word::new()]
        } else {
            words.to_vec()
        };
        let items = Parser::new(&words, kind).run();
        let action = items
            .iter()
            .filter(|item| item.carrier.is_none())
            .filter_map(|item| match item.means() {
                Some(Meaning::Action(action)) => Some(action),
                _ => None,
            })
            .max()
            .unwrap_or(Action::Link);
        Self {
            words,
            kind,
            items,
            action,
        }
    }

    /// All words, the compiler first.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// The compiler's name as given.
    pub fn compiler(&self) -> &[u8] {
        &self.words[0]
    }

    /// Which compiler it is.
    pub fn kind(&self) -> CompilerKind {
        self.kind
    }

    /// Options and operands in the order of the command line; words that `-Wp,` and
    /// `-Xpreprocessor` carry follow after all others, as the compilers take them, and then those
    /// that `-Xclang` carries.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// What the compiler is to do. Among several actions the strongest wins, as in gcc and clang:
    /// `-M`, then `-E`, `-fsyntax-only`, `-S`, `-c`.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The bytes of a span of this command line; empty when it does not fit.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.words
            .get(span.word)
            .and_then(|word| word.get(span.start..span.end))
            .unwrap_or(b"")
    }

    /// The bytes of an item's value.
    pub fn value(&self, item: &Item) -> Option<&[u8]> {
        item.value.map(|span| self.bytes(span))
    }

    /// The word that an item starts with, for messages; with its carrier when that is a word of
    /// its own (`-Xclang -load`).
    pub fn shown(&self, item: &Item) -> Word {
        let first = self
            .words
            .get(item.words.start)
            .cloned()
            .unwrap_or_default();
        if item.carrier.is_some() && item.text.word != item.words.start {
            [&first, &b" "[..], self.bytes(item.text)].concat()
        } else {
            first
        }
    }
}

struct Parser<'a> {
    words: &'a [Word],
    kind: CompilerKind,
    /// What the last `-x` said; `None` means by suffix.
    language: Option<SourceLanguage>,
    items: Vec<Item>,
    /// Pieces for the preprocessor, and for clang's own front end, with their carriers' words.
    preprocessor: Vec<Piece>,
    front_end: Vec<Piece>,
}

/// One carried word.
#[derive(Clone)]
struct Piece {
    text: Span,
    carrier: Forward,
    words: Range<usize>,
}

impl<'a> Parser<'a> {
    fn new(words: &'a [Word], kind: CompilerKind) -> Self {
        Self {
            words,
            kind,
            language: None,
            items: Vec::with_capacity(words.len()),
            preprocessor: Vec::new(),
            front_end: Vec::new(),
        }
    }

    fn run(mut self) -> Vec<Item> {
        let mut at = 1;
        let mut only_operands = false;
        while at < self.words.len() {
            let word = &self.words[at];
            if only_operands || !word.starts_with(b"-") || word == b"-" {
                self.operand(at, only_operands);
                at += 1;
            } else if word == b"--" {
                only_operands = true;
                self.plain_item(Role::EndOfOptions, at);
                at += 1;
            } else {
                at = self.option(at);
            }
        }
        let preprocessor = std::mem::take(&mut self.preprocessor);
        self.carried(&preprocessor);
        let front_end = std::mem::take(&mut self.front_end);
        self.carried(&front_end);
        self.items
    }

    fn whole(&self, word: usize) -> Span {
        Span {
            word,
            start: 0,
            end: self.words[word].len(),
        }
    }

    fn plain_item(&mut self, role: Role, at: usize) {
        self.items.push(Item {
            role,
            words: at..at + 1,
            text: self.whole(at),
            row: None,
            value: None,
            carrier: None,
            lacks_value: false,
        });
    }

    fn operand(&mut self, at: usize, only_operands: bool) {
        let word = &self.words[at];
        let role = if word == b"-" {
            Role::StandardInput
        } else if word.len() > 1 && word[0] == b'@' && !only_operands {
            Role::ResponseFile
        } else if let Some(language) = self.language {
            Role::Source(language)
        } else {
            let by_suffix =
                suffix(word).and_then(|s| language_of_suffix(s, self.kind.assumes_cxx()));
            debug_assert_eq!(by_suffix.is_some(), is_source(word));
            by_suffix.map_or(Role::Operand, Role::Source)
        };
        self.plain_item(role, at);
    }

    /// Takes the option at word `at`; returns the next word's place.
    fn option(&mut self, at: usize) -> usize {
        let word = &self.words[at];
        let row = lookup(word);
        let glued = row.and_then(|row| glued_value(row, word));
        let wanted = row.map_or(0, |row| separate_words(row, glued.is_some()));
        let next = (at + 1 + wanted).min(self.words.len());
        let lacks_value = at + 1 + wanted > self.words.len();
        let value = match glued {
            Some(start) => Some(Span {
                word: at,
                start,
                end: word.len(),
            }),
            None if wanted > 0 && !lacks_value => Some(self.whole(at + 1)),
            None => None,
        };
        let item = Item {
            role: Role::Option,
            words: at..next,
            text: self.whole(at),
            row,
            value,
            carrier: None,
            lacks_value,
        };
        match item.means() {
            Some(Meaning::Language) => {
                let name = value.map_or(&b""[..], |v| &self.words[v.word][v.start..v.end]);
                self.language = language_of_name(name);
            }
            Some(Meaning::Forward(to)) => self.forward(to, &item),
            _ => {}
        }
        self.items.push(item);
        next
    }

    /// Puts what a carrier carries aside.
    fn forward(&mut self, to: Forward, item: &Item) {
        let Some(value) = item.value else { return };
        let piece = |text| Piece {
            text,
            carrier: to,
            words: item.words.clone(),
        };
        match to {
            Forward::WpCommas => {
                let word = &self.words[value.word];
                for range in split_commas(word, value.start) {
                    let text = Span {
                        word: value.word,
                        start: range.start,
                        end: range.end,
                    };
                    self.preprocessor.push(piece(text));
                }
            }
            Forward::Preprocessor => self.preprocessor.push(piece(value)),
            Forward::Clang => self.front_end.push(piece(value)),
            Forward::WaCommas | Forward::Assembler | Forward::Linker => {}
        }
    }

    /// Parses one stream of carried words as the compiler proper does.
    fn carried(&mut self, pieces: &[Piece]) {
        let mut at = 0;
        while at < pieces.len() {
            let piece = &pieces[at];
            let word = &self.words[piece.text.word][piece.text.start..piece.text.end];
            let row = lookup_forwarded(word);
            let glued = row.and_then(|row| glued_value(row, word));
            let wanted = row.map_or(0, |row| {
                let names_file = matches!(row.spelling, "-MD" | "-MMD");
                if names_file {
                    1
                } else {
                    separate_words(row, glued.is_some())
                }
            });
            let lacks_value = at + wanted >= pieces.len();
            let value = match glued {
                Some(start) => {
                    let start = piece.text.start + start;
                    Some(Span {
                        start,
                        ..piece.text
                    })
                }
                None if wanted > 0 && !lacks_value => Some(pieces[at + 1].text),
                None => None,
            };
            self.items.push(Item {
                role: if word.starts_with(b"-") {
                    Role::Option
                } else {
                    Role::Operand
                },
                words: piece.words.clone(),
                text: piece.text,
                row,
                value,
                carrier: Some(piece.carrier),
                lacks_value,
            });
            at += 1 + wanted;
        }
    }
}

/// Where the glued value starts, if the option has one in its own word.
fn glued_value(row: &OptionRow, word: &[u8]) -> Option<usize> {
    let length = row.spelling.len();
    // A long option without a row of its own (`--warn-x`) found its family's row.
    let start = if word.starts_with(row.spelling.as_bytes()) {
        length
    } else {
        0
    };
    match row.takes {
        Takes::Joined => Some(start),
        Takes::JoinedOrSeparate if word.len() > length => Some(start),
        Takes::Long if word.len() > length => Some(start + 1),
        _ => None,
    }
}

/// How many words after the option's own belong to it.
fn separate_words(row: &OptionRow, has_glued: bool) -> usize {
    match row.takes {
        Takes::Nothing | Takes::Joined => 0,
        Takes::Separate | Takes::JoinedAndSeparate => 1,
        Takes::JoinedOrSeparate | Takes::Long => usize::from(!has_glued),
        Takes::Words(n) => usize::from(n),
    }
}
