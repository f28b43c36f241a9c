//! Where a command may run: here, elsewhere after preprocessing here, or elsewhere in pump mode.
//! Owns no state; the table's rows and a few rules about the whole line decide.

use super::compiler::CompilerKind;
use super::language::{Language, base_name, is_source_for_stock};
use super::option::{Action, ExtraOutput, Forward, LocalClass, Meaning, PlainClass};
use super::parse::{CommandLine, Item, Role};
use super::reason::{LocalReason, PlainReason};
use super::words::split_commas;

/// Where a command may run, so far as its words tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Only here.
    Local(LocalReason),
    /// Elsewhere; in pump mode too, unless `pump` says why not.
    Remote {
        /// Why the job is preprocessed here, if it must be.
        pump: Result<(), PlainReason>,
    },
}

/// Where `command` may run. Unsure means local.
pub fn verdict(command: &CommandLine) -> Distribution {
    match local_reason(command) {
        Some(reason) => Distribution::Local(reason),
        None => Distribution::Remote {
            pump: plain_reason(command).map_or(Ok(()), Err),
        },
    }
}

fn local_reason(command: &CommandLine) -> Option<LocalReason> {
    let question = command.items().iter().find(|item| {
        item.row
            .is_some_and(|row| row.local == Some(LocalClass::NotACompile))
    });
    if let Some(item) = question {
        return Some(LocalReason::Option(
            LocalClass::NotACompile,
            command.shown(item),
        ));
    }
    if command.kind() == CompilerKind::Nvcc {
        return Some(LocalReason::Compiler(command.compiler().to_vec()));
    }
    by_operands_that_hide(command)
        .or_else(|| by_action(command))
        .or_else(|| by_source(command))
        .or_else(|| by_output(command))
        .or_else(|| {
            command
                .items()
                .iter()
                .find_map(|item| by_item(command, item))
        })
        .or_else(|| by_carried_dependencies(command))
}

/// Words after which the rest of the line cannot be trusted to mean what it seems to.
fn by_operands_that_hide(command: &CommandLine) -> Option<LocalReason> {
    command.items().iter().find_map(|item| match item.role {
        Role::ResponseFile => Some(LocalReason::ResponseFile(command.shown(item))),
        Role::StandardInput => Some(LocalReason::StandardInput),
        Role::EndOfOptions => Some(LocalReason::Option(
            LocalClass::Unsupported,
            command.shown(item),
        )),
        _ if item.lacks_value => Some(LocalReason::MissingValue(command.shown(item))),
        _ => None,
    })
}

fn by_action(command: &CommandLine) -> Option<LocalReason> {
    match command.action() {
        Action::Compile | Action::Assemble => None,
        Action::Link if command.sources().next().is_none() => Some(LocalReason::NoSource),
        Action::Link => Some(LocalReason::Links),
        Action::SyntaxOnly => Some(LocalReason::SyntaxOnly),
        Action::Preprocess => Some(LocalReason::PreprocessOnly),
        Action::Dependencies => Some(LocalReason::DependenciesOnly),
    }
}

fn by_source(command: &CommandLine) -> Option<LocalReason> {
    let count = command.sources().count();
    if count == 0 {
        return Some(LocalReason::NoSource);
    }
    if count > 1 {
        return Some(LocalReason::SeveralSources(count));
    }
    let (source, language) = command.sources().next()?;
    let name = base_name(source);
    match language.language {
        Language::Assembler | Language::AssemblerWithCpp => return Some(LocalReason::Assembler),
        Language::Other => return Some(LocalReason::Language(source.to_vec())),
        Language::C | Language::Cxx | Language::ObjC | Language::ObjCxx => {}
    }
    if language.header {
        return Some(LocalReason::PrecompiledHeader);
    }
    if !is_source_for_stock(source) {
        return Some(LocalReason::Suffix(source.to_vec()));
    }
    if name.ends_with(b".s") || name.ends_with(b".S") {
        return Some(LocalReason::Assembler);
    }
    if name.starts_with(b"conftest.") || name.starts_with(b"tmp.conftest.") {
        return Some(LocalReason::ConfigureProbe(source.to_vec()));
    }
    // `ccache gcc -c a.c`: the compiler's name follows the wrapper's, and is no input of it.
    let wrapped = base_name(command.compiler()) == b"ccache";
    let other = command
        .items()
        .iter()
        .filter(|item| !(wrapped && item.words.start == 1))
        .find(|item| item.role == Role::Operand && item.carrier.is_none())?;
    Some(LocalReason::OtherOperand(command.shown(other)))
}

