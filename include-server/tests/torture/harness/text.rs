//! Texts of headers and sources: random directives behind a number of its own for each text.
//!
//! Names have layers (`h0.h` to `h7.h`), and a text includes only higher layers; guards end what renamed files and links
//! make of that. The number stands at both ends, so that a mixture of two texts can be told, and goes into the object.

use super::dice::Dice;

/// Layers of headers.
pub const LAYERS: usize = 8;
/// Optional headers (`o0.h` and on), which are only included where `__has_include` finds them.
pub const OPTIONAL: usize = 4;
/// Macros whose values decide (`V0` and on).
pub const VALUES: usize = 5;

/// Writes texts and numbers them.
pub struct Author {
    number: u64,
    /// The tree's path, for absolute includes.
    root: String,
}

impl Author {
    /// An author whose numbers begin behind `number`.
    pub fn new(number: u64, root: String) -> Self {
        Self { number, root }
    }

    /// The mark of the next text.
    fn mark(&mut self) -> String {
        self.number += 1;
        format!("/*v{:09}*/\n", self.number)
    }

    /// A line that puts the text's number into the object (an assembler's source defines `asm` as nothing).
    fn statement(&self) -> String {
        format!(
            "asm(\".section t;.ascii \\\"v{:09}\\\";.text\");\n",
            self.number
        )
    }

    /// An author for another thread, with numbers of its own.
    pub fn fork(&mut self) -> Self {
        self.number += 1_000;
        Self {
            number: self.number - 999,
            root: self.root.clone(),
        }
    }

    /// A header's text for its name's layer; with `size`, of just this size if it is large enough for anything.
    pub fn header(&mut self, dice: &mut Dice, layer: usize, size: Option<usize>) -> Vec<u8> {
        let mut lines = Vec::new();
        for _ in 0..dice.between(1, 4) {
            lines.push(self.line(dice, layer, true));
        }
        let guard = format!("G_{layer}_{}", dice.below(4));
        let (head, tail) = match dice.below(8) {
            0 => ("#pragma once\n".to_owned(), String::new()),
            1 if layer + 1 >= LAYERS => {
                lines.truncate(1);
                lines[0] = value(dice);
                (String::new(), String::new())
            }
            2 => (
                format!("#if !defined({guard})\n#define {guard} 1\n"),
                "#endif\n".to_owned(),
            ),
            _ => (
                format!("#ifndef {guard}\n#define {guard}\n"),
                "#endif\n".to_owned(),
            ),
        };
        self.joined(&head, lines, &tail, size)
    }

    /// A source's text.
    pub fn source(&mut self, dice: &mut Dice, size: Option<usize>) -> Vec<u8> {
        // The last directory of all is on a server only when a file of it is.
        let mut lines = vec!["#include <last.h>\n".to_owned()];
        for _ in 0..dice.between(2, 6) {
            let layer = dice.below(LAYERS / 2);
            lines.push(self.line(dice, layer, false));
        }
        self.joined("", lines, "", size)
    }

    /// A text that fails no compile and includes nothing, for what is read outside all guards.
    pub fn macros(&mut self, dice: &mut Dice, size: Option<usize>) -> Vec<u8> {
        let lines = (0..dice.between(1, 3)).map(|_| value(dice)).collect();
        self.joined("", lines, "", size)
    }

    /// The parts between two marks, padded to `size` or to a round one, so that equal sizes are common.
    fn joined(
        &mut self,
        head: &str,
        mut lines: Vec<String>,
        tail: &str,
        size: Option<usize>,
    ) -> Vec<u8> {
        let mark = self.mark();
        lines.insert(lines.len().min(1), self.statement());
        loop {
            let body = format!("{mark}{head}{}{tail}", lines.concat());
            let least = body.len() + mark.len() + 1;
            let wanted = size.unwrap_or_else(|| least.next_multiple_of(256));
            if least <= wanted {
                let pad = "\n".repeat(wanted - least + 1);
                return format!("{body}{pad}{mark}").into_bytes();
            }
            if lines.pop().is_none() {
                // Too small for anything but blanks: the number's last digits must do.
                let mut text = mark.into_bytes();
                text.resize(wanted.max(16), b'\n');
                return text;
            }
        }
    }

    /// One or several directives of a text of this layer.
    fn line(&mut self, dice: &mut Dice, layer: usize, in_header: bool) -> String {
        if layer + 1 >= LAYERS {
            return match dice.chance(40) && in_header {
                true => next(layer),
                false => value(dice),
            };
        }
        let above = dice.between(layer + 1, LAYERS - 1);
        let other = dice.between(layer + 1, LAYERS - 1);
        match dice.below(14) {
            0 | 1 => format!("#include \"h{above}.h\"\n"),
            2 | 3 => format!("#include <h{above}.h>\n"),
            4 => format!("#include <sub/h{}.h>\n", above.max(4)),
            5 | 6 => {
                let name = self.far_name(dice, above);
                format!(
                    "#if __has_include({name})\n#include {name}\n#else\n#define MISSED\n#endif\n"
                )
            }
            7 => {
                let name = optional(dice);
                format!(
                    "#if __has_include({name})\n#include <h{above}.h>\n#else\n#include \"h{other}.h\"\n#endif\n"
                )
            }
            8 => {
                let name = optional(dice);
                format!("#if __has_include({name})\n#include {name}\n#endif\n")
            }
            9 => format!(
                "#undef PICK\n#define PICK <h{above}.h>\n{}#include PICK\n",
                value(dice)
            ),
            10 | 11 => {
                let (name, wanted) = (dice.below(VALUES), dice.below(3));
                format!(
                    "#if V{name} == {wanted}\n#include \"h{above}.h\"\n#else\n#include <h{other}.h>\n#endif\n"
                )
            }
            12 if in_header => next(layer),
            _ => value(dice),
        }
    }

    /// A name that leads through links or by another way.
    fn far_name(&mut self, dice: &mut Dice, layer: usize) -> String {
        match dice.below(40) {
            0 => format!("\"{}/alt/h{layer}.h\"", self.root),
            1..=6 => format!("<lnk/h{layer}.h>"),
            7..=12 => format!("<mid/x/h{layer}.h>"),
            13..=18 => format!("<ext/h{layer}.h>"),
            19..=23 => format!("\"../alt/h{layer}.h\""),
            24..=27 => format!("\"sub/h{layer}.h\""),
            28..=31 => format!("<abs/h{layer}.h>"),
            32..=34 => format!("<lnk/../h{layer}.h>"),
            _ => format!("<sub/h{layer}.h>"),
        }
    }
}

fn optional(dice: &mut Dice) -> String {
    let number = dice.below(OPTIONAL);
    match dice.below(5) {
        0 => format!("<lnk/o{number}.h>"),
        1 => format!("\"o{number}.h\""),
        2 => format!("<mid/x/o{number}.h>"),
        _ => format!("<o{number}.h>"),
    }
}

fn value(dice: &mut Dice) -> String {
    let name = dice.below(VALUES);
    format!("#undef V{name}\n#define V{name} {}\n", dice.below(3))
}

fn next(layer: usize) -> String {
    format!("#if __has_include_next(<h{layer}.h>)\n#include_next <h{layer}.h>\n#endif\n")
}
