//! Text between directives: what looks like a directive and is none, literals that hide things, calls over lines.

use super::Generator;

impl Generator<'_> {
    /// A few lines of text; a leaf behind them shows that the lexer came through.
    pub(super) fn text(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.random.between(1, 3) {
            text += &self.line();
        }
        text + &self.show()
    }

    fn line(&mut self) -> String {
        let leaf = self.leaf();
        match self.random.below(20) {
            0 => format!("\"/*\" '/*' '\"' \"\\\"\" \u{5}\u{4}include\u{2}<{leaf}>\u{3}"),
            1 => format!("/* \u{5}\u{4}include <{leaf}>\u{5} */\u{5}"),
            2 => format!("int x; /* a *\\\u{5}/ \u{4}include <{leaf}>\u{5}"),
            3 if self.has_prelude => {
                format!("ID(\u{5}1 + (2,\u{5}3)\u{5})\u{5}\u{4}include <{leaf}>\u{3}")
            }
            4 if self.has_prelude => {
                format!("F1(a,\u{5}\"x)\"\u{5})\u{5}\u{4}include <{leaf}>\u{3}")
            }
            5 | 6 if self.has_prelude && !self.traits.clang => {
                let name = self.random.pick(&["K0", "K1", "I0", "J1"]);
                format!(
                    "ID(a\u{5}\u{4}if {}\u{3}\u{4}undef {name}\u{3}\u{4}else\u{3}\u{4}define {name} 1\u{3}\u{4}endif\u{3})\u{5}\
                     \u{4}ifdef {name}\u{3}\u{4}include <{leaf}>\u{3}\u{4}endif\u{3}",
                    self.number_token()
                )
            }
            7 | 8 => self.raw_string(),
            9 if self.traits.separators => {
                format!("1'000'000 + 0x1'F\u{5}\u{4}include <{leaf}>\u{3}")
            }
            10 => format!("it's a lone quote\u{5}\u{4}include <{leaf}>\u{3}"),
            11 => format!("a lone \" quote\u{5}\u{4}include <{leaf}>\u{3}"),
            12 if self.traits.line_comments => {
                format!("// comment \\\u{5}\u{4}include <{leaf}>\u{5}")
            }
            13 if self.traits.line_comments => {
                format!("// it's /* \u{5}\u{4}include <{leaf}>\u{3}")
            }
            14 => format!("4 //**/ 2\u{5}; \u{4}include <{leaf}>\u{5}/**/\u{5}"),
            15 => format!("L'x' u'\"' U\"'\" u8\"/*\" L\"//\"\u{5}\u{4}include <{leaf}>\u{3}"),
            16 if self.traits.odd_names => {
                format!(
                    "\u{4}define \u{e9}t\u{e9} 1\u{3}\u{4}if \\u00e9t\\u00e9\u{3}\u{4}include <{leaf}>\u{3}\u{4}endif\u{3}"
                )
            }
            17 => format!("\u{b}\u{c} ;\u{0}\u{5}\u{4}include <{leaf}>\u{3}"),
            18 => format!("asm(\"#include <{leaf}>\");\u{5}@ ` $ \\ x\u{5}"),
            _ => format!("x\\\u{5}\u{4}include <{leaf}>\u{5}"),
        }
    }

    /// A raw string, or what would be one in another dialect.
    pub(super) fn raw_string(&mut self) -> String {
        let leaf = self.leaf();
        if !self.traits.raw_strings {
            // A macro's name and a string, or the beginning of one that never ends.
            return match self.random.below(3) {
                0 => "R x\u{5}".into(),
                1 => format!("R\"x(/* )x\"\u{5}\u{4}include <{leaf}>\u{3}"),
                _ => format!("R\"(\u{5}\u{4}include <{leaf}>\u{3})\"\u{5}"),
            };
        }
        let prefix = self.random.pick(&["R", "u8R", "uR", "UR", "LR"]);
        let delimiter = self.random.pick(&["", "x", "*/", "__", "\"?"]);
        let delimiter = delimiter.trim_end_matches('?').trim_matches('"');
        let body = self.random.pick(&[
            "#endif\u{5}#include <%>\u{5}",
            "\" )\" '\u{5}#if 0\u{5}",
            "\\\u{5}#include <%>\u{5}",
            "/* ",
            "??/\u{5}// ",
            "one line",
        ]);
        let body = body.replace('%', &leaf);
        let shown = self.show();
        format!("const char *s = \u{7}{prefix}\"{delimiter}(\u{7}{body}){delimiter}\";\u{5}{shown}")
    }
}