fn by_output(command: &CommandLine) -> Option<LocalReason> {
    let count = command.outputs().count();
    if count > 1 {
        return Some(LocalReason::SeveralOutputs(count));
    }
    let to_stdout = command.output() == Some(b"-") || command.dependencies().file == Some(b"-");
    to_stdout.then_some(LocalReason::StandardOutput)
}

/// clang's options that put the whole command line into debug information.
const CLANG_RECORDS: [&[u8]; 2] = [b"-grecord-gcc-switches", b"-grecord-command-line"];

fn item_is(item: &Item, words: &[&[u8]], command: &CommandLine) -> bool {
    words.contains(&command.bytes(item.text))
}

/// One option's own reason.
fn by_item(command: &CommandLine, item: &Item) -> Option<LocalReason> {
    let because = |class| Some(LocalReason::Option(class, command.shown(item)));
    if item.carrier.is_some() {
        if item.role == Role::Operand {
            return because(LocalClass::UnknownForwarded);
        }
        if item.carrier == Some(Forward::Clang) {
            return by_front_end_item(command, item);
        }
    }
    let row = item.row?;
    if let Some(class) = row.local {
        return because(class);
    }
    let value = command.value(item).unwrap_or(b"");
    match row.means {
        Meaning::Forward(Forward::WaCommas | Forward::Assembler) => {
            assembler_output(command, item).and_then(|output| because(LocalClass::Writes(output)))
        }
        _ if row.spelling == "-f" && value.starts_with(b"opt-info") && value.contains(&b'=') => {
            because(LocalClass::Writes(ExtraOutput::OptimisationReport))
        }
        _ if row.spelling == "-fuse-ld=" && value.contains(&b'/') => {
            because(LocalClass::RunsProgram)
        }
        // gcc notes only what changes code, unless told otherwise; clang notes every word.
        _ if command.kind().is_clang() && item_is(item, &CLANG_RECORDS, command) => {
            because(LocalClass::RecordsCommand)
        }
        _ if command.action() == Action::Assemble
            && item_is(item, &[b"-fverbose-asm"], command) =>
        {
            because(LocalClass::RecordsCommand)
        }
        // Only the compiler proper may be told to write elsewhere by a carried word.
        Meaning::Output | Meaning::Action(_) | Meaning::Language if item.carrier.is_some() => {
            because(LocalClass::UnknownForwarded)
        }
        _ => None,
    }
}

/// A word behind `-Xclang`: known options about code only; the rest is too close to the machine.
fn by_front_end_item(command: &CommandLine, item: &Item) -> Option<LocalReason> {
    let class = match item.row {
        Some(row) => match row.means {
            Meaning::Code | Meaning::Warning | Meaning::Debug | Meaning::Standard => row.local?,
            Meaning::Search(_) | Meaning::Macro(_) | Meaning::Forced(_) => row.local?,
            _ => LocalClass::UnknownForwarded,
        },
        None => LocalClass::UnknownForwarded,
    };
    Some(LocalReason::Option(class, command.shown(item)))
}

