//! Marks become bytes: blanks as blanks, comments or splices, `#` as digraph or trigraph, line ends of all kinds.

use super::super::random::Random;
use super::super::setup::Traits;

/// How one file is written.
struct Ink<'r> {
    random: &'r mut Random,
    traits: Traits,
    /// How many of a hundred blanks are odd.
    oddity: usize,
    /// A splice stands before one of so many characters; 0 for none.
    splices: usize,
    plain: bool,
    end: &'static str,
}

/// Writes a text: `\u{1}` is a blank, `\u{2}` one that may be left out, `\u{3}` the end of a directive's line, `\u{4}` its
/// `#`, `\u{5}` the end of a line that nothing may be added to, `\u{6}` a byte that is not UTF-8; between two `\u{7}` nothing is spliced.
pub fn write(text: &str, random: &mut Random, traits: &Traits) -> Vec<u8> {
    let oddity = match random.below(4) {
        0 => 30,
        1 => 5,
        _ => 0,
    };
    let splices = match random.below(12) {
        0 => 12,
        1 => 60,
        _ => 0,
    };
    let end = match random.below(25) {
        0 => "\r\n",
        // clang and gcc 12 both end lines there.
        1 if !traits.clang => "\r",
        _ => "\n",
    };
    let mut ink = Ink {
        random,
        traits: *traits,
        oddity,
        splices,
        plain: false,
        end,
    };
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    if ink.random.percent(2) {
        out.extend(b"\xEF\xBB\xBF");
    }
    for character in text.chars() {
        ink.write(character, &mut out);
    }
    match ink.random.below(40) {
        0 => drop(out.pop()),
        1 => out.extend(b"\\"),
        2 => out.extend(b"\\\n"),
        3 if ink.traits.line_comments => out.extend(b"// last line"),
        _ => {}
    }
    out
}

impl Ink<'_> {
    fn write(&mut self, character: char, out: &mut Vec<u8>) {
        match character {
            '\u{1}' => {
                let blank = self.blank();
                out.extend(blank.as_bytes());
            }
            '\u{2}' => {
                if self.random.percent(25) {
                    let blank = self.blank();
                    out.extend(blank.as_bytes());
                }
            }
            '\u{3}' => {
                let end = self.directive_end();
                out.extend(end.as_bytes());
                out.extend(self.end.as_bytes());
            }
            '\u{4}' => {
                let hash = self.hash();
                out.extend(hash.as_bytes());
            }
            '\u{5}' | '\n' => out.extend(self.end.as_bytes()),
            '\u{6}' => out.push(0xFF),
            '\u{7}' => self.plain = !self.plain,
            _ => {
                if self.splices > 0 && !self.plain && self.random.below(self.splices) == 0 {
                    let splice = self.splice();
                    out.extend(splice.as_bytes());
                }
                let mut buffer = [0; 4];
                out.extend(character.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }

    fn splice(&mut self) -> String {
        let start = match self.traits.trigraphs && self.random.percent(20) {
            true => "??/",
            false => "\\",
        };
        let blanks = ["", "", "", " ", "\t", " \t "][self.random.below(6)];
        format!("{start}{blanks}{}", self.end)
    }

    fn blank(&mut self) -> String {
        if !self.random.percent(self.oddity) {
            return " ".into();
        }
        match self.random.below(9) {
            0 => "\t".into(),
            1 => "/**/".into(),
            2 => "/* it's \"x */".into(),
            3 => format!(" /* a{}#endif\n */ ", self.end),
            4 => format!(" {}", self.splice()),
            5 => format!("{} ", self.splice()),
            6 => "   ".into(),
            7 => "/*/ */".into(),
            _ => format!("/{}* x *{}/", self.splice(), self.splice()),
        }
    }

    fn hash(&mut self) -> String {
        if !self.random.percent(self.oddity) {
            return "#".into();
        }
        match self.random.below(8) {
            0 => " #".into(),
            1 => "# ".into(),
            2 => "/* x */#/* y */".into(),
            3 if self.traits.digraphs => "%:".into(),
            4 if self.traits.trigraphs => "??=".into(),
            5 => "\u{c}#".into(),
            6 => "/*\n*/#".into(),
            _ => "\t#\t".into(),
        }
    }

    fn directive_end(&mut self) -> &'static str {
        if !self.random.percent(self.oddity) {
            return "";
        }
        match self.random.below(6) {
            0 if self.traits.line_comments => "// x",
            1 if self.traits.line_comments => " //* x",
            2 => "/* x */",
            3 => " /* x\n#if */",
            4 => "\t",
            _ => " ",
        }
    }
}
