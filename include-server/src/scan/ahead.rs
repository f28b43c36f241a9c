//! What a thread does while another one reads the file that is next: it reads those that are likely to come after it.
//!
//! The units of a project begin with the same headers, so threads that begin at once would meet at each of them, and all but
//! one would sleep. Nothing that is read ahead becomes part of an answer: a scan finds it known when it comes to it.

use super::Scan;
use super::world::is_system;
use crate::atom::Atom;
use crate::chain::{Begin, Resolved};
use crate::program::{IncludeStyle, Op, Program, Target};

/// The largest file that is read ahead, in bytes: it may not be needed.
const LARGEST: u64 = 1 << 20;

impl Scan<'_> {
    /// Reads ahead while another thread reads `found`, or makes a program of it.
    pub(super) fn read_ahead_of(&mut self, found: &Resolved) {
        let Some(hit) = &found.hit else {
            return;
        };
        let is_busy = |scan: &Self| scan.world.session.is_being_read(hit.node);
        if !self.world.by_name.contains_key(&hit.name) && is_busy(self) {
            self.read_ahead_while(is_busy);
        }
    }

    /// Reads ahead, file by file, while `busy`.
    pub(super) fn read_ahead_while(&mut self, busy: impl Fn(&Self) -> bool) {
        for frame in (0..self.world.frames.len()).rev() {
            while busy(self) {
                if !self.read_one_ahead(frame) {
                    break;
                }
            }
        }
    }

    /// Reads the next file ahead that the file in this frame may include; false when there is none.
    fn read_one_ahead(&mut self, frame: usize) -> bool {
        let place = &mut self.world.frames[frame];
        let from = place.ahead.max(place.position);
        let program = &self.programs[place.program_index];
        let Some((at, begin, name)) = next_include(program, from) else {
            place.ahead = usize::MAX;
            return false;
        };
        place.ahead = at + 1;
        let system = place.system;
        let begin = match begin {
            true => Begin::Bracket,
            false => Begin::Quote(place.directory, system),
        };
        let chain = &self.world.chain;
        let session = &mut self.world.session;
        let found = session.aside(|session| chain.find(name, begin, session));
        let Ok(Some(hit)) = found.as_ref().map(|found| found.hit.as_ref()) else {
            return true;
        };
        // Who reads it already needs no help.
        if self.world.by_name.contains_key(&hit.name) || session.is_being_read(hit.node) {
            return true;
        }
        let content = session.read_ahead(hit.node, LARGEST);
        if let Some(content) = content.filter(|content| !content.is_being_built()) {
            // Whoever reads the file will say what is wrong with it.
            let _ = content.program(self.mode_of(is_system(hit.kind, system)));
        }
        true
    }
}

/// The next include of a program from a directive on whose name is plain: its index, whether the name stands in brackets, and
/// the name.
fn next_include(program: &Program, from: usize) -> Option<(usize, bool, Atom)> {
    let rest = program.directives.get(from..)?;
    rest.iter().enumerate().find_map(|(at, directive)| {
        let (bracket, name) = match directive.op {
            Op::Include(IncludeStyle::Include | IncludeStyle::Import, target) => match target {
                Target::Bracket(name) => (true, name),
                Target::Quote(name) => (false, name),
                Target::Computed(_) => return None,
            },
            _ => return None,
        };
        (!name.spelling().is_empty()).then_some((from + at, bracket, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{CompilerFamily, Dialect, Language};

    #[test]
    fn includes_with_plain_names_are_found_from_any_directive_on() {
        let family = CompilerFamily::Gcc { major: 12 };
        let dialect = Dialect::derive(Language::C, family, None).unwrap();
        let text = b"#define A <a.h>\n#include A\n#include <b.h>\n#include_next <b.h>\n#if 0\n#include \"c.h\"\n#endif\n";
        let program = Program::build(text, dialect.lexing);
        let b = Some((2, true, Atom::of(b"b.h")));
        let c = Some((5, false, Atom::of(b"c.h")));
        let expected = [b, b, b, c, c, c, None, None, None];
        for (from, expected) in expected.into_iter().enumerate() {
            assert_eq!(next_include(&program, from), expected, "{from}");
        }
        assert_eq!(next_include(&program, usize::MAX), None);
    }
}
