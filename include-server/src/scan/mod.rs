//! The scan of one translation unit: directives are executed file by file as the compiler's preprocessor would, and every file it
//! would open is written down.
//!
//! All state belongs to the one scan; only the macro table's memory is kept by the thread for the next one.

mod ahead;
mod execute;
mod memo;
mod notes;
mod once;
mod options;
mod recall;
mod world;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::HashSet;

use crate::chain::{Hit, Origin, Resolved};
use crate::closure::{Closure, ClosureFile, SearchKind};
use crate::condition::Item;
use crate::configuration::{CommandMacro, Configuration, Forced, TranslationUnit};
use crate::decline::{Decline, Place};
use crate::facts::{End, Session};
use crate::file_table::FileTable;
use crate::files::Status;
use crate::macros::{self, Definition, Macros, Programs, Rules, Workspace};
use crate::program::{Directive, Op, Program};

use memo::Memo;
use options::OptionStack;
use world::{Frame, Tables, World};

/// Directives one translation unit may execute.
const DIRECTIVE_BUDGET: u64 = 200_000_000;
/// Tokens macro expansion may produce in one translation unit.
const TOKEN_BUDGET: u64 = 20_000_000;
/// Files one translation unit may enter, repeats included.
const INCLUDE_BUDGET: u64 = 1_000_000;

thread_local! {
    /// Memory of the last scan, for the next one.
    static SPARE: RefCell<Option<Spare>> = const { RefCell::new(None) };
}

/// What a scan works in.
#[derive(Default)]
struct Spare {
    macros: Macros,
    programs: Programs,
    workspace: Workspace,
    items: Vec<Item>,
    memo: Memo,
    tables: Tables,
}

/// Finds every file that the compile of `tu` would read, in a request of its own.
///
/// # Errors
/// See [`Decline`].
pub fn scan(
    tu: &TranslationUnit,
    configuration: &Configuration,
    files: &FileTable,
) -> Result<Closure, Decline> {
    scan_in(files.facts().session(), tu, configuration, files).1
}

/// As [`scan`], within a request, which is given back.
pub fn scan_in<'s>(
    session: Session<'s>,
    tu: &'s TranslationUnit,
    configuration: &'s Configuration,
    files: &'s FileTable,
) -> (Session<'s>, Result<Closure, Decline>) {
    let Spare {
        mut macros,
        programs,
        mut workspace,
        items,
        mut memo,
        tables,
    } = SPARE
        .with(|spare| spare.borrow_mut().take())
        .unwrap_or_default();
    macros.reset();
    workspace.budget = TOKEN_BUDGET;
    memo.begin(configuration);
    let world = World::new(session, tu, configuration, files, tables);
    let scope = files.summaries().scope(configuration, &world.chain);
    let mut scan = Scan {
        tu,
        configuration,
        files,
        macros,
        programs,
        workspace,
        items,
        memo,
        world,
        rules: Rules {
            mode: configuration.dialect.lexing,
            strict_comma_paste: configuration.dialect.strict_comma_paste,
            padding: false,
        },
        options: OptionStack::default(),
        directives_left: DIRECTIVE_BUDGET,
        includes_left: INCLUDE_BUDGET,
        mentions: 0,
        scope,
        inside: 0,
    };
    let outcome = scan.run();
    let Scan {
        macros,
        mut programs,
        workspace,
        items,
        memo,
        mut world,
        ..
    } = scan;
    let outcome = outcome.map(|()| closure(&mut world));
    programs.clear();
    let (session, tables) = world.into_parts();
    SPARE.with(|spare| {
        *spare.borrow_mut() = Some(Spare {
            macros,
            programs,
            workspace,
            items,
            memo,
            tables,
        })
    });
    (session, outcome)
}

