//! Which of this server's compilers is the client's.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::bundle::setting::Platform;
use protocol::command_line::{CommandLine, Word, strip_version_suffix};
use protocol::identity::Identity;
use toolchain::{Language, Question};

use super::exchange::unsuited;
use crate::failure::Failure;
use crate::shelf::Shelf;
use crate::whitelist::Whitelist;
use crate::workshop::Workshop;

/// The program to run for a job: of the names under which the client knows its compiler, the first that is the same one here. Blocks: the first question to a
/// compiler starts it.
pub(super) fn find(
    whitelist: &Whitelist,
    shelf: &Shelf,
    workshop: &Workshop,
    argv: &[Word],
    platform: &Platform,
) -> Result<(PathBuf, Arc<Identity>), Failure> {
    let (wanted, _) = Identity::decode(&platform.identity)
        .map_err(|_| unsuited("the client does not say which compiler it has"))?;
    let mut first_refusal = None;
    let mut found = Vec::new();
    for name in names(&argv[0], platform) {
        let compiler = match whitelist.admit(name) {
            Ok(compiler) => compiler,
            Err(refusal) => {
                first_refusal.get_or_insert(refusal);
                continue;
            }
        };
        match identify(shelf, workshop, argv, &compiler) {
            Ok(identity) if identity.agrees(&wanted, shelf.policy) => {
                return Ok((compiler, identity));
            }
            Ok(identity) => found.push(identity.banner.clone()),
            Err(why) => found.push(why),
        }
    }
    if let (true, Some(refusal)) = (found.is_empty(), first_refusal) {
        return Err(refusal.into());
    }
    found.dedup();
    Err(Failure::Refused(Refusal {
        kind: RefusalKind::Compiler,
        text: difference(&wanted.banner, &found),
    }))
}

/// Says that none of the compilers found here is the client's; each by its banner, or why it has none.
fn difference(wanted: &str, found: &[String]) -> String {
    let here = found.join("; ");
    let why = match found.iter().any(|here| here == wanted) {
        // Two equal names would tell nobody what to do.
        true => ", whose programs or built-in settings are others",
        false => "",
    };
    format!("the client compiles with {wanted}, this server has {here}{why}")
}

/// Names under which the client's compiler may be here: as the client calls it, as its include server knows it, and plainly (`gcc` for
/// `x86_64-linux-gnu-gcc-12`). Which one it is, its identity tells.
fn names<'a>(typed: &'a Word, platform: &'a Platform) -> Vec<&'a [u8]> {
    let mut names: Vec<&[u8]> = vec![typed];
    names.extend(platform.names.iter().map(Vec::as_slice));
    let plain = |name: &&'a [u8]| {
        let name = strip_version_suffix(name);
        let start = name.iter().rposition(|byte| b"-/".contains(byte));
        &name[start.map_or(0, |at| at + 1)..]
    };
    let plain: Vec<&[u8]> = names.iter().map(plain).collect();
    let mut known = HashSet::new();
    names.extend(plain);
    names.retain(|name| known.insert(*name));
    names
}

/// Who a compiler of ours is; or why that is not known. Blocks: the first question starts the compiler.
pub(crate) fn identify(
    shelf: &Shelf,
    workshop: &Workshop,
    argv: &[Word],
    compiler: &Path,
) -> Result<Arc<Identity>, String> {
    let command = CommandLine::parse(argv);
    let language = command
        .language()
        .map_or(Language::C, |language| language.language);
    let question = Question {
        compiler,
        language,
        external_assembler: argv.iter().any(|word| word == b"-fno-integrated-as"),
        // Where it will find its assembler.
        environment: &[("PATH".into(), workshop.program_path(compiler))],
    };
    let identity = shelf.identities.identity(&question);
    identity.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_of_one_name_are_told_apart() {
        let said = |found: &[&str]| {
            let found: Vec<String> = found.iter().map(|text| (*text).to_owned()).collect();
            difference("gcc 12", &found)
        };
        let other = "the client compiles with gcc 12, this server has gcc 13; clang 14";
        assert_eq!(said(&["gcc 13", "clang 14"]), other);
        let same = "the client compiles with gcc 12, this server has gcc 12, whose programs or built-in settings are others";
        assert_eq!(said(&["gcc 12"]), same);
    }
}
