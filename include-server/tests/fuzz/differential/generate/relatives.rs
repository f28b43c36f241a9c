//! Other compiles in a case's tree: the same source once more, parts of it in another order, other macros and search paths.

use super::super::case::{Case, Entry, Relative};
use super::super::setup::Setup;
use super::Generator;

impl Generator<'_> {
    /// Adds compiles whose sources are made of one of the preludes and some of the pieces.
    pub(super) fn relatives(
        &mut self,
        case: &mut Case,
        other: &Setup,
        preludes: &[String],
        pieces: &[String],
    ) {
        let source = case.setup.language.source().to_string();
        let suffix = source.trim_start_matches('a');
        for number in 0..self.random.between(1, 4) {
            let mut relative = Relative {
                setup: case.setup.clone(),
                options: self.other_options(&case.options),
                source: match self.random.below(7) {
                    0 => format!("q/b{number}{suffix}"),
                    _ => format!("b{number}{suffix}"),
                },
            };
            if other.language == case.setup.language && self.random.percent(20) {
                relative.setup = other.clone();
            }
            let same = match self.random.percent(25) {
                true => case.tree.iter().find(|entry| entry.name == source),
                false => None,
            };
            match same.map(|entry| entry.content.clone()) {
                Some(content) => case.tree.push(Entry {
                    name: relative.source.clone(),
                    content,
                }),
                None => {
                    let text = self.other_text(preludes, pieces);
                    self.file(&mut case.tree, &relative.source, &text);
                }
            }
            if self.random.percent(60) {
                self.copy(case, &relative, &format!("c{number}{suffix}"));
            }
            case.relatives.push(relative);
        }
        // Those with the same text need not follow each other.
        self.random.shuffle(&mut case.relatives);
    }

    /// The same compile of the same text under another name.
    fn copy(&mut self, case: &mut Case, relative: &Relative, name: &str) {
        let mut entries = case.tree.iter();
        let Some(entry) = entries.find(|entry| entry.name == relative.source) else {
            return;
        };
        let content = entry.content.clone();
        case.tree.push(Entry {
            name: name.into(),
            content,
        });
        case.relatives.push(Relative {
            source: name.into(),
            ..relative.clone()
        });
    }

    fn other_text(&mut self, preludes: &[String], pieces: &[String]) -> String {
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        match self.random.below(4) {
            0 => self.random.shuffle(&mut order),
            1 => {
                let from = self.random.below(order.len());
                order.rotate_left(from);
            }
            _ => {}
        }
        let mut text = preludes[self.random.below(preludes.len())].clone();
        let dropped = [0, 10, 40][self.random.below(3)];
        for piece in order {
            if self.random.percent(dropped) {
                continue;
            }
            text += &pieces[piece];
            if self.random.percent(8) {
                text += &pieces[piece];
            }
        }
        text
    }

    fn other_options(&mut self, options: &[Vec<String>]) -> Vec<Vec<String>> {
        let mut options = options.to_vec();
        // The last two are what all files need.
        let movable = options.len().saturating_sub(2);
        match self.random.below(6) {
            0 if movable > 0 => {
                options.remove(self.random.below(movable));
            }
            1 if movable > 1 => {
                let one = self.random.below(movable);
                let other = self.random.below(movable);
                options.swap(one, other);
            }
            2 | 3 => {
                let word = match self.random.below(8) {
                    0 if !self.traits.clang => {
                        format!("-fmax-include-depth={}", self.random.between(2, 9))
                    }
                    _ => self.command_macro(),
                };
                options.insert(0, vec![word]);
            }
            _ => {}
        }
        options
    }
}
