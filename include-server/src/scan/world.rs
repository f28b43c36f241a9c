//! What surrounds the macros in a scan: the stack of files, names looked up, files found.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::atom::{Atom, known};
use crate::closure::SearchKind;
use crate::configuration::{Configuration, Question, TranslationUnit};
use crate::decline::{Decline, Place};
use crate::files::{FileContent, FileTable, Snapshot, Status};
use crate::macros::{Builtin, Environment, Fault, HeaderName};
use crate::program::{IncludeStyle, Kind, Token};
use crate::search::{EffectivePath, Found, Origin, Start};

/// A file found under a name.
pub(super) struct Record {
    pub(super) name: Vec<u8>,
    pub(super) content: Arc<FileContent>,
    pub(super) kind: SearchKind,
    pub(super) once: bool,
    /// Whether it is in the closure.
    pub(super) listed: bool,
    /// Whether its text was ever read.
    pub(super) text_read: bool,
}

/// A file being read.
pub(super) struct Frame {
    /// `None` for what the command line makes.
    pub(super) record: Option<usize>,
    /// Index of its program among those of the scan.
    pub(super) program_index: u32,
    pub(super) position: usize,
    origin: Origin,
    /// Whether it is a system header.
    system: bool,
    /// The directory part of the name, with its slash.
    directory: Atom,
    /// The physical line of the directive being executed.
    pub(super) line: u32,
    /// What `#line` has added to line numbers.
    pub(super) line_shift: i64,
    /// The name that `#line` has given.
    pub(super) presumed_name: Option<Vec<u8>>,
}

impl Frame {
    pub(super) fn new(
        record: usize,
        name: &[u8],
        program_index: u32,
        (origin, system): (Origin, bool),
    ) -> Frame {
        let length = memchr::memrchr(b'/', name).map_or(0, |slash| slash + 1);
        Frame {
            record: Some(record),
            program_index,
            position: 0,
            origin,
            system,
            directory: Atom::of(&name[..length]),
            line: 1,
            line_shift: 0,
            presumed_name: None,
        }
    }

