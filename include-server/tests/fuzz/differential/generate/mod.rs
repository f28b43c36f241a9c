//! Random cases. Texts are made with marks where blanks, line ends and directives' `#` may be written in many ways;
//! [`ink`] decides how at the end.

mod conditions;
mod expansion;
mod expression;
mod forest;
mod headers;
mod ink;
mod macros;
mod pieces;
mod relatives;
mod search;
mod text;

use std::path::Path;

use super::case::{Case, Content, Entry, LEAVES};
use super::random::Random;
use super::setup::{Setup, Traits};

/// What is known while a case is made.
pub struct Generator<'r> {
    random: &'r mut Random,
    traits: Traits,
    /// The source of the case.
    source: &'static str,
    /// How many files may still be entered because of what is being written.
    allowance: usize,
    /// Leaf headers used so far: each shows one decision.
    leaves: usize,
    /// Function-like macros of the prelude can be called here.
    has_prelude: bool,
    /// Within an argument or a replacement list, where `defined NAME` would see NAME expanded.
    expands_early: bool,
    /// How deep conditional groups nest here.
    depth: usize,
    /// Numbers for names that must be used once only.
    unique: usize,
    /// Directories with headers.
    directories: Vec<String>,
    /// Names of headers, as includes give them; each exists in the last directory of the search path.
    headers: Vec<String>,
}

/// A case of a setup; `None` when the compiler has nothing to say to it. `cwd` is where the compiler may be tried;
/// `other` is a setup that relatives may have.
pub fn case(setup: &Setup, other: &Setup, random: &mut Random, cwd: &Path) -> Option<Case> {
    let mut generator = Generator {
        traits: setup.traits(),
        source: setup.language.source(),
        allowance: 0,
        leaves: 0,
        has_prelude: false,
        expands_early: false,
        depth: 0,
        unique: 0,
        directories: Vec::new(),
        headers: Vec::new(),
        random,
    };
    match generator.random.below(100) {
        0..=7 => expansion::case(&mut generator, setup, cwd),
        8..=49 => Some(generator.structure(setup, other)),
        _ => Some(generator.forest(setup, other)),
    }
}

impl Generator<'_> {
    /// A tree of headers that include each other, with decisions of all kinds.
    fn structure(&mut self, setup: &Setup, other: &Setup) -> Case {
        let mut tree = Vec::new();
        let mut options = Vec::new();
        self.search(&mut tree, &mut options);
        self.command_macros(&mut options);
        self.forced_includes(&mut tree, &mut options);
        let preludes = [self.prelude(), self.prelude()];
        self.has_prelude = true;
        let count = self.random.between(8, 30);
        let pieces: Vec<String> = (0..count).map(|_| self.piece()).collect();
        let source = preludes[0].clone() + &pieces.concat();
        self.file(&mut tree, setup.language.source(), &source);
        self.fill_headers(&mut tree);
        let mut case = Case {
            setup: setup.clone(),
            options,
            tree,
            relatives: Vec::new(),
        };
        if self.random.percent(50) {
            self.relatives(&mut case, other, &preludes, &pieces);
        }
        case
    }

    /// Puts a file into the tree, its marks replaced.
    fn file(&mut self, tree: &mut Vec<Entry>, name: &str, text: &str) {
        let bytes = ink::write(text, self.random, &self.traits);
        tree.push(Entry {
            name: name.into(),
            content: Content::File(bytes),
        });
    }

    /// The name of a leaf that is not used yet (or the last one, when there are no more).
    fn leaf(&mut self) -> String {
        self.leaves += 1;
        format!("l{}.h", self.leaves.min(LEAVES) - 1)
    }

    /// A line that includes a new leaf.
    fn show(&mut self) -> String {
        let leaf = self.leaf();
        match self.random.below(4) {
            0 => format!("\u{4}include\u{2}\"{leaf}\"\u{3}"),
            _ => format!("\u{4}include\u{2}<{leaf}>\u{3}"),
        }
    }

    fn number(&mut self) -> usize {
        self.unique += 1;
        self.unique
    }
}
