//! Trees of headers that several compiles share and that mean something else in each: what a header does depends on macros
//! that were defined far away, it changes others, and it is read again and again.

use super::super::case::{Case, Content, Entry};
use super::super::setup::Setup;
use super::Generator;

/// How a header is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With an include guard, or what is almost one.
    Guarded,
    /// With `#pragma once`.
    Once,
    /// With nothing: read each time.
    Bare,
    /// Goes on to the next of that name.
    Chain,
    /// Made for what macros ask of it.
    Parameter,
    /// Includes itself some times.
    Iterating,
}

/// A header's name and what all files of that name have in common.
#[derive(Clone)]
struct Header {
    name: String,
    /// Headers include those of higher levels only, and themselves some times, so that there is an end.
    level: usize,
    kind: Kind,
    /// How many files are entered at most where it is included.
    cost: usize,
}

/// What one header may cost.
const COST: usize = 200;
/// What a source may cost.
const SOURCE_COST: usize = 2000;
/// What a computed include may cost, more or less.
const COMPUTED_COST: usize = 10;

impl Header {
    /// Its name as a part of macros' names.
    fn word(&self) -> String {
        let letters = self.name.chars().filter(char::is_ascii_alphanumeric);
        letters.collect::<String>().to_ascii_uppercase()
    }
}

/// The headers of a tree.
struct Forest {
    headers: Vec<Header>,
    levels: usize,
}