/// What the assembler is told to write beside the object, if anything.
fn assembler_output(command: &CommandLine, item: &Item) -> Option<ExtraOutput> {
    let value = item.value?;
    let word = &command.words()[value.word];
    let pieces = if item.means() == Some(Meaning::Forward(Forward::WaCommas)) {
        split_commas(word, value.start)
    } else {
        std::iter::once(value.start..value.end).collect()
    };
    pieces.into_iter().find_map(|range| {
        let piece = &word[range];
        if piece.starts_with(b"--MD") || piece == b"-MD" {
            Some(ExtraOutput::AssemblerDependencies)
        } else if piece.starts_with(b"-a") {
            Some(ExtraOutput::Listing)
        } else if piece.starts_with(b"-o") || piece.starts_with(b"@") {
            Some(ExtraOutput::Other)
        } else {
            None
        }
    })
}

/// Dependency options that `-Wp,` carries: clang knows exactly `-Wp,-MD,FILE` and `-Wp,-MMD,FILE`;
/// and gcc's target for them is not clang's.
fn by_carried_dependencies(command: &CommandLine) -> Option<LocalReason> {
    let carried = |item: &&Item| {
        item.carrier.is_some() && matches!(item.means(), Some(Meaning::Dependency(_)))
    };
    let first = command.items().iter().find(carried)?;
    let word = command.shown(first);
    if command.kind().is_clang() {
        let simple = command.items().iter().filter(carried).all(|item| {
            let word = &command.words()[item.words.start];
            (word.starts_with(b"-Wp,-MD,") || word.starts_with(b"-Wp,-MMD,"))
                && split_commas(word, 4).len() == 2
        });
        let with_file = command.items().iter().any(|item| {
            item.carrier.is_none() && item.row.is_some_and(|row| row.spelling == "-MF")
        });
        let known = simple && !with_file;
        return (!known).then_some(LocalReason::Option(LocalClass::UnknownForwarded, word));
    }
    let unresolved = matches!(
        command.kind(),
        CompilerKind::Cc | CompilerKind::Cxx | CompilerKind::Other
    );
    let dependencies = command.dependencies();
    let same_target = command.output().is_none_or(|output| {
        command
            .default_dependency_target()
            .is_some_and(|target| target == output)
    });
    let uncertain =
        unresolved && dependencies.targets.is_empty() && !dependencies.direct && !same_target;
    uncertain.then_some(LocalReason::UncertainDependencyTarget(word))
}

fn plain_reason(command: &CommandLine) -> Option<PlainReason> {
    if command
        .language()
        .is_some_and(|language| language.preprocessed)
    {
        return Some(PlainReason::Preprocessed);
    }
    let dependencies = command.dependencies();
    if dependencies.wanted && dependencies.targets.len() > 1 {
        return Some(PlainReason::SeveralDependencyTargets);
    }
    command.items().iter().find_map(|item| {
        let class = match (item.carrier, item.row) {
            (_, Some(row)) if row.plain.is_some() => row.plain?,
            (Some(_), None) => PlainClass::UnknownForwarded,
            (Some(Forward::Clang), Some(row)) => match row.means {
                Meaning::Search(_) | Meaning::Macro(_) | Meaning::Forced(_) => {
                    PlainClass::UnknownForwarded
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(PlainReason::Option(class, command.shown(item)))
    })
}

impl CommandLine {
    /// The files that this command writes beside object and dependency file, by option, in order.
    /// Empty for every command that [`verdict`] sends away.
    pub fn extra_outputs(&self) -> Vec<ExtraOutput> {
        let mut outputs: Vec<ExtraOutput> = self
            .items()
            .iter()
            .filter_map(|item| match by_item(self, item) {
                Some(LocalReason::Option(LocalClass::Writes(output), _)) => Some(output),
                Some(LocalReason::Option(LocalClass::Profile, word)) => {
                    (word.ends_with(b"coverage") || word == b"-fprofile-arcs")
                        .then_some(ExtraOutput::CoverageNotes)
                }
                _ => None,
            })
            .collect();
        if self.language().is_some_and(|language| language.header) {
            outputs.push(ExtraOutput::Precompiled);
        }
        outputs.dedup();
        outputs
    }
}
