//! Macros: the prelude that all files rely on, definitions that replace each other, `-D` and `-U`, and the macro stack.

use super::Generator;

impl Generator<'_> {
    /// Macros that are always defined, with values that differ from case to case.
    pub(super) fn prelude(&mut self) -> String {
        let mut text = String::from(
            "\u{4}define\u{1}EMPTY\u{3}\
             \u{4}define\u{1}ID(x)\u{2}x\u{3}\
             \u{4}define\u{1}STR_(x)\u{2}#x\u{3}\
             \u{4}define\u{1}STR(x)\u{2}STR_(x)\u{3}\
             \u{4}define\u{1}CAT(a,\u{2}b)\u{2}a##b\u{3}\
             \u{4}define\u{1}XCAT(a,\u{2}b)\u{2}CAT(a,b)\u{3}\
             \u{4}define\u{1}ANGLE(x)\u{2}<x>\u{3}\
             \u{4}define\u{1}LT\u{1}<\u{3}\
             \u{4}define\u{1}HAS(x)\u{2}__has_include(x)\u{3}\
             \u{4}define\u{1}F3(x)\u{2}x\u{3}",
        );
        for name in ["I0", "I1", "I2", "I3", "I4", "I5"] {
            if self.random.percent(70) {
                text += &self.object(name);
            }
        }
        for name in ["F0", "F1", "F2", "V0", "V1"] {
            text += &self.function(name);
        }
        text
    }

    fn object(&mut self, name: &str) -> String {
        let before = std::mem::replace(&mut self.expands_early, true);
        let body = match self.random.below(5) {
            0 => format!("\u{1}({})", self.expression(2)),
            1 => format!("\u{1}{}", self.number_for_macro()),
            2 => format!("\u{1}(\u{2}I{}\u{2}+\u{2}1)", self.random.below(6)),
            3 => format!("\u{1}I{}", self.random.below(6)),
            _ => format!("(\u{2}{}\u{2})", self.number_for_macro()).replacen('(', "\u{1}(", 1),
        };
        self.expands_early = before;
        format!("\u{4}define\u{1}{name}{body}\u{3}")
    }

    fn number_for_macro(&mut self) -> String {
        self.random.below(5).to_string()
    }

    /// A function-like macro of the prelude; the number of its parameters goes with its name.
    fn function(&mut self, name: &str) -> String {
        let (parameters, names): (&str, &[&str]) = match name {
            "F0" => ("(x)", &["x"]),
            "F1" => ("(x,\u{2}y)", &["x", "y"]),
            "F2" => ("(\u{2}x,y,\u{2}z\u{2})", &["x", "y", "z"]),
            "V0" => ("(...)", &["__VA_ARGS__"]),
            _ => match self.random.percent(50) {
                true => ("(x,\u{2}...)", &["x", "__VA_ARGS__"]),
                false => ("(x,\u{2}rest...)", &["x", "rest"]),
            },
        };
        let mut body = String::from("(");
        for (at, parameter) in names.iter().enumerate() {
            let operator = self
                .random
                .pick(&["+", "*", "-", "==", "<", "&&", "||", "^"]);
            if at > 0 {
                body += operator;
            }
            body += &match (*parameter, self.random.below(5)) {
                ("__VA_ARGS__" | "rest", 0) => format!("(1,\u{2}##{parameter})"),
                ("__VA_ARGS__", 1) if self.traits.cxx => "(1 __VA_OPT__(+) __VA_ARGS__)".into(),
                ("__VA_ARGS__", 2) if self.traits.cxx => "(__VA_OPT__(2 +) 1)".into(),
                ("__VA_ARGS__" | "rest", _) => format!("(\u{2}{parameter}\u{2})"),
                (parameter, 0) if name != "F0" => format!("F0(\u{2}{parameter})"),
                (parameter, _) => format!("(\u{2}{parameter}\u{2})"),
            };
        }
        format!("\u{4}define\u{1}{name}{parameters}\u{2}{body})\u{3}")
    }

    /// A line or two that change macros.
    pub(super) fn definition(&mut self) -> String {
        match self.random.below(10) {
            0..=2 => {
                let name = format!("I{}", self.random.below(6));
                self.object(&name)
            }
            3 => format!(
                "\u{4}undef\u{1}{}\u{3}",
                self.random
                    .pick(&["I0", "I1", "I2", "I3", "I4", "I5", "G0", "G1", "unix", "J0"])
            ),
            4 if self.has_prelude => {
                let name = self.random.pick(&["F0", "F1", "F2", "V0", "V1"]);
                format!("\u{4}undef\u{1}{name}\u{3}{}", self.function(name))
            }
            5 => format!("\u{4}define\u{1}J{}\u{3}", self.random.below(4)),
            6 => self.stack(),
            7 => format!("\u{4}define\u{1}G{}\u{1}1\u{3}", self.random.below(4)),
            8 if !self.traits.clang => self.assertion(),
            _ => {
                let name = format!("I{}", self.random.below(6));
                format!("\u{4}undef\u{1}{name}\u{3}{}", self.object(&name))
            }
        }
    }

    fn assertion(&mut self) -> String {
        self.random
            .pick(&[
                "\u{4}assert\u{1}mine\u{2}(\u{2}one\u{2})\u{3}",
                "\u{4}assert mine(two)\u{3}",
                "\u{4}unassert\u{1}mine\u{3}",
            ])
            .into()
    }

    /// `push_macro` and `pop_macro`, as a pragma or an operator.
    fn stack(&mut self) -> String {
        let name = format!("I{}", self.random.below(6));
        let push = self.pragma(&format!("push_macro(\"{name}\")"));
        let pop = self.pragma(&format!("pop_macro(\"{name}\")"));
        match self.random.below(4) {
            0 => push,
            1 => pop,
            2 => format!("{push}\u{4}undef\u{1}{name}\u{3}{}", self.group()),
            _ => format!("{push}{}{}{pop}", self.object(&name), self.group()),
        }
    }

    fn pragma(&mut self, text: &str) -> String {
        match self.random.below(150) {
            0 => format!("_Pragma({text:?})\u{5}"),
            _ => format!("\u{4}pragma\u{1}{text}\u{3}"),
        }
    }

    /// `-D` and `-U`.
    pub(super) fn command_macros(&mut self, options: &mut Vec<Vec<String>>) {
        for _ in 0..self.random.below(5) {
            let number = self.random.below(4);
            let value = self.random.below(3);
            let word = match self.random.below(12) {
                0 => format!("-DJ{number}"),
                1 => format!("-DI{number}={value}"),
                2 => format!("-UI{number}"),
                3 => format!("-DK{number}={value}"),
                4 => format!("-DG{number}"),
                5 => format!("-DP{number}(x)=x+{value}"),
                6 => format!("-DI{number}=(I{value} + 1)"),
                7 => "-U__GNUC__".into(),
                8 => format!("-UJ{number}"),
                9 => format!("-DK{number}= {value} \nnothing"),
                10 => "-Uunix".into(),
                _ => format!("-DK{number}="),
            };
            match self.random.percent(25) {
                true => options.push(vec![word[..2].into(), word[2..].into()]),
                false => options.push(vec![word]),
            }
        }
        if !self.traits.clang && self.random.percent(5) {
            let word = self.random.pick(&["-Amine=one", "-A-system", "-A-mine"]);
            options.push(vec![word.into()]);
        }
    }
}