    /// The place of what comes from the command line.
    pub(super) fn generated() -> Frame {
        Frame {
            record: None,
            program_index: 0,
            position: 0,
            origin: Origin::Nowhere,
            system: false,
            directory: known::EMPTY,
            line: 1,
            line_shift: 0,
            presumed_name: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Begin {
    /// The includer's directory, and whether the includer is a system header.
    Quote(Atom, bool),
    Bracket,
    Next(usize),
}

pub(super) struct World<'s> {
    pub(super) tu: &'s TranslationUnit,
    pub(super) configuration: &'s Configuration,
    pub(super) snapshot: Snapshot<'s>,
    path: EffectivePath,
    lookups: HashMap<(Atom, Begin), Option<Found>>,
    pub(super) frames: Vec<Frame>,
    pub(super) records: Vec<Record>,
    by_name: HashMap<Vec<u8>, usize>,
    /// Records in the order of first reading.
    pub(super) order: Vec<usize>,
    /// Records that were found and not read.
    pub(super) hits: Vec<usize>,
    pub(super) absent: Vec<Vec<u8>>,
    pub(super) once_by_size: HashMap<u64, Vec<usize>>,
    counter: u64,
    /// Whether text mentions `__COUNTER__`.
    pub(super) text_counts: bool,
    /// Whether the directive being executed has read `__LINE__`.
    pub(super) line_was_read: bool,
    /// Files read so far, without the source and stdc-predef.h: a precompiled header can only be the first.
    headers_read: bool,
}

impl<'s> World<'s> {
    pub(super) fn new(
        tu: &'s TranslationUnit,
        configuration: &'s Configuration,
        files: &'s FileTable,
    ) -> World<'s> {
        let mut snapshot = files.snapshot(&tu.cwd);
        let path = configuration.search.effective(&mut snapshot);
        World {
            tu,
            configuration,
            snapshot,
            path,
            lookups: HashMap::new(),
            frames: Vec::new(),
            records: Vec::new(),
            by_name: HashMap::new(),
            order: Vec::new(),
            hits: Vec::new(),
            absent: Vec::new(),
            once_by_size: HashMap::new(),
            counter: 0,
            text_counts: false,
            line_was_read: false,
            headers_read: false,
        }
    }

    /// The place being executed, for messages.
    pub(super) fn place(&self) -> Place {
        let frame = self.frames.last();
        let record = frame
            .and_then(|frame| frame.record)
            .map(|record| &self.records[record]);
        Place {
            file: record.map_or_else(
                || PathBuf::from("<command-line>"),
                |record| path_of(&record.name),
            ),
            line: frame.map_or(1, |frame| frame.line),
        }
    }

    /// Whether the file being read is one of gcc's own headers (`stddef.h`, `immintrin.h`), which lie in its library directory.
    pub(super) fn in_compilers_header(&self) -> bool {
        let record = self.frames.last().and_then(|frame| frame.record);
        record.is_some_and(|record| {
            let name = &self.records[record].name;
            memchr::memmem::find(name, b"/gcc/").is_some()
                && self.configuration.search.is_compilers_own(name)
        })
    }

    /// The fault as a decline at the place being executed.
    pub(super) fn decline(&self, fault: Fault) -> Decline {
        let place = self.place();
        match fault {
            Fault::Malformed(what) => Decline::Malformed { place, what },
            Fault::Unsupported(what) => Decline::Unsupported { place, what },
            Fault::Unknown(expression) => Decline::UnknownFeature { place, expression },
            Fault::TooMuchWork => Decline::TooMuchWork {
                place,
                what: "macro expansion",
            },
            Fault::Declined(decline) => *decline,
        }
    }

    /// The record of a found file, made at its first finding under that name.
    pub(super) fn record(&mut self, found: &Found, content: Arc<FileContent>) -> usize {
        if let Some(&record) = self.by_name.get(&found.name) {
            return record;
        }
        let record = self.records.len();
        self.records.push(Record {
            name: found.name.clone(),
            content,
            kind: found.kind,
            once: false,
            listed: false,
            text_read: false,
        });
        self.by_name.insert(found.name.clone(), record);
        record
    }

    /// The record of a found file, with its content read.
    pub(super) fn open(&mut self, found: &Found) -> Result<usize, Decline> {
        if let Some(&record) = self.by_name.get(&found.name) {
            return Ok(record);
        }
        let content = self.snapshot.content(&found.name, &found.stamp)?;
        Ok(self.record(found, content))
    }

    /// Adds a record to the closure.
    pub(super) fn list(&mut self, record: usize) {
        if !self.records[record].listed {
            self.records[record].listed = true;
            self.order.push(record);
        }
    }

    /// Looks a name up for an include of the current file.
    pub(super) fn find(
        &mut self,
        style: IncludeStyle,
        bracket: bool,
        name: Atom,
    ) -> Result<Option<Found>, Decline> {
        let begin = self.begin(style, bracket)?;
        self.find_from(name, begin)
    }

    fn begin(&mut self, style: IncludeStyle, bracket: bool) -> Result<Begin, Decline> {
        let (origin, directory, system) = match self.frames.last() {
            Some(frame) => (frame.origin, frame.directory, frame.system),
            None => (Origin::Nowhere, known::EMPTY, false),
        };
        if style == IncludeStyle::Next {
            if self.configuration.compiler.is_clang() && origin == Origin::BeforeChain {
                return Err(Decline::Unsupported {
                    place: self.place(),
                    what: "#include_next in a file found beside its includer, with clang".into(),
                });
            }
            if let Some(next) = self.path.next_after(origin) {
                return Ok(Begin::Next(next));
            }
        }
        Ok(if bracket {
            Begin::Bracket
        } else {
            Begin::Quote(directory, system)
        })
    }

    fn find_from(&mut self, name: Atom, begin: Begin) -> Result<Option<Found>, Decline> {
        if let Some(known) = self.lookups.get(&(name, begin)) {
            return Ok(known.clone());
        }
        let start = match begin {
            Begin::Quote(directory, _) => Start::Quote(directory.spelling()),
            Begin::Bracket => Start::Bracket,
            Begin::Next(index) => Start::Next(index),
        };
        let found = self
            .path
            .find(name.spelling(), start, &mut self.snapshot, &mut self.absent)?;
        let found = match found {
            Some(found) => Some(self.canonical(found, begin)?),
            None => None,
        };
        self.lookups.insert((name, begin), found.clone());
        Ok(found)
    }

    /// gcc gives a system header its canonical name where that is shorter. The name it was found by must be on the server, too.
    fn canonical(&mut self, found: Found, begin: Begin) -> Result<Found, Decline> {
        let system = match found.kind {
            SearchKind::Includer => matches!(begin, Begin::Quote(_, true)),
            kind => is_system(kind, false),
        };
        if !system || !self.configuration.dialect.canonical_system_headers {
            return Ok(found);
        }
        match self.snapshot.shorter_canonical(&found.name) {
            None => Ok(found),
            Some(name) => {
                let record = self.open(&found)?;
                self.hits.push(record);
                Ok(Found { name, ..found })
            }
        }
    }

    /// Whether a file found that way by the file being read is a system header.
    pub(super) fn found_is_system(&self, kind: SearchKind) -> bool {
        is_system(kind, self.frames.last().is_some_and(|frame| frame.system))
    }

    /// Looks up a file of `-include` or `-imacros`.
    pub(super) fn find_forced(&mut self, name: &[u8]) -> Result<Option<Found>, Decline> {
        let directory: &[u8] = if self.configuration.compiler.is_clang() {
            b""
        } else {
            b"./"
        };
        let name = Atom::of(name);
        self.check_precompiled(name, Begin::Quote(Atom::of(directory), false))?;
        let mut found = self.find_from(name, Begin::Quote(Atom::of(directory), false))?;
        if let Some(found) = &mut found
            && found.kind == SearchKind::Includer
        {
            found.kind = SearchKind::WorkingDirectory;
        }
        Ok(found)
    }

    /// Looks up a file that the compiler includes by itself.
    pub(super) fn find_predefined(&mut self, name: &[u8]) -> Result<Option<Found>, Decline> {
        let mut found = self.find_from(Atom::of(name), Begin::Bracket)?;
        if let Some(found) = &mut found {
            found.kind = SearchKind::Predefined;
        }
        Ok(found)
    }

    /// Where a forced include is looked for, in words.
    pub(super) fn describe_forced(&self) -> String {
        self.path.describe(Start::Quote(b"./"))
    }

    /// Declines when the first header of all has a precompiled form, which the compile would read instead.
    pub(super) fn check_first_header(
        &mut self,
        style: IncludeStyle,
        bracket: bool,
        name: Atom,
    ) -> Result<(), Decline> {
        if self.headers_read || self.configuration.compiler.is_clang() {
            return Ok(());
        }
        let begin = self.begin(style, bracket)?;
        self.check_precompiled(name, begin)
    }

    fn check_precompiled(&mut self, name: Atom, begin: Begin) -> Result<(), Decline> {
        let suffixes: &[&[u8]] = if self.configuration.compiler.is_clang() {
            &[b".pch", b".gch"]
        } else {
            &[b".gch"]
        };
        if self.headers_read {
            return Ok(());
        }
        // A precompiled header may stand where no plain one does, so each directory up to the first hit counts.
        let before = self.absent.len();
        self.lookups.remove(&(name, begin));
        let found = self.find_from(name, begin)?;
        let mut candidates: Vec<Vec<u8>> = self.absent[before..].to_vec();
        candidates.extend(found.map(|found| found.name));
        for candidate in candidates {
            for suffix in suffixes {
                let precompiled = [candidate.as_slice(), suffix].concat();
                if self.snapshot.status(&precompiled) != Status::Missing {
                    let what = format!(
                        "{} is a precompiled header",
                        String::from_utf8_lossy(&precompiled)
                    );
                    return Err(Decline::Unsupported {
                        place: self.place(),
                        what,
                    });
                }
            }
        }
        Ok(())
    }

    /// Notes that a header was read.
    pub(super) fn note_header(&mut self, kind: SearchKind) {
        self.headers_read |= kind != SearchKind::Predefined;
    }

    /// The decline for a name that is nowhere.
    pub(super) fn not_found(&mut self, style: IncludeStyle, bracket: bool, name: Atom) -> Decline {
        let begin = match self.begin(style, bracket) {
            Ok(begin) => begin,
            Err(decline) => return decline,
        };
        let start = match begin {
            Begin::Quote(directory, _) => Start::Quote(directory.spelling()),
            Begin::Bracket => Start::Bracket,
            Begin::Next(index) => Start::Next(index),
        };
        let text = name.display();
        Decline::IncludeNotFound {
            name: if bracket {
                format!("<{text}>")
            } else {
                format!("\"{text}\"")
            },
            place: self.place(),
            searched: if name.spelling().first() == Some(&b'/') {
                "that name only".into()
            } else {
                self.path.describe(start)
            },
        }
    }

    /// Looks a name up without reading it; what is found must exist on the server too.
    pub(super) fn find_only(
        &mut self,
        style: IncludeStyle,
        bracket: bool,
        name: Atom,
    ) -> Result<bool, Decline> {
        match self.find(style, bracket, name)? {
            Some(found) => {
                let record = self.open(&found)?;
                self.hits.push(record);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The depth of nested includes: 0 in the source.
    fn level(&self) -> usize {
        self.frames.len().saturating_sub(1)
    }

    /// `__FILE__` and its like as a string token.
    fn file_token(&self, name: &[u8]) -> Token {
        let mut mapped = name.to_vec();
        // The last matching map on the command line wins.
        for (old, new) in self.configuration.macro_prefix_maps.iter().rev() {
            if let Some(rest) = name.strip_prefix(old.as_slice()) {
                mapped = [new.as_slice(), rest].concat();
                break;
            }
        }
        let mut text = vec![b'"'];
        for byte in mapped {
            if matches!(byte, b'"' | b'\\') {
                text.push(b'\\');
            }
            text.push(byte);
        }
        text.push(b'"');
        Token {
            kind: Kind::String,
            flags: 0,
            atom: Atom::of(&text),
        }
    }

    fn current_name(&self) -> Vec<u8> {
        let Some(frame) = self.frames.last() else {
            return Vec::new();
        };
        match (&frame.presumed_name, frame.record) {
            (Some(name), _) => name.clone(),
            (None, Some(record)) => self.records[record].name.clone(),
            (None, None) => b"<command-line>".to_vec(),
        }
    }
}

fn is_system(kind: SearchKind, includer_is_system: bool) -> bool {
    match kind {
        SearchKind::Directory { system, .. } => system || includer_is_system,
        SearchKind::Includer => includer_is_system,
        SearchKind::Predefined => true,
        _ => false,
    }
}

fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(name))
}

fn number(value: i64) -> Token {
    Token {
        kind: Kind::Number,
        flags: 0,
        atom: Atom::of(value.to_string().as_bytes()),
    }
}

impl Environment for World<'_> {
    fn value(&mut self, builtin: Builtin) -> Result<Token, Fault> {
        Ok(match builtin {
            Builtin::File => self.file_token(&self.current_name()),
            Builtin::FileName => {
                let name = self.current_name();
                let start = memchr::memrchr(b'/', &name).map_or(0, |slash| slash + 1);
                self.file_token(&name[start..])
            }
            Builtin::BaseFile => self.file_token(self.tu.source.as_bytes()),
            Builtin::Line => {
                self.line_was_read = true;
                let (line, shift) = self
                    .frames
                    .last()
                    .map_or((1, 0), |frame| (frame.line, frame.line_shift));
                number(i64::from(line) + shift)
            }
            Builtin::IncludeLevel => number(self.level() as i64),
            Builtin::Counter if self.text_counts => {
                return Err(Fault::Unsupported(
                    "__COUNTER__ in a directive, after text that counts too".into(),
                ));
            }
            Builtin::Counter => {
                self.counter += 1;
                number(self.counter as i64 - 1)
            }
            Builtin::Moment => self.file_token(b"?"),
            _ => return Err(Fault::Unsupported("a built-in macro here".into())),
        })
    }

    fn has_include(&mut self, next: bool, header: &HeaderName) -> Result<bool, Fault> {
        let style = if next {
            IncludeStyle::Next
        } else {
            IncludeStyle::Include
        };
        self.find_only(style, header.bracket, Atom::of(&header.name))
            .map_err(|decline| Fault::Declined(Box::new(decline)))
    }

    fn ask(&mut self, question: &Question) -> Result<i64, Fault> {
        let unknown =
            || Fault::Unknown(String::from_utf8_lossy(&question.expression()).into_owned());
        self.configuration
            .oracle
            .answer(question)
            .ok_or_else(unknown)
    }
}