fn closure(world: &mut World<'_>) -> Closure {
    let entry = |record: usize| {
        let record = &world.records[record];
        ClosureFile::new(
            Arc::clone(&record.file),
            record.text_read,
            record.empty_lines,
        )
    };
    let mut seen = HashSet::default();
    Closure {
        chain: Some(Arc::clone(&world.chain)),
        files: world.order.iter().map(|&record| entry(record)).collect(),
        has_include_hits: world
            .hits
            .iter()
            .filter(|&&record| !world.records[record].listed && seen.insert(record))
            .map(|&record| entry(record))
            .collect(),
        lookups: std::mem::take(&mut world.lookups),
        grounds: std::mem::take(&mut world.grounds),
    }
}

struct Scan<'s> {
    tu: &'s TranslationUnit,
    configuration: &'s Configuration,
    files: &'s FileTable,
    macros: Macros,
    /// The programs that frames and definitions refer to; the first is the compiler's built-ins.
    programs: Programs,
    /// What expansion works in, and the budget of tokens.
    workspace: Workspace,
    /// What the evaluation of conditions works in.
    items: Vec<Item>,
    /// What was evaluated before.
    memo: Memo,
    world: World<'s>,
    rules: Rules,
    options: OptionStack,
    directives_left: u64,
    includes_left: u64,
    /// Bits of what live text has mentioned.
    mentions: u16,
    /// The scope of its summaries.
    scope: u32,
    /// Directives of the largest stretch with a summary within the one being recorded.
    inside: u64,
}

impl Scan<'_> {
    fn add_program(&mut self, program: Arc<Program>) -> u32 {
        self.programs.add(program)
    }

    fn run(&mut self) -> Result<(), Decline> {
        self.world.chain.check()?;
        let source = self.source()?;
        self.predefine();
        self.command_line()?;
        for forced in &self.tu.forced {
            if let Forced::Macros(name) = forced {
                self.forced(name)?;
            }
        }
        if self.configuration.pre_includes_stdc_predef {
            self.stdc_predef()?;
        }
        for forced in &self.tu.forced {
            if let Forced::Include(name) = forced {
                self.forced(name)?;
            }
        }
        if self.world.records.get(source).is_some() {
            let program = self.world.program(source, self.rules.mode)?;
            self.enter(source, program, (Origin::Nowhere, false))?;
            self.execute(1)?;
        }
        self.finish()
    }

    /// The source comes first in the closure, and is the base of the include stack.
    fn source(&mut self) -> Result<usize, Decline> {
        let name = self.tu.source.as_bytes();
        let failed = |why: &str| Decline::Source {
            path: PathBuf::from(&self.tu.source),
            why: why.into(),
        };
        let session = &mut self.world.session;
        let located = session.locate(self.world.chain.cwd(), name);
        let node = match (session.status(&located), located.end) {
            (Status::Regular(_), End::At(node)) => node,
            (Status::Missing | Status::Regular(_), _) => return Err(failed("no such file")),
            (Status::Directory(..) | Status::Other, _) => {
                return Err(failed("not a regular file"));
            }
            (Status::Refused(errno), _) => {
                return Err(failed(&std::io::Error::from(errno).to_string()));
            }
        };
        let hit = Hit::new(name, node, Origin::Nowhere, SearchKind::Source);
        let resolved = Arc::new(Resolved::source(hit));
        let record = self.world.open(&resolved)?.unwrap_or_default();
        self.world.list(record);
        Ok(record)
    }

    /// The compiler's own macros.
    fn predefine(&mut self) {
        let program = self
            .files
            .generated(&self.configuration.builtins, self.rules.mode);
        let index = self.add_program(Arc::clone(&program));
        for (name, builtin) in
            macros::builtin_names(self.configuration.compiler, self.configuration.language)
        {
            self.macros.set(name, Some(Definition::Builtin(builtin)));
        }
        for directive in &program.directives {
            if let Op::Define(name, number) = directive.op {
                self.macros.set(
                    name,
                    Some(Definition::User {
                        program: index,
                        index: number,
                    }),
                );
            }
        }
    }

    /// `-D`, `-U` and `-A`, as the lines the compiler makes of them.
    fn command_line(&mut self) -> Result<(), Decline> {
        if self.tu.command_macros.is_empty() {
            return Ok(());
        }
        self.world.frames.push(Frame::generated());
        for command in &self.tu.command_macros {
            let program = self.command_line_program(command)?;
            let index = self.add_program(Arc::clone(&program));
            for directive in &program.directives {
                self.simple(directive, index)?;
            }
        }
        self.world.frames.pop();
        Ok(())
    }

    /// The one directive that a `-D`, `-U` or `-A` stands for.
    fn command_line_program(&self, command: &CommandMacro) -> Result<Arc<Program>, Decline> {
        let mut text = Vec::new();
        command_line_directive(command, &mut text);
        let program = self.files.command_line(&text, self.rules.mode);
        let mentions = |directive: &&Directive| matches!(directive.op, Op::Mention(_));
        let directives =
            program.directives.len() - program.directives.iter().filter(mentions).count();
        match directives == 1 && program.broken.is_none() {
            true => Ok(program),
            false => Err(Decline::Malformed {
                place: Place {
                    file: PathBuf::from("<command-line>"),
                    line: 1,
                },
                what: "a -D, -U or -A that is no single directive".into(),
            }),
        }
    }

    /// `-include` and `-imacros`: searched as by `"name"` in a file of the working directory.
    fn forced(&mut self, name: &OsStr) -> Result<(), Decline> {
        self.world.frames.push(Frame::generated());
        let found = self.world.find_forced(name.as_bytes())?;
        self.world.frames.pop();
        if found.hit.is_none() {
            return Err(Decline::IncludeNotFound {
                name: format!("\"{}\"", name.display()),
                place: Place {
                    file: PathBuf::from("<command-line>"),
                    line: 1,
                },
                searched: self.world.describe_forced(),
            });
        };
        self.run_nested(&found)
    }

    fn stdc_predef(&mut self) -> Result<(), Decline> {
        let found = self.world.find_predefined(b"stdc-predef.h")?;
        match found.hit {
            Some(_) => self.run_nested(&found),
            None => Ok(()),
        }
    }

    /// Executes a file that the command line includes, on top of the source's place in the stack.
    fn run_nested(&mut self, found: &Arc<Resolved>) -> Result<(), Decline> {
        self.world.frames.push(Frame::generated());
        let base = self.world.frames.len();
        if self.include(found, None)? {
            self.execute(base + 1)?;
        }
        self.world.frames.pop();
        Ok(())
    }

    /// What can only be judged at the end.
    fn finish(&mut self) -> Result<(), Decline> {
        self.world.check_twins()
    }
}

