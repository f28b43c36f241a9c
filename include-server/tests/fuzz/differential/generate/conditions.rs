//! Conditional groups: every form of `#if`, nested, with leaves that show which branch was taken, and junk where it is skipped.

use super::Generator;

impl Generator<'_> {
    /// A group with a leaf, and perhaps more, in each branch.
    pub(super) fn group(&mut self) -> String {
        let opening = self.opening();
        let mut text = format!("{opening}{}", self.branch());
        for _ in 0..[0, 0, 0, 1, 2][self.random.below(5)] {
            text += &self.alternative();
            text += &self.branch();
        }
        if self.random.percent(75) {
            text += "\u{4}else\u{3}";
            text += &self.branch();
        }
        text + "\u{4}endif\u{3}"
    }

    fn opening(&mut self) -> String {
        match self.random.below(10) {
            0 => format!("\u{4}ifdef\u{1}{}\u{3}", self.macro_name()),
            1 => format!("\u{4}ifndef\u{1}{}\u{3}", self.macro_name()),
            2 => format!("\u{4}if\u{2}({})\u{3}", self.expression(2)),
            _ => {
                let depth = self.random.between(0, 4);
                format!("\u{4}if\u{1}{}\u{3}", self.expression(depth))
            }
        }
    }

    fn alternative(&mut self) -> String {
        match self.random.below(6) {
            0 if self.traits.elifdef => format!("\u{4}elifdef\u{1}{}\u{3}", self.macro_name()),
            1 if self.traits.elifdef => format!("\u{4}elifndef\u{1}{}\u{3}", self.macro_name()),
            _ => format!("\u{4}elif\u{1}{}\u{3}", self.expression(2)),
        }
    }

    fn branch(&mut self) -> String {
        let mut text = self.show();
        if self.depth < 3 && self.random.percent(25) {
            self.depth += 1;
            for _ in 0..self.random.between(1, 3) {
                text += &self.piece();
            }
            self.depth -= 1;
        }
        text
    }

    /// A group that is never taken, full of what would be wrong if it were.
    pub(super) fn skipped(&mut self) -> String {
        let mut text = String::from(self.random.pick(&[
            "\u{4}if\u{1}0\u{3}",
            "\u{4}ifdef\u{1}NEVER_DEFINED\u{3}",
            "\u{4}if\u{1}1\u{3}\u{4}else\u{3}",
            "\u{4}if\u{1}1\u{3}\u{4}elif\u{1}garbage (\u{3}",
        ]));
        for _ in 0..self.random.between(1, 6) {
            text += &self.junk();
        }
        if self.random.percent(20) {
            // Whether the group ended where it should shows here.
            text += &self.show();
        }
        text += "\u{4}endif\u{3}";
        text + &self.show()
    }

    fn junk(&mut self) -> String {
        let leaf = self.leaf();
        match self.random.below(16) {
            0 => "it's a \"quote\u{5}".into(),
            1 => "\u{4}error never\u{3}".into(),
            2 => "\u{4}nonsense 'x\u{5}".into(),
            3 => format!("\u{4}include\u{2}<nothing.h>\u{3}\u{4}include\u{2}\"{leaf}\"\u{3}"),
            4 => "\u{4}if (((\u{3}\u{4}else\u{3}\u{4}endif\u{3}".into(),
            5 => format!("\u{4}if 1\u{3}\u{4}include <{leaf}>\u{3}\u{4}elif +\u{3}\u{4}endif\u{3}"),
            6 => "/* \u{5}\u{4}endif\u{5} */\u{5}".into(),
            7 => "\u{4}define I0(\u{5}".into(),
            8 => "\u{4}\u{5}\u{4} 33 \"x\" 1\u{5}".into(),
            9 => "\u{4}ifdef\u{3}\u{4}endif\u{3}".into(),
            10 => "\"/*\"\u{5}'/*'\u{5}".into(),
            11 => self.raw_string(),
            12 => "// comment \\\u{5}\u{4}endif\u{5}".into(),
            13 if self.traits.line_comments => "text // /*\u{5}".into(),
            14 => "\u{4}ifndef X /*\u{5}*/ junk\u{3}\u{4}endif junk\u{3}".into(),
            _ => "\u{4}pragma once\u{3}\u{4}undef I0\u{3}\u{4}line 7\u{3}".into(),
        }
    }
}
