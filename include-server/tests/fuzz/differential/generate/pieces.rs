//! The pieces that a file is made of, each with something to show.

use super::Generator;

impl Generator<'_> {
    /// Some lines.
    pub(super) fn piece(&mut self) -> String {
        match self.random.below(24) {
            0..=6 => self.group(),
            7..=10 => self.definition(),
            11..=13 => self.include(),
            14 | 15 if self.has_prelude => self.computed(),
            16 => self.skipped(),
            17 | 18 => self.text(),
            19 => self.place(),
            20 if self.random.percent(12) => self.counter(),
            21 => self.ignored_directive(),
            22 => self.next_include(),
            _ => self.group(),
        }
    }

    /// A header of the tree, when files do not nest too deep.
    pub(super) fn include(&mut self) -> String {
        let name = self.header();
        let directive = match self.random.below(8) {
            0 if !self.traits.assembler => "import",
            _ => "include",
        };
        let line = match self.random.below(3) {
            0 => format!("\u{4}{directive}\u{2}\"{name}\"\u{3}"),
            _ => format!("\u{4}{directive}\u{2}<{name}>\u{3}"),
        };
        self.bounded(&line)
    }

    /// Only where files do not nest too deep.
    fn bounded(&mut self, line: &str) -> String {
        let limit = self.random.between(2, 4);
        format!("\u{4}if __INCLUDE_LEVEL__ < {limit}\u{3}{line}\u{4}endif\u{3}")
    }

    /// A header by a name that may not be there.
    fn next_include(&mut self) -> String {
        let name = match self.random.percent(60) {
            true => self.header(),
            false => self.include_name(),
        };
        let (open, close) = match self.random.percent(70) {
            true => ('<', '>'),
            false => ('"', '"'),
        };
        let next = match self.random.below(3) {
            0 => "",
            _ => "_next",
        };
        let limit = self.random.between(2, 4);
        let shown = self.show();
        format!(
            "\u{4}if __has_include{next}({open}{name}{close})\u{3}{shown}\u{4}if __INCLUDE_LEVEL__ < {limit}\u{3}\
             \u{4}include{next}\u{2}{open}{name}{close}\u{3}\u{4}endif\u{3}\u{4}endif\u{3}"
        )
    }

    /// An include whose name a macro makes.
    fn computed(&mut self) -> String {
        let leaf = self.leaf();
        let number = &leaf[1..leaf.len() - 2];
        let name = format!("INC{}", self.number());
        match self.random.below(13) {
            0 => format!("\u{4}define\u{1}{name}\u{1}\"{leaf}\"\u{3}\u{4}include\u{1}{name}\u{3}"),
            1 => format!("\u{4}define\u{1}{name}\u{1}<{leaf}>\u{3}\u{4}include\u{1}{name}\u{3}"),
            2 => format!("\u{4}include\u{1}STR\u{2}({leaf})\u{3}"),
            3 => format!("\u{4}include\u{1}STR(\u{2}{leaf}\u{2})\u{3}"),
            4 => format!("\u{4}include\u{1}ANGLE({leaf})\u{3}"),
            5 => {
                format!("\u{4}include\u{1}LT\u{2}EMPTY {leaf}>\u{3}").replace("LT\u{2}EMPTY ", "<")
            }
            6 => format!("\u{4}include\u{1}STR(XCAT(l,{number}).h)\u{3}"),
            7 => format!(
                "\u{4}define\u{1}{name}(x)\u{1}STR_(l##x.h)\u{3}\u{4}include\u{1}{name}({number})\u{3}"
            ),
            8 => format!(
                "\u{4}define\u{1}{name}\u{1}EMPTY STR({leaf}) EMPTY\u{3}\u{4}include\u{1}EMPTY {name}\u{3}"
            ),
            9 => format!(
                "\u{4}define\u{1}{name}\u{1}ID\u{3}\u{4}include\u{1}{name}\u{2}(\"{leaf}\")\u{3}"
            ),
            10 => format!("\u{4}include\u{1}ANGLE(XCAT(l,{number}).h)\u{3}"),
            11 => format!(
                "\u{4}if HAS(STR({leaf})) && HAS(<{leaf}>)\u{3}{}\u{4}endif\u{3}",
                self.show()
            ),
            _ => format!("\u{4}include\u{1}ID(F3)(STR\u{2})({leaf})\u{3}")
                .replace("(STR\u{2})", "(STR)"),
        }
    }

    /// What depends on the place in the file.
    fn place(&mut self) -> String {
        let line = self.random.between(1, 60);
        let shown = self.show();
        let other = self.show();
        let change = match self.random.below(7) {
            0 => format!("\u{4}line\u{1}{}\u{3}", self.random.between(1, 50)),
            1 => format!(
                "\u{4}line\u{1}{}\u{1}\"other.h\"\u{3}",
                self.random.between(1, 50)
            ),
            2 => format!(
                "\u{4}\u{1}{}\u{1}\"marked.h\"\u{3}",
                self.random.between(1, 50)
            ),
            _ => String::new(),
        };
        let relation = self.random.pick(&["==", "<", ">", "& 1 +"]);
        let condition = match self.random.below(4) {
            0 => format!(
                "\u{4}if\u{1}__INCLUDE_LEVEL__\u{1}== {}\u{3}",
                self.random.below(4)
            ),
            _ => format!("\u{7}#if __LINE__ {relation} {line}\u{5}\u{7}"),
        };
        format!("{change}{condition}{shown}\u{4}else\u{3}{other}\u{4}endif\u{3}")
    }

    /// `__COUNTER__`, in text or in a condition.
    fn counter(&mut self) -> String {
        let number = self.random.below(4);
        match self.random.below(4) {
            0 => "int counted = __COUNTER__;\u{5}".into(),
            1 => "\u{4}define\u{1}COUNT\u{1}__COUNTER__\u{3}COUNT COUNT\u{5}".into(),
            _ => format!(
                "\u{4}if\u{1}__COUNTER__\u{1}> {number}\u{3}{}\u{4}else\u{3}{}\u{4}endif\u{3}",
                self.show(),
                self.show()
            ),
        }
    }

    fn ignored_directive(&mut self) -> String {
        self.random
            .pick(&[
                "\u{4}\u{3}",
                "\u{4}warning it's \"odd\u{5}",
                "\u{4}ident\u{1}\"x\"\u{3}",
                "\u{4}sccs\u{1}\"x\"\u{3}",
                "\u{4}pragma\u{1}nonsense\u{1}(\u{3}",
                "\u{4}pragma\u{3}",
                "\u{4}pragma\u{1}GCC\u{1}diagnostic\u{1}push\u{3}",
                "\u{4}pragma\u{1}GCC\u{1}system_header\u{3}",
                "\u{4}pragma\u{1}STDC\u{1}FP_CONTRACT\u{1}ON\u{3}",
                "\u{4}pragma\u{1}GCC\u{1}poison\u{1}poisoned_name\u{3}",
                "EMPTY # include <nothing.h>\u{5}",
            ])
            .into()
    }
}
