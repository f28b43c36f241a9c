//! Which of this server's compilers is the client's.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::bundle::refusal::{Refusal, RefusalKind};
use protocol::bundle::setting::Platform;
use protocol::command_line::{CommandLine, Word, strip_version_suffix};
use protocol::identity::{Identity, Policy};
use toolchain::{Language, Question};

use super::exchange::unsuited;
use crate::failure::Failure;
use crate::house::House;
use crate::shelf::Shelf;
use crate::whitelist::CompilerRefusal;

/// Compilers of this server's that may be a client's.
pub(super) struct Candidates {
    /// Which one is wanted.
    wanted: Identity,
    policy: Policy,
    asked: Vec<Asked>,
    first_refusal: Option<CompilerRefusal>,
}

impl Candidates {
    /// Those that the whitelist allows, of the names under which the client knows its compiler.
    pub(super) fn find(
        house: &House,
        shelf: &Arc<Shelf>,
        argv: &[Word],
        platform: &Platform,
    ) -> Result<Self, Failure> {
        let (wanted, _) = Identity::decode(&platform.identity)
            .map_err(|_| unsuited("the client does not say which compiler it has"))?;
        let (asked, refused): (Vec<_>, Vec<_>) = names(&argv[0], platform)
            .into_iter()
            .map(|name| house.settings.whitelist.admit(name))
            .partition(Result::is_ok);
        let asked = asked.into_iter().flatten();
        Ok(Self {
            wanted,
            policy: shelf.policy,
            asked: asked
                .map(|compiler| Asked::new(house, shelf, compiler))
                .collect(),
            first_refusal: refused.into_iter().find_map(Result::err),
        })
    }

    /// The program to run for a job: the first that is the same one as the client's. Blocks: the first question to a compiler starts it.
    pub(super) fn choose(self, argv: &[Word]) -> Result<(PathBuf, Arc<Identity>), Failure> {
        let mut found = Vec::new();
        for asked in self.asked {
            match asked.identify(argv) {
                Ok(identity) if identity.agrees(&self.wanted, self.policy) => {
                    return Ok((asked.compiler, identity));
                }
                Ok(identity) => found.push(identity.banner.clone()),
                Err(why) => found.push(why),
            }
        }
        if let (true, Some(refusal)) = (found.is_empty(), self.first_refusal) {
            return Err(refusal.into());
        }
        found.dedup();
        Err(Failure::Refused(Refusal {
            kind: RefusalKind::Compiler,
            text: format!(
                "the client compiles with {}, this server has {}",
                self.wanted.banner,
                found.join("; ")
            ),
        }))
    }
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

/// A compiler of ours that is asked who it is.
pub(crate) struct Asked {
    compiler: PathBuf,
    shelf: Arc<Shelf>,
    /// Where it will find its assembler.
    path: OsString,
}

impl Asked {
    /// The question to a program.
    pub(crate) fn new(house: &House, shelf: &Arc<Shelf>, compiler: PathBuf) -> Self {
        Self {
            shelf: Arc::clone(shelf),
            path: house.settings.workshop.program_path(&compiler),
            compiler,
        }
    }

    /// Who it is; or why that is not known. Blocks: the first question starts the compiler.
    pub(crate) fn identify(&self, argv: &[Word]) -> Result<Arc<Identity>, String> {
        let command = CommandLine::parse(argv);
        let language = command
            .language()
            .map_or(Language::C, |language| language.language);
        let question = Question {
            compiler: &self.compiler,
            language,
            external_assembler: argv.iter().any(|word| word == b"-fno-integrated-as"),
            environment: &[("PATH".into(), self.path.clone())],
        };
        let identity = self.shelf.identities.identity(&question);
        identity.map_err(|error| error.to_string())
    }
}