impl Generator<'_> {
    /// A tree and compiles in it.
    pub(super) fn forest(&mut self, setup: &Setup, other: &Setup) -> Case {
        let all = ["d0", "d1", "d2", "e"];
        let directories = &all[..self.random.between(1, all.len())];
        self.directories = directories.iter().map(|name| name.to_string()).collect();
        let mut forest = self.plan_forest();
        self.headers = forest
            .headers
            .iter()
            .map(|header| header.name.clone())
            .collect();
        let mut case = Case {
            setup: setup.clone(),
            options: self.forest_options(),
            tree: Vec::new(),
            relatives: Vec::new(),
        };
        // What a header costs depends on those of higher levels.
        for at in (0..forest.headers.len()).rev() {
            let header = forest.headers[at].clone();
            self.allowance = COST;
            let before = self.allowance;
            self.place_header(&forest, &header, &mut case.tree);
            let times = match header.kind {
                Kind::Iterating => 3,
                _ => 1,
            };
            forest.headers[at].cost = times * (6 + before - self.allowance);
        }
        if self.random.percent(15) {
            let header = self.headers[self.random.below(self.headers.len())].clone();
            let option = self.random.pick(&["-include", "-imacros"]);
            case.options.insert(0, vec![option.into(), header]);
        }
        self.allowance = SOURCE_COST;
        let count = self.random.between(4, 14);
        let pieces: Vec<String> = (0..count).map(|_| self.item(&forest, 0)).collect();
        let prelude = self.forest_prelude(&forest);
        let text = prelude.clone() + &pieces.concat();
        self.file(&mut case.tree, setup.language.source(), &text);
        let mut preludes = vec![prelude];
        preludes.extend((0..2).map(|_| self.forest_prelude(&forest)));
        self.relatives(&mut case, other, &preludes, &pieces);
        case
    }

    fn plan_forest(&mut self) -> Forest {
        let levels = self.random.between(2, 6);
        let mut headers = Vec::new();
        for level in 1..=levels {
            for number in 0..self.random.between(1, 6) {
                let letter = char::from(b'a' + number as u8);
                let name = match self.random.below(7) {
                    0 => format!("s/m{level}{letter}.h"),
                    _ => format!("m{level}{letter}.h"),
                };
                let kind = match self.random.below(12) {
                    0..=3 => Kind::Guarded,
                    4 | 5 => Kind::Once,
                    6 | 7 => Kind::Bare,
                    8 => Kind::Chain,
                    9 => Kind::Iterating,
                    _ => Kind::Parameter,
                };
                headers.push(Header {
                    name,
                    level,
                    kind,
                    cost: 0,
                });
            }
        }
        Forest { headers, levels }
    }

    fn forest_options(&mut self) -> Vec<Vec<String>> {
        let mut options = Vec::new();
        let mut directories = self.directories.clone();
        self.random.shuffle(&mut directories);
        for directory in directories {
            let option = match self.random.below(9) {
                0 => "-isystem",
                1 => "-iquote",
                2 => "-idirafter",
                _ => "-I",
            };
            options.push(vec![option.into(), directory]);
        }
        if self.random.percent(10) {
            options.push(vec!["-I.".into()]);
        }
        for _ in 0..self.random.below(3) {
            let word = self.command_macro();
            options.push(vec![word]);
        }
        options.push(vec!["-idirafter".into(), "z".into()]);
        options.push(vec!["-idirafter".into(), "leaf".into()]);
        options
    }

    /// `-D` or `-U` of a name that a forest's headers ask for.
    pub(super) fn command_macro(&mut self) -> String {
        let number = self.random.below(6);
        let value = self.random.below(4);
        match self.random.below(6) {
            0 => format!("-DE{number}"),
            1 => format!("-UM{number}"),
            2 => format!("-DD{number}={value}"),
            3 => format!("-DFN(x)=x+{value}"),
            _ => format!("-DM{number}={value}"),
        }
    }

    /// What the headers may rely on; differs from compile to compile.
    fn forest_prelude(&mut self, forest: &Forest) -> String {
        let mut text = String::from(
            "\u{4}define\u{1}EMPTY\u{3}\u{4}define\u{1}ID(x)\u{2}x\u{3}\u{4}define\u{1}STR_(x)\u{2}#x\u{3}\
             \u{4}define\u{1}STR(x)\u{2}STR_(x)\u{3}\u{4}define\u{1}CAT(a,\u{2}b)\u{2}a##b\u{3}\
             \u{4}define\u{1}XCAT(a,\u{2}b)\u{2}CAT(a,b)\u{3}",
        );
        for _ in 0..self.random.between(2, 6) {
            text += &self.setting(forest);
        }
        text
    }

    /// A line or two that change macros.
    fn setting(&mut self, forest: &Forest) -> String {
        let number = self.random.below(6);
        let value = self.random.below(4);
        let another = self.random.below(6);
        let (name, line) = match self.random.below(14) {
            0..=3 => (format!("M{number}"), format!("M{number}\u{1}{value}")),
            4 => (
                format!("M{number}"),
                format!("M{number}\u{1}(M{another}+1)"),
            ),
            5 => (format!("M{number}"), format!("M{number}\u{1}M{another}")),
            6 => ("FN".into(), format!("FN(x)\u{2}((x)\u{2}+\u{2}{value})")),
            7 => ("FN".into(), format!("FN(x)\u{2}((x)==M{another})")),
            8 | 9 => (format!("D{number}"), format!("D{number}\u{1}{value}")),
            10 => (format!("E{number}"), format!("E{number}")),
            11 | 12 => {
                let number = number % 3;
                let target = self.target(forest);
                (format!("H{number}"), format!("H{number}\u{1}{target}"))
            }
            _ => return format!("\u{4}undef\u{1}M{number}\u{3}"),
        };
        match self.random.below(5) {
            0 => format!("\u{4}ifndef {name}\u{3}\u{4}define\u{1}{line}\u{3}\u{4}endif\u{3}"),
            _ => format!("\u{4}undef {name}\u{3}\u{4}define\u{1}{line}\u{3}"),
        }
    }

    /// What an include that is computed may name: a leaf, or a header that includes nothing.
    fn target(&mut self, forest: &Forest) -> String {
        let last = forest.headers.iter().rev();
        let last: Vec<&Header> = last
            .take_while(|header| header.level == forest.levels)
            .collect();
        let name = match self.random.below(3) {
            0 => self.leaf(),
            _ => last[self.random.below(last.len())].name.clone(),
        };
        match self.random.below(4) {
            0 => format!("<{name}>"),
            1 => format!("STR({name})"),
            _ => format!("\"{name}\""),
        }
    }

    /// Puts the files of one name into the tree.
    fn place_header(&mut self, forest: &Forest, header: &Header, tree: &mut Vec<Entry>) {
        let last = format!("z/{}", header.name);
        let text = self.forest_header(forest, header);
        self.file(tree, &last, &text);
        let mut places = self.directories.clone();
        self.random.shuffle(&mut places);
        places.push(".".into());
        let chance = match header.kind {
            Kind::Chain => 70,
            _ => 25,
        };
        for place in places {
            if !self.random.percent(chance) {
                continue;
            }
            let name = format!("{place}/{}", header.name);
            let name = name.trim_start_matches("./").to_string();
            match self.random.below(8) {
                0 | 1 => {
                    // The same text in another file.
                    let twin = tree.iter().find(|entry| entry.name == last);
                    let content = twin.map(|entry| entry.content.clone());
                    tree.extend(content.map(|content| Entry { name, content }));
                }
                2 => tree.push(Entry {
                    content: Content::HardLink(last.clone()),
                    name,
                }),
                3 => {
                    let up = "../".repeat(name.matches('/').count());
                    tree.push(Entry {
                        content: Content::Link(format!("{up}{last}")),
                        name,
                    });
                }
                _ => {
                    let text = self.forest_header(forest, header);
                    self.file(tree, &name, &text);
                }
            }
        }
    }

    fn forest_header(&mut self, forest: &Forest, header: &Header) -> String {
        let mut body = String::new();
        for _ in 0..self.random.between(1, 5) {
            body += &self.item(forest, header.level);
        }
        let word = header.word();
        let shown = self.show();
        match header.kind {
            Kind::Bare => shown + &body,
            Kind::Guarded => self.guarded(&format!("G_{word}"), &(shown + &body)),
            Kind::Once => match self.random.below(8) {
                0 => format!(
                    "\u{4}if M{}\u{3}\u{4}pragma once\u{3}\u{4}endif\u{3}{body}",
                    self.random.below(6)
                ),
                1 => format!("{body}\u{4}pragma once\u{3}"),
                _ => format!("\u{4}pragma\u{1}once\u{3}{shown}{body}"),
            },
            Kind::Chain => {
                let (open, close) = match self.random.percent(75) {
                    true => ('<', '>'),
                    false => ('"', '"'),
                };
                let name = format!("{open}{}{close}", header.name);
                let next = format!(
                    "\u{4}if __has_include_next({name})\u{3}\u{4}include_next {name}\u{3}\u{4}endif\u{3}"
                );
                match self.random.percent(50) {
                    true => format!("{next}{shown}{body}"),
                    false => format!("{shown}{body}{next}"),
                }
            }
            Kind::Parameter => self.parameter_header(&body),
            Kind::Iterating => {
                let step = |from: usize| {
                    format!(
                        "\u{4}undef IT_{word}\u{3}\u{4}define IT_{word} {}\u{3}",
                        from + 1
                    )
                };
                let again = match self.random.below(3) {
                    0 => "\u{4}include __FILE_NAME__\u{3}".into(),
                    1 => format!("\u{4}include \"{}\"\u{3}", header.name),
                    _ => format!("\u{4}include <{}>\u{3}", header.name),
                };
                format!(
                    "\u{4}ifndef IT_{word}\u{3}{}{again}{shown}\u{4}elif IT_{word} < 2\u{3}\u{4}if IT_{word} == 0\u{3}{}\
                     \u{4}else\u{3}{}\u{4}endif\u{3}{body}{again}\u{4}else\u{3}{}\u{4}undef IT_{word}\u{3}\u{4}endif\u{3}",
                    step(0),
                    step(0),
                    step(1),
                    self.show(),
                )
            }
        }
    }

    fn guarded(&mut self, guard: &str, body: &str) -> String {
        let condition = match self.random.below(8) {
            0 => format!("\u{4}if\u{1}!defined\u{2}({guard})\u{3}"),
            1 => format!(
                "\u{4}if !defined({guard}) || M{}\u{3}",
                self.random.below(6)
            ),
            2 => format!(
                "\u{4}if !defined({guard}) && !defined M{}\u{3}",
                self.random.below(6)
            ),
            _ => format!("\u{4}ifndef\u{1}{guard}\u{3}"),
        };
        let define = format!("\u{4}define\u{1}{guard}\u{3}");
        let shown = self.show();
        match self.random.below(10) {
            0 => format!("{condition}{body}{define}\u{4}endif\u{3}"),
            1 => format!("{condition}{define}{body}\u{4}else\u{3}{shown}\u{4}endif\u{3}"),
            2 => format!("{condition}{define}{body}\u{4}endif\u{3}{shown}"),
            _ => format!("{condition}{define}{body}\u{4}endif\u{3}"),
        }
    }

    fn parameter_header(&mut self, body: &str) -> String {
        let shown: Vec<String> = (0..4).map(|_| self.show()).collect();
        let macros = match self.random.below(3) {
            0 => "X(a)\u{5}X(b) X\u{5}(c)\u{5}",
            1 => "\u{4}ifdef X\u{3}X(a)\u{5}\u{4}undef X\u{3}\u{4}endif\u{3}",
            _ => "",
        };
        format!(
            "\u{4}if\u{1}!defined PARAM\u{3}{}\u{4}elif PARAM == 1\u{3}{}\u{4}elif PARAM\u{3}{}\u{4}else\u{3}{}\u{4}endif\u{3}\
             {macros}{body}",
            shown[0], shown[1], shown[2], shown[3]
        )
    }

    /// A header of a higher level.
    fn deeper(&mut self, forest: &Forest, level: usize) -> Option<Header> {
        let deeper: Vec<&Header> = forest
            .headers
            .iter()
            .filter(|header| header.level > level && header.cost <= self.allowance)
            .collect();
        (!deeper.is_empty()).then(|| deeper[self.random.below(deeper.len())].clone())
    }

    fn include_of(&mut self, header: &Header) -> String {
        self.allowance = self.allowance.saturating_sub(header.cost);
        let directive = match self.random.below(16) {
            0 if !self.traits.assembler => "import",
            _ => "include",
        };
        let name = match self.random.below(30) {
            0 => format!("../z/{}", header.name),
            1 => format!("z/{}", header.name),
            _ => header.name.clone(),
        };
        match self.random.below(2) {
            _ if name != header.name => {
                format!(
                    "\u{4}if __has_include(\"{name}\")\u{3}\u{4}include \"{name}\"\u{3}\u{4}endif\u{3}"
                )
            }
            0 => format!("\u{4}{directive}\u{2}\"{name}\"\u{3}"),
            _ => format!("\u{4}{directive}\u{2}<{name}>\u{3}"),
        }
    }

    fn condition(&mut self) -> String {
        let number = self.random.below(6);
        let another = self.random.below(6);
        let value = self.random.below(4);
        let condition = match self.random.below(10) {
            0 | 1 => format!("if M{number} > {value}"),
            2 => format!("ifdef M{number}"),
            3 => format!("ifndef E{number}"),
            4 => format!("if defined(M{number}) && M{another}"),
            5 => format!("if defined FN || D{number}"),
            6 => format!("if CAT(M,{number}) == M{another}"),
            7 => format!("if defined(FN) ? ID(M{number}) : D{another}"),
            8 => format!("if M{number} == {value} || D{another}"),
            _ => format!("if !M{number}"),
        };
        format!("\u{4}{condition}\u{3}")
    }

    /// Something that a file of a level does.
    fn item(&mut self, forest: &Forest, level: usize) -> String {
        let deeper = self.deeper(forest, level);
        match (self.random.below(26), deeper) {
            (0..=3, _) => format!(
                "{}{}\u{4}else\u{3}{}\u{4}endif\u{3}",
                self.condition(),
                self.show(),
                self.show()
            ),
            (4..=6, _) => self.setting(forest),
            (7..=13, Some(header)) => self.include_of(&header),
            (14, Some(header)) => format!(
                "{}{}\u{4}endif\u{3}",
                self.condition(),
                self.include_of(&header)
            ),
            (15, Some(header)) => self.parameters(&header),
            (16, Some(header)) => {
                let guard = format!("G_{}", header.word());
                let undefine = format!("\u{4}undef {guard}\u{3}");
                let define = format!("\u{4}define {guard}\u{3}");
                let change = match self.random.percent(70) {
                    true => undefine,
                    false => define,
                };
                change + &self.include_of(&header)
            }
            (17, Some(header)) => self.stacked(forest, &header),
            (18, Some(_)) if self.allowance > COMPUTED_COST => {
                self.allowance -= COMPUTED_COST;
                let name = format!("H{}", self.random.below(3));
                format!("\u{4}ifdef {name}\u{3}\u{4}include\u{1}{name}\u{3}\u{4}endif\u{3}")
            }
            (19, _) => {
                let name = format!("D{}", self.random.below(6));
                format!(
                    "\u{4}ifdef {name}\u{3}\u{4}include\u{1}STR(XCAT(l,{name}).h)\u{3}\u{4}endif\u{3}"
                )
            }
            (20, _) => {
                let name = self.include_name();
                format!(
                    "\u{4}if __has_include(<{name}>)\u{3}{}\u{4}endif\u{3}",
                    self.show()
                )
            }
            (21, _) => self.oddity(),
            (22, _) => {
                let seen = format!("SEEN{}", self.number());
                format!(
                    "\u{4}ifndef {seen}\u{3}\u{4}define {seen}\u{3}{}\u{4}else\u{3}{}\u{4}endif\u{3}",
                    self.show(),
                    self.show()
                )
            }
            (_, _) => self.show(),
        }
    }

    /// A header that macros are prepared for, perhaps twice.
    fn parameters(&mut self, header: &Header) -> String {
        let mut text = String::new();
        for _ in 0..self.random.between(1, 2) {
            text += &match self.random.percent(50) {
                true => "\u{4}undef X\u{3}\u{4}define X(x) int x;\u{3}".into(),
                false => format!(
                    "\u{4}undef PARAM\u{3}\u{4}define PARAM {}\u{3}",
                    self.random.below(3)
                ),
            };
            text += &self.include_of(header);
        }
        text + self.random.pick(&["\u{4}undef PARAM\u{3}", ""])
    }

    /// A header between `push_macro` and `pop_macro`.
    fn stacked(&mut self, forest: &Forest, header: &Header) -> String {
        let name = format!("M{}", self.random.below(6));
        let push = format!("\u{4}pragma push_macro(\"{name}\")\u{3}");
        let pop = format!("\u{4}pragma pop_macro(\"{name}\")\u{3}");
        let setting = self.setting(forest);
        let include = self.include_of(header);
        match self.random.below(6) {
            0 => push,
            1 => pop,
            _ => format!("{push}{setting}{include}{pop}{}", self.condition_shown()),
        }
    }

    fn condition_shown(&mut self) -> String {
        format!("{}{}\u{4}endif\u{3}", self.condition(), self.show())
    }

    /// What makes a file depend on more than macros.
    fn oddity(&mut self) -> String {
        let shown = self.show();
        let other = self.show();
        let number = self.random.below(5);
        match self.random.below(17) {
            0 => format!(
                "\u{4}if __COUNTER__ > {number}\u{3}{shown}\u{4}else\u{3}{other}\u{4}endif\u{3}"
            ),
            1 => "int counted = __COUNTER__;\u{5}".into(),
            2 | 3 => format!(
                "\u{4}if __INCLUDE_LEVEL__ > {number}\u{3}{shown}\u{4}else\u{3}{other}\u{4}endif\u{3}"
            ),
            4 => format!("\u{4}line {}\u{3}", number + 1),
            5 => format!("\u{4}line {} \"named.h\"\u{3}", number + 1),
            6 => format!(
                "\u{7}#if __LINE__ & 1\u{5}\u{7}{shown}\u{4}else\u{3}{other}\u{4}endif\u{3}"
            ),
            7 => "\u{4}pragma GCC system_header\u{3}".into(),
            8 => "\u{4}pragma GCC poison poisoned_name\u{3}".into(),
            9 if !self.traits.clang => format!("\u{4}assert mine({number})\u{3}"),
            10 if !self.traits.clang => {
                format!("\u{4}if #mine({number})\u{3}{shown}\u{4}else\u{3}{other}\u{4}endif\u{3}")
            }
            11 => self.text(),
            12 => format!(
                "\u{4}define ATTRIBUTE __has_attribute(noreturn)\u{3}\u{4}if ATTRIBUTE\u{3}{shown}\u{4}endif\u{3}"
            ),
            13 => format!("_Pragma(\"message \\\"x\\\"\") M{number} FN(M{number})\u{5}{shown}"),
            15 => format!(
                "\u{4}ifndef AGAIN\u{3}\u{4}define AGAIN\u{3}\u{4}if __has_include(\"{source}\")\u{3}\
                 \u{4}include \"{source}\"\u{3}\u{4}endif\u{3}\u{4}endif\u{3}",
                source = self.source
            ),
            14 => format!("FN(\u{5}M{number}\u{5})\u{5}{shown}"),
            _ => self.group(),
        }
    }
}
