//! `#if` expressions that every compiler accepts: full grammar, no division by zero that is evaluated.

use super::Generator;

/// Characters that may stand beside others without a blank.
fn joined(left: &str, operator: &str, right: &str) -> String {
    let before = match left.chars().last() {
        Some(last) if last.is_alphanumeric() && operator.starts_with(['+', '-']) => '\u{1}',
        Some(last) if last.is_alphanumeric() || last == ')' || last == '\'' => '\u{2}',
        _ => '\u{1}',
    };
    let after = match right.chars().next() {
        Some(first) if first.is_alphanumeric() && operator.ends_with(char::is_alphabetic) => {
            '\u{1}'
        }
        Some(first) if first.is_alphanumeric() || first == '(' || first == '\'' => '\u{2}',
        _ => '\u{1}',
    };
    let before = match operator.starts_with(char::is_alphabetic) {
        true => '\u{1}',
        false => before,
    };
    format!("{left}{before}{operator}{after}{right}")
}

impl Generator<'_> {
    /// An expression; deeper ones are longer.
    pub(super) fn expression(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.operand();
        }
        match self.random.below(12) {
            0 => {
                let operator = self.random.pick(&["!", "-", "~", "+", "not", "compl"]);
                let operator = match (operator, self.traits.cxx) {
                    ("not", false) => "!",
                    ("compl", false) => "~",
                    (operator, _) => operator,
                };
                let operand = self.expression(depth - 1);
                match operand.starts_with(char::is_alphanumeric) || operator.len() > 1 {
                    true => format!("{operator}\u{1}{operand}"),
                    false => format!("{operator}\u{1}({operand})"),
                }
            }
            1 | 2 => format!("(\u{2}{}\u{2})", self.expression(depth - 1)),
            3 => {
                let condition = self.expression(depth - 1);
                let (one, other) = (self.expression(depth - 1), self.expression(depth - 1));
                let chosen = joined(&condition, "?", &one);
                joined(&chosen, ":", &other)
            }
            4 => {
                let operator = self.random.pick(&["/", "%"]);
                let divisor = match self.random.below(3) {
                    0 => format!("(\u{2}{}\u{2}|1)", self.operand()),
                    _ => self
                        .random
                        .pick(&["3", "7u", "-2", "1", "0x10", "-1", "2ull"])
                        .into(),
                };
                joined(&self.expression(depth - 1), operator, &divisor)
            }
            5 => self.skipped_fault(),
            6 => format!(
                "({}\u{2},\u{2}{})",
                self.operand(),
                self.expression(depth - 1)
            ),
            _ => {
                let operators = [
                    "+", "-", "*", "<<", ">>", "<", ">", "<=", ">=", "==", "!=", "&", "|", "^",
                    "&&", "||", "&&", "||",
                ];
                let names = ["and", "or", "bitand", "bitor", "xor", "not_eq"];
                let operator = match self.traits.cxx && self.random.percent(15) {
                    true => self.random.pick(&names),
                    false => self.random.pick(&operators),
                };
                let left = self.expression(depth - 1);
                let right = self.expression(depth - 1);
                joined(&left, operator, &right)
            }
        }
    }

    /// What would be an error if it were evaluated, where it is not.
    fn skipped_fault(&mut self) -> String {
        let fault = self
            .random
            .pick(&["1/0", "1%0", "0/0u", "(2,1/0)", "1/(1-1)"]);
        let operand = self.operand();
        match self.random.below(4) {
            0 => format!("(0\u{2}&&\u{2}{fault}\u{2}||\u{2}{operand})"),
            1 => format!("(1\u{2}||\u{2}{fault})"),
            2 => format!("(1\u{2}?\u{2}{operand}\u{2}:\u{2}{fault})"),
            _ => format!("(0\u{2}?\u{2}{fault}\u{2}:\u{2}{operand})"),
        }
    }

    pub(super) fn operand(&mut self) -> String {
        match self.random.below(22) {
            0..=4 => self.number_token(),
            5 | 6 => self.character(),
            7..=9 => self.defined(),
            10..=12 => self
                .random
                .pick(&["I0", "I1", "I2", "I3", "I4", "I5"])
                .into(),
            13 | 14 if self.has_prelude => self.call(),
            15 => self
                .random
                .pick(&[
                    "UNKNOWN", "int", "if", "true", "false", "x", "_", "R", "u8", "L",
                ])
                .into(),
            16 => self
                .random
                .pick(&[
                    "__LINE__",
                    "__INCLUDE_LEVEL__",
                    "__COUNTER__",
                    "__STDC_VERSION__",
                    "__cplusplus",
                    "__GNUC__",
                    "__CHAR_BIT__",
                    "__INT_MAX__",
                    "__LONG_MAX__",
                    "__OPTIMIZE__",
                    "linux",
                    "__LP64__",
                ])
                .into(),
            17 | 18 => self.has_include(),
            19 if !self.traits.clang => self
                .random
                .pick(&[
                    "#cpu(x86_64)",
                    "#system(linux)",
                    "#machine(arm)",
                    "#system",
                    "#mine(one)",
                    "#mine",
                    "#nobody",
                ])
                .into(),
            20 => self.feature(),
            _ => self.number_token(),
        }
    }

    pub(super) fn number_token(&mut self) -> String {
        let plain = [
            "0",
            "1",
            "2",
            "3",
            "10",
            "077",
            "0x1F",
            "0xe",
            "0b101",
            "2147483647",
            "2147483648",
            "4294967295",
            "9223372036854775807",
            "0x8000000000000000",
            "18446744073709551615",
            "0xFFFFFFFFFFFFFFFF",
            "01777777777777777777777",
            "63",
            "64",
            "65",
            "0X0",
            "00",
        ];
        let separated = ["1'000", "0x1'F", "0b1'0", "0'7", "1'0'0"];
        let number = match self.traits.separators && self.random.percent(15) {
            true => self.random.pick(&separated),
            false => self.random.pick(&plain),
        };
        let suffix = match self.random.below(8) {
            0 => self.random.pick(&[
                "u", "U", "l", "L", "ll", "LL", "ul", "LU", "ull", "LLu", "uLL", "lu",
            ]),
            1 if self.traits.size_suffix => self.random.pick(&["z", "uz", "Z", "ZU"]),
            _ => "",
        };
        format!("{number}{suffix}")
    }

    fn character(&mut self) -> String {
        let body = self.random.pick(&[
            "a", "0", "\\0", "\\377", "\\x41", "\\xff", "ab", "abcd", "\\n", "\\\\", "\\'", "\"",
            "\\\"", " ", "\\1\\2", "\\e", "\\?", "//", "/*", "z", "\\x80", "\\200",
        ]);
        let prefix = match self.random.below(6) {
            0 => "L",
            1 if self.traits.unicode => self.random.pick(&["u", "U"]),
            2 if self.traits.utf8_char => "u8",
            _ => "",
        };
        let body = match (prefix, body) {
            // A constant of several characters is an error with these.
            ("u" | "U" | "u8" | "L", "ab" | "abcd" | "\\1\\2" | "//" | "/*") => "a",
            (_, body) => body,
        };
        format!("{prefix}'{body}'")
    }

    fn defined(&mut self) -> String {
        let name = match self.expands_early {
            true => self
                .random
                .pick(&["UNKNOWN", "F0", "V0", "__NOTHING__"])
                .into(),
            false => self.macro_name(),
        };
        match self.random.below(3) {
            0 => format!("defined\u{1}{name}"),
            _ => format!("defined\u{2}(\u{2}{name}\u{2})"),
        }
    }

    /// A name that may or may not be a macro.
    pub(super) fn macro_name(&mut self) -> String {
        let names = [
            "I0",
            "I1",
            "I2",
            "I3",
            "I4",
            "I5",
            "J0",
            "J1",
            "J2",
            "J3",
            "F0",
            "V0",
            "EMPTY",
            "UNKNOWN",
            "__FILE__",
            "__LINE__",
            "__COUNTER__",
            "__GNUC__",
            "__cplusplus",
            "__has_include",
            "_Pragma",
            "unix",
            "EOF",
            "include",
            "define",
            "G0",
            "G1",
            "G2",
            "G3",
            "K0",
            "K1",
            "K2",
            "__has_attribute",
            "__has_include_next",
            "P0",
            "P1",
            "__OBJC__",
            "__ASSEMBLER__",
        ];
        self.random.pick(&names).into()
    }

    fn has_include(&mut self) -> String {
        let next = match self.random.below(4) {
            0 => "_next",
            _ => "",
        };
        let name = self.include_name();
        let style = self.random.percent(50);
        let name = match style {
            true => format!("<{name}>"),
            false => format!("\"{name}\""),
        };
        match self.random.below(6) {
            0 if self.has_prelude && next.is_empty() => format!("HAS({name})"),
            _ => format!("__has_include{next}\u{2}(\u{2}{name}\u{2})"),
        }
    }

    /// A header's name that may or may not exist where it is looked for.
    pub(super) fn include_name(&mut self) -> String {
        match self.random.below(6) {
            0 => "nothing.h".into(),
            1 => {
                let directory = self.directory();
                format!("{directory}/{}", self.header())
            }
            2 => {
                let directory = self.directory();
                format!("{directory}/../{}", self.header())
            }
            3 => self.directory(),
            _ => self.header(),
        }
    }

    pub(super) fn header(&mut self) -> String {
        match self.headers.len() {
            0 => "l0.h".into(),
            count => self.headers[self.random.below(count)].clone(),
        }
    }

    pub(super) fn directory(&mut self) -> String {
        match self.directories.len() {
            0 => "leaf".into(),
            count => self.directories[self.random.below(count)].clone(),
        }
    }

    fn feature(&mut self) -> String {
        if self.traits.assembler {
            return "0".into();
        }
        let names = [
            "__has_attribute(noreturn)",
            "__has_attribute(__nonsense__)",
            "__has_builtin(__builtin_expect)",
            "__has_attribute(unused)",
            "__has_builtin(nonsense)",
        ];
        self.random.pick(&names).into()
    }

    /// A call of a macro of the prelude.
    pub(super) fn call(&mut self) -> String {
        let before = std::mem::replace(&mut self.expands_early, true);
        let text = self.call_with_arguments();
        self.expands_early = before;
        text
    }

    fn call_with_arguments(&mut self) -> String {
        let one = self.expression(1);
        match self.random.below(9) {
            0 => format!("F0\u{2}({one})"),
            1 => format!("F1\u{2}({one},\u{2}{})", self.operand()),
            2 => format!("F2(\u{2}{one}\u{2},{},{})", self.operand(), self.operand()),
            3 => format!("V0({one})"),
            4 => format!("V0({one},\u{2}{})", self.operand()),
            5 => format!("V1({one}\u{2},\u{2}{},{})", self.operand(), self.operand()),
            6 => format!("CAT(I,\u{2}{})", self.random.below(6)),
            7 => format!("XCAT(I,\u{2}F3({}))", self.random.below(6)),
            _ => format!("ID\u{2}(F0)({one})"),
        }
    }
}
