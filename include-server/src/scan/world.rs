//! What surrounds the macros in a scan: the stack of files, names looked up, files found.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::HashMap;

use crate::atom::{Atom, known};
use crate::chain::{Begin, Chain, Hit, Origin, Resolved};
use crate::closure::{FoundFile, Grounds, SearchKind};
use crate::configuration::{Configuration, LexingMode, Question, TranslationUnit};
use crate::decline::{Decline, Place};
use crate::facts::Session;
use crate::file_table::FileTable;
use crate::files::{FILE_SIZE_LIMIT, FileContent, ReadError, Status};
use crate::macros::{Builtin, Environment, Fault, HeaderName};
use crate::program::{IncludeStyle, Kind, Program, Token};

use super::notes::Notes;
use super::recall::Recorder;

/// A file found under a name.
pub(super) struct Record {
    pub(super) name: Atom,
    /// As a closure has it, found by its first lookup.
    pub(super) file: Arc<FoundFile>,
    /// Its version, as evidence.
    pub(super) version: u32,
    pub(super) once: bool,
    /// Whether it is in the closure.
    pub(super) listed: bool,
    /// Whether its text was ever read.
    pub(super) text_read: bool,
    /// Empty lines that keep it apart from its twins.
    pub(super) empty_lines: u32,
    /// One more than the index of its last note.
    pub(super) touch: usize,
}

/// A file being read.
pub(super) struct Frame {
    /// `None` for what the command line makes.
    pub(super) record: Option<usize>,
    /// Index of its program among those of the scan.
    pub(super) program_index: u32,
    pub(super) position: usize,
    /// What it includes before this position was read ahead.
    pub(super) ahead: usize,
    origin: Origin,
    /// Whether it is a system header.
    pub(super) system: bool,
    /// The directory part of the name, with its slash.
    pub(super) directory: Atom,
    /// The physical line of the directive being executed.
    pub(super) line: u32,
    /// What `#line` has added to line numbers.
    pub(super) line_shift: i64,
    /// The name that `#line` has given.
    pub(super) presumed_name: Option<Vec<u8>>,
    /// What records its effect.
    pub(super) recorder: Option<Box<Recorder>>,
}

impl Frame {
    pub(super) fn new(
        record: usize,
        directory: Atom,
        program_index: u32,
        (origin, system): (Origin, bool),
    ) -> Frame {
        Frame {
            record: Some(record),
            program_index,
            position: 0,
            ahead: 0,
            origin,
            system,
            directory,
            line: 1,
            line_shift: 0,
            presumed_name: None,
            recorder: None,
        }
    }

    /// The place of what comes from the command line.
    pub(super) fn generated() -> Frame {
        Frame {
            record: None,
            program_index: 0,
            position: 0,
            ahead: 0,
            origin: Origin::Nowhere,
            system: false,
            directory: known::EMPTY,
            line: 1,
            line_shift: 0,
            presumed_name: None,
            recorder: None,
        }
    }
}

/// Memory of a world, for the next one; empty.
#[derive(Default)]
pub(super) struct Tables {
    looked_up: HashMap<(Atom, Begin), Arc<Resolved>>,
    uses: HashMap<usize, usize>,
    by_name: HashMap<Atom, usize>,
    records: Vec<Record>,
    order: Vec<usize>,
    notes: Notes,
    fitted: Vec<usize>,
}

pub(super) struct World<'s> {
    pub(super) tu: &'s TranslationUnit,
    pub(super) configuration: &'s Configuration,
    pub(super) session: Session<'s>,
    pub(super) chain: Arc<Chain>,
    looked_up: HashMap<(Atom, Begin), Arc<Resolved>>,
    /// The lookups made, in order.
    pub(super) lookups: Vec<Arc<Resolved>>,
    /// What was taken over from summaries.
    pub(super) grounds: Vec<Arc<Grounds>>,
    /// By address the lookups made, with one more than the index of the last note of each.
    uses: HashMap<usize, usize>,
    pub(super) frames: Vec<Frame>,
    pub(super) records: Vec<Record>,
    pub(super) by_name: HashMap<Atom, usize>,
    /// Records in the order of first reading.
    pub(super) order: Vec<usize>,
    /// Records that were found and not read.
    pub(super) hits: Vec<usize>,
    /// What `__has_include` has found, under which name and where; nothing of that for `__has_include_next`.
    pub(super) looked_for: Vec<(usize, Option<(Atom, SearchKind)>)>,
    pub(super) once_by_size: HashMap<u64, Vec<usize>>,
    /// With clang: the record under which a file was read first, by device and inode.
    read_first: HashMap<(u64, u64), usize>,
    counter: u64,
    /// Whether text mentions `__COUNTER__`.
    pub(super) text_counts: bool,
    /// Whether the directive being executed has read `__LINE__`.
    pub(super) line_was_read: bool,
    /// Files read so far, without the source and stdc-predef.h: a precompiled header can only be the first.
    pub(super) headers_read: bool,
    pub(super) notes: Notes,
    /// The records of the files of the summary that was looked at last, as far as there are any.
    pub(super) fitted: Vec<usize>,
}

