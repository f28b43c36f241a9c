//! The headers of the tree: guards of all kinds, `#pragma once`, and what is almost a guard.

use super::super::case::{Content, Entry};
use super::Generator;

impl Generator<'_> {
    /// Gives every header that is still empty its text.
    pub(super) fn fill_headers(&mut self, tree: &mut [Entry]) {
        for entry in tree {
            if entry.content == Content::File(Vec::new()) {
                let text = self.header_text();
                let bytes = super::ink::write(&text, self.random, &self.traits);
                entry.content = Content::File(bytes);
            }
        }
    }

    fn header_text(&mut self) -> String {
        let mut body = self.show();
        for _ in 0..self.random.below(4) {
            body += &self.piece();
        }
        let guard = self.guard_name();
        // A group that shows whether the header was read before, or by whom.
        if self.random.percent(40) {
            let seen = format!("SEEN{}", self.number());
            let (first, second) = (self.show(), self.show());
            body += &format!(
                "\u{4}ifndef {seen}\u{3}\u{4}define {seen}\u{3}{first}\u{4}else\u{3}{second}\u{4}endif\u{3}"
            );
        }
        let shown = self.show();
        match self.random.below(18) {
            0..=3 => format!(
                "\u{4}ifndef\u{1}{guard}\u{3}\u{4}define\u{1}{guard}\u{3}{body}\u{4}endif\u{3}"
            ),
            4 => format!(
                "\u{4}if\u{1}!defined\u{1}{guard}\u{3}\u{4}define\u{1}{guard}\u{3}{body}\u{4}endif\u{3}"
            ),
            5 => format!(
                "\u{4}if\u{1}!\u{2}defined(\u{2}{guard}\u{2})\u{3}\u{4}define {guard}\u{3}{body}\u{4}endif\u{3}"
            ),
            6 | 7 => format!("\u{4}pragma\u{1}once\u{3}{body}"),
            8 => format!("{body}\u{4}pragma once\u{3}"),
            9 => {
                let condition = self.expression(1);
                format!("\u{4}if {condition}\u{3}\u{4}pragma once\u{3}\u{4}endif\u{3}{body}")
            }
            10 if self.random.percent(8) => format!("_Pragma(\"once\")\u{5}{body}"),
            // Almost guards.
            11 => format!(
                "\u{4}ifndef {guard}\u{3}\u{4}define {guard}\u{3}{body}\u{4}endif\u{3}{shown}"
            ),
            12 => format!(
                "{shown}\u{4}ifndef {guard}\u{3}\u{4}define {guard}\u{3}{body}\u{4}endif\u{3}"
            ),
            13 => format!(
                "\u{4}ifndef {guard}\u{3}\u{4}define {guard}\u{3}{body}\u{4}else\u{3}{shown}\u{4}endif\u{3}"
            ),
            14 => format!("\u{4}ifndef {guard}\u{3}{body}\u{4}endif\u{3}\u{4}define {guard}\u{3}"),
            15 => format!(
                "/* c */\u{4}ifndef {guard} // x\u{5}\u{4}define {guard}\u{3}{body}\u{4}endif\u{3}/* end */\u{5}"
            ),
            16 => format!(
                "\u{4}if !defined({guard}) || defined(J0)\u{3}\u{4}define {guard}\u{3}{body}\u{4}endif\u{3}"
            ),
            _ => body,
        }
    }

    fn guard_name(&mut self) -> String {
        match self.random.below(4) {
            // Shared with others, from -D, or undefined somewhere.
            0 => format!("G{}", self.random.below(4)),
            _ => format!("GUARD{}_H", self.number()),
        }
    }
}