/// The directive that a `-D`, `-U` or `-A` means, on a line of its own.
fn command_line_directive(command: &CommandMacro, text: &mut Vec<u8>) {
    let (value, words): (&[u8], [&[u8]; 2]) = match command {
        CommandMacro::Define(value) => (value, [b"#define ", b"1"]),
        CommandMacro::Undefine(value) => (value, [b"#undef ", b""]),
        CommandMacro::Assert(value) => match value.strip_prefix(b"-") {
            Some(value) => (value, [b"#unassert ", b""]),
            None => (value, [b"#assert ", b""]),
        },
    };
    // A newline in the value cuts it.
    let value = value
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    text.extend_from_slice(words[0]);
    match (command, memchr::memchr(b'=', value)) {
        (CommandMacro::Undefine(_), _) => text.extend_from_slice(value),
        (CommandMacro::Define(_), Some(equals)) => {
            text.extend_from_slice(&value[..equals]);
            text.push(b' ');
            text.extend_from_slice(&value[equals + 1..]);
        }
        (CommandMacro::Define(_), None) => {
            text.extend_from_slice(value);
            text.push(b' ');
            text.extend_from_slice(words[1]);
        }
        (CommandMacro::Assert(_), Some(equals)) => {
            text.extend_from_slice(&value[..equals]);
            text.push(b'(');
            text.extend_from_slice(&value[equals + 1..]);
            text.push(b')');
        }
        (CommandMacro::Assert(_), None) => text.extend_from_slice(value),
    }
    // A final backslash must not join the next line; the empty line takes it.
    text.extend_from_slice(b"\n\n");
}