impl<'s> World<'s> {
    pub(super) fn new(
        mut session: Session<'s>,
        tu: &'s TranslationUnit,
        configuration: &'s Configuration,
        files: &'s FileTable,
        tables: Tables,
    ) -> World<'s> {
        let canonical = configuration.dialect.canonical_system_headers;
        let search = &configuration.search;
        let chain =
            session.aside(|session| files.chains().chain(search, canonical, &tu.cwd, session));
        World {
            tu,
            configuration,
            session,
            chain,
            looked_up: tables.looked_up,
            lookups: Vec::new(),
            grounds: Vec::new(),
            uses: tables.uses,
            frames: Vec::new(),
            records: tables.records,
            by_name: tables.by_name,
            order: tables.order,
            hits: Vec::new(),
            looked_for: Vec::new(),
            once_by_size: HashMap::default(),
            read_first: HashMap::default(),
            counter: 0,
            text_counts: false,
            line_was_read: false,
            headers_read: false,
            notes: tables.notes,
            fitted: tables.fitted,
        }
    }

    /// The session, and memory for the next world.
    pub(super) fn into_parts(mut self) -> (Session<'s>, Tables) {
        self.looked_up.clear();
        self.uses.clear();
        self.by_name.clear();
        self.records.clear();
        self.order.clear();
        self.notes.clear();
        self.fitted.clear();
        let tables = Tables {
            looked_up: self.looked_up,
            uses: self.uses,
            by_name: self.by_name,
            records: self.records,
            order: self.order,
            notes: self.notes,
            fitted: self.fitted,
        };
        (self.session, tables)
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
                |record| path_of(record.name.spelling()),
            ),
            line: frame.map_or(1, |frame| frame.line),
        }
    }

    /// Whether the file being read is one of gcc's own headers (`stddef.h`, `immintrin.h`), which lie in its library directory.
    pub(super) fn in_compilers_header(&self) -> bool {
        let record = self.frames.last().and_then(|frame| frame.record);
        record.is_some_and(|record| {
            let name = self.records[record].name.spelling();
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

    /// The record of a found file, with its content read; made at its first finding under that name. `None`: nothing was
    /// found.
    pub(super) fn open(&mut self, found: &Arc<Resolved>) -> Result<Option<usize>, Decline> {
        match &found.hit {
            Some(hit) => self.open_as(hit.name, found).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn open_as(&mut self, name: Atom, found: &Arc<Resolved>) -> Result<usize, Decline> {
        if let Some(&record) = self.by_name.get(&name) {
            self.touch(record);
            return Ok(record);
        }
        let Some(hit) = &found.hit else {
            unreachable!("only what was found is opened");
        };
        let (content, version) = self
            .session
            .versioned_content(hit.node)
            .map_err(|error| unread(path_of(name.spelling()), error))?;
        let file = match hit.name == name {
            true => hit.file(&content),
            false => Arc::new(FoundFile::new(
                &Hit::new(name.spelling(), hit.node, hit.origin, hit.kind),
                content,
            )),
        };
        Ok(self.add_record(name, file, version))
    }

    /// Makes a record of a file.
    pub(super) fn add_record(&mut self, name: Atom, file: Arc<FoundFile>, version: u32) -> usize {
        let record = self.records.len();
        self.records.push(Record {
            name,
            file,
            version,
            once: false,
            listed: false,
            text_read: false,
            empty_lines: 0,
            touch: 0,
        });
        self.by_name.insert(name, record);
        self.touch(record);
        record
    }

    /// Notes that a record's text is read.
    pub(super) fn read_text(&mut self, record: usize) {
        if self.configuration.compiler.is_clang() && !self.records[record].text_read {
            let inode = inode_of(&self.records[record].file.content);
            self.read_first.entry(inode).or_insert(record);
        }
        self.records[record].text_read = true;
        if let Some(touch) = self.touch(record) {
            touch.text_read = true;
        }
    }

    /// The record by whose name the compiler goes while it reads this one: clang knows a file by its inode, and by the name
    /// under which it read it first.
    pub(super) fn read_as(&mut self, record: usize) -> Result<usize, Decline> {
        let this = &self.records[record].file;
        let Some(&first) = self.read_first.get(&inode_of(&this.content)) else {
            return Ok(record);
        };
        if first == record {
            return Ok(record);
        }
        // Hard links become two files on the server.
        if this.content.stamp().links > 1 && this.node != self.records[first].file.node {
            return Err(Decline::Unsupported {
                place: self.place(),
                what: format!(
                    "clang takes {} for {}, a hard link,",
                    self.records[record].name.display(),
                    self.records[first].name.display()
                ),
            });
        }
        self.notes.spoiled = true;
        Ok(first)
    }

    /// Whether clang would read that file by another name.
    pub(super) fn is_read_as_another(&self, name: Atom, content: &FileContent) -> bool {
        let first = self.read_first.get(&inode_of(content));
        first.is_some_and(|&first| self.records[first].name != name)
    }

    /// Adds a record to the closure.
    pub(super) fn list(&mut self, record: usize) {
        if !self.records[record].listed {
            self.records[record].listed = true;
            self.order.push(record);
        }
        let noted = self
            .touch(record)
            .map(|touch| !std::mem::replace(&mut touch.listed, true));
        if noted == Some(true) {
            self.notes.listed.push(record);
        }
    }

    /// Looks a name up for an include of the current file.
    pub(super) fn find(
        &mut self,
        style: IncludeStyle,
        bracket: bool,
        name: Atom,
    ) -> Result<Arc<Resolved>, Decline> {
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
            if let Some(next) = self.chain.next_after(origin) {
                return Ok(Begin::Next(next));
            }
        }
        Ok(if bracket {
            Begin::Bracket
        } else {
            Begin::Quote(directory, system)
        })
    }

    fn find_from(&mut self, name: Atom, begin: Begin) -> Result<Arc<Resolved>, Decline> {
        if let Some(known) = self.looked_up.get(&(name, begin)) {
            let known = Arc::clone(known);
            if self.is_noting() {
                self.use_lookup(&known)?;
            }
            return Ok(known);
        }
        let (chain, session) = (&self.chain, &mut self.session);
        let found = session.aside(|session| chain.find(name, begin, session))?;
        self.use_lookup(&found)?;
        self.looked_up.insert((name, begin), Arc::clone(&found));
        Ok(found)
    }

    /// Takes a lookup into the closure, and notes it.
    fn use_lookup(&mut self, found: &Arc<Resolved>) -> Result<(), Decline> {
        let address = Arc::as_ptr(found) as usize;
        let noted = self.uses.get(&address).copied();
        if noted.is_none() {
            self.lookups.push(Arc::clone(found));
            self.uses.insert(address, 0);
        }
        let note = self.is_noting() && noted.unwrap_or(0) <= self.notes.lookups_begin();
        if note {
            self.notes.lookups.push(Arc::clone(found));
            self.uses.insert(address, self.notes.lookups.len());
        }
        // Where the compiler goes on with a shorter name, the one it was found by must be on the server, too.
        if (note || noted.is_none())
            && let Some(found_as) = found.hit.as_ref().and_then(|hit| hit.found_as)
        {
            let record = self.open_as(found_as, found)?;
            self.hits.push(record);
        }
        Ok(())
    }

    /// Whether a file found that way by the file being read is a system header.
    pub(super) fn found_is_system(&self, kind: SearchKind) -> bool {
        is_system(kind, self.frames.last().is_some_and(|frame| frame.system))
    }

    /// Looks up a file of `-include` or `-imacros`.
    pub(super) fn find_forced(&mut self, name: &[u8]) -> Result<Arc<Resolved>, Decline> {
        let directory: &[u8] = if self.configuration.compiler.is_clang() {
            b""
        } else {
            b"./"
        };
        let name = Atom::of(name);
        let begin = Begin::Forced(Atom::of(directory));
        self.check_precompiled(name, begin)?;
        self.find_from(name, begin)
    }

    /// Looks up a file that the compiler includes by itself.
    pub(super) fn find_predefined(&mut self, name: &[u8]) -> Result<Arc<Resolved>, Decline> {
        self.find_from(Atom::of(name), Begin::Predefined)
    }

    /// Where a forced include is looked for, in words.
    pub(super) fn describe_forced(&self) -> String {
        self.chain.describe(Begin::Quote(known::EMPTY, false))
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
        let found = self.find_from(name, begin)?;
        let hit = found.hit.as_ref().map(|hit| hit.name.spelling());
        let absent = self.chain.absent(&found);
        for candidate in absent.iter().map(Vec::as_slice).chain(hit) {
            for suffix in suffixes {
                let precompiled = [candidate, suffix].concat();
                let located = self.session.locate(self.chain.cwd(), &precompiled);
                if self.session.status(&located) != Status::Missing {
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
                self.chain.describe(begin)
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
        let found = self.find(style, bracket, name)?;
        let record = self.open(&found)?;
        self.hits.extend(record);
        let how = found.hit.as_ref().map(|hit| (name, hit.kind));
        let how = how.filter(|_| style != IncludeStyle::Next);
        self.looked_for.extend(record.map(|record| (record, how)));
        Ok(record.is_some())
    }

    /// The depth of nested includes: 0 in the source.
    fn level(&self) -> usize {
        self.frames.len().saturating_sub(1)
    }

    /// `__FILE__` and its like as a string token.
    fn file_token(&self, name: &[u8]) -> Token {
        let mut mapped = name.to_vec();
        let maps = &self.configuration.macro_prefix_maps;
        let mut matching = maps.iter().filter(|(old, _)| name.starts_with(old));
        let map = match self.configuration.compiler.is_clang() {
            // The longest, and of equal ones the first.
            true => matching.rev().max_by_key(|(old, _)| old.len()),
            // The last on the command line.
            false => matching.next_back(),
        };
        if let Some((old, new)) = map {
            mapped = [new.as_slice(), &name[old.len()..]].concat();
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

    /// Questions of the same kind that the current file is likely to ask: headers about attributes ask one after the
    /// other, directly or through a macro of their own, and to ask the compiler costs much more than to ask for more.
    fn related(&self, question: &Question) -> Vec<Question> {
        let record = self.frames.last().and_then(|frame| frame.record);
        let (Some(record), Question::Call(call)) = (record, question) else {
            return Vec::new();
        };
        let (kind, inner) = call.split_at(memchr::memchr(b'(', call).unwrap_or(call.len()));
        // gnulib pastes the underscores on.
        let decorated = inner.starts_with(b"(__") && inner.ends_with(b"__)");
        let mode = self.configuration.dialect.lexing;
        let Ok(program) = self.records[record].file.content.program(mode) else {
            return Vec::new();
        };
        let mut related: Vec<Question> = (0..program.tokens.len())
            .filter_map(|at| parenthesized(&program.tokens[at..]))
            .map(|inner| {
                let around: &[u8] = match decorated && !inner.starts_with(b"_") {
                    true => b"__",
                    false => b"",
                };
                Question::Call([kind, b"(", around, &inner, around, b")"].concat())
            })
            .collect();
        related.dedup();
        related
    }

    /// What a file comes to.
    pub(super) fn program(&self, record: usize, mode: LexingMode) -> Result<Arc<Program>, Decline> {
        let record = &self.records[record];
        let program = record.file.content.program(mode);
        program.map_err(|error| unread(path_of(record.name.spelling()), error))
    }

    fn current_name(&self) -> Vec<u8> {
        let Some(frame) = self.frames.last() else {
            return Vec::new();
        };
        match (&frame.presumed_name, frame.record) {
            (Some(name), _) => name.clone(),
            (None, Some(record)) => self.records[record].name.spelling().to_vec(),
            (None, None) => b"<command-line>".to_vec(),
        }
    }
}

fn inode_of(content: &FileContent) -> (u64, u64) {
    let stamp = content.stamp();
    (stamp.device, stamp.inode)
}

pub(super) fn is_system(kind: SearchKind, includer_is_system: bool) -> bool {
    match kind {
        SearchKind::Directory { system, .. } => system || includer_is_system,
        SearchKind::Includer | SearchKind::Absolute => includer_is_system,
        SearchKind::Predefined => true,
        _ => false,
    }
}

/// What stands in the parentheses after a name, if it is one name, or two with `::` between.
fn parenthesized(tokens: &[Token]) -> Option<Vec<u8>> {
    let [name, open, first, rest @ ..] = tokens else {
        return None;
    };
    let is_name = |token: &Token| token.kind == Kind::Identifier;
    if !is_name(name) || !open.is(known::OPEN) || !is_name(first) {
        return None;
    }
    match rest {
        [close, ..] if close.is(known::CLOSE) => Some(first.spelling().to_vec()),
        [scope, second, close, ..]
            if scope.spelling() == b"::" && is_name(second) && close.is(known::CLOSE) =>
        {
            Some([first.spelling(), b"::", second.spelling()].concat())
        }
        _ => None,
    }
}

/// The decline for a file that could not be read.
pub(super) fn unread(path: PathBuf, error: ReadError) -> Decline {
    match error {
        ReadError::TooLarge(size) => Decline::TooLarge {
            path,
            size,
            limit: FILE_SIZE_LIMIT,
        },
        ReadError::Unstable | ReadError::Changed => Decline::Unstable { path },
        ReadError::NotAFile | ReadError::System(_) => Decline::Unreadable {
            path,
            why: error.to_string(),
        },
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
        // These depend on more than macros and the file they are in.
        self.notes.spoiled |= matches!(
            builtin,
            Builtin::BaseFile | Builtin::IncludeLevel | Builtin::Counter
        );
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
            .answer(question, &|| self.related(question))
            .ok_or_else(unknown)
    }
}
