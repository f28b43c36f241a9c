//! Expansion to the letter: macros of random tokens, and includes of what they stringify to. The compiler is asked first
//! what that is, so that the headers can be made.

use std::path::Path;

use super::super::case::{Case, Content, Entry};
use super::super::judge;
use super::super::setup::Setup;
use super::Generator;

/// A case whose includes are expansions.
pub fn case(generator: &mut Generator<'_>, setup: &Setup, cwd: &Path) -> Option<Case> {
    let mut lines = vec![
        "#define S_(...) #__VA_ARGS__".to_string(),
        "#define S(...) S_(__VA_ARGS__)".into(),
        "#define LT <".into(),
    ];
    for _ in 0..generator.random.between(4, 10) {
        lines.push(generator.definition_of_tokens());
    }
    for _ in 0..generator.random.between(10, 40) {
        lines.push(match generator.random.below(8) {
            0 | 1 => generator.definition_of_tokens(),
            2 => format!("#include LT {}>", generator.tokens(4, &[])),
            _ => format!("#include S({})", generator.tokens(6, &[])),
        });
    }
    // Lines that the compiler rejects are taken out; what then remains names headers that do not exist yet.
    for _ in 0..6 {
        let mut case = assemble(setup, &lines);
        case.plant(cwd).ok()?;
        let errors = match judge::includes(&case, cwd)? {
            Ok(names) => {
                case.tree.extend(
                    names
                        .into_iter()
                        .filter(|name| usable(name))
                        .map(|name| Entry {
                            name,
                            content: Content::File(b"\n".to_vec()),
                        }),
                );
                return Some(case);
            }
            Err(errors) => errors,
        };
        let mut blamed = false;
        for error in errors.lines().filter(|line| line.contains("error: ")) {
            let number = error
                .split(':')
                .nth(1)
                .and_then(|number| number.parse::<usize>().ok());
            if let Some(line) = number.and_then(|number| lines.get_mut(number.wrapping_sub(1))) {
                line.clear();
                blamed = true;
            }
        }
        if !blamed {
            return None;
        }
    }
    None
}

/// Whether a header can have that name.
fn usable(name: &str) -> bool {
    let odd = |part: &str| part.is_empty() || part == ".." || part == ".";
    name.len() < 200
        && !name.split('/').any(odd)
        && !name.starts_with("a.")
        && !name.starts_with("leaf")
}

fn assemble(setup: &Setup, lines: &[String]) -> Case {
    Case {
        setup: setup.clone(),
        options: vec![vec!["-idirafter".into(), ".".into()]],
        tree: vec![Entry {
            name: setup.language.source().into(),
            content: Content::File((lines.join("\n") + "\n").into_bytes()),
        }],
        relatives: Vec::new(),
    }
}

/// Macros: those without parameters, and with how many.
const OBJECTS: [&str; 6] = ["a", "b", "c", "d", "e", "nil"];
/// See [`OBJECTS`].
const FUNCTIONS: [(&str, &[&str]); 6] = [
    ("f", &["x"]),
    ("g", &["x", "y"]),
    ("h", &[]),
    ("v", &["..."]),
    ("w", &["x", "..."]),
    ("n", &["x", "r..."]),
];

impl Generator<'_> {
    fn definition_of_tokens(&mut self) -> String {
        if self.random.percent(10) {
            let name = self.random.pick(&OBJECTS);
            return format!("#undef {name}");
        }
        if self.random.percent(45) {
            let name = self.random.pick(&OBJECTS);
            if name == "nil" {
                return "#define nil".into();
            }
            let length = self.random.between(0, 5);
            return format!("#define {name} {}", self.body(length, &[]));
        }
        let (name, parameters) = FUNCTIONS[self.random.below(FUNCTIONS.len())];
        let mut names: Vec<&str> = Vec::new();
        for parameter in parameters {
            names.push(match *parameter {
                "..." => "__VA_ARGS__",
                other => other.trim_end_matches('.'),
            });
        }
        let length = self.random.between(1, 7);
        let body = self.body(length, &names);
        // A `#` before anything but a parameter is an error there.
        let body = body.replace("%:", "%").replace("# ", " ");
        format!("#define {name}({}) {body}", parameters.join(", "))
    }

    /// A replacement list: tokens, `#` and `##` where they may stand.
    fn body(&mut self, length: usize, names: &[&str]) -> String {
        let mut text = String::new();
        for at in 0..length {
            if at > 0 {
                let word = text.ends_with(|last: char| last.is_alphanumeric() || last == '_');
                match self.random.below(8) {
                    // What is pasted to a word is mostly a token again.
                    0..=2 if word => {
                        text += self.random.pick(&["##", " ## ", "## "]);
                        text += &match names.len() {
                            0 => self.random.pick(&OBJECTS).to_string(),
                            count => names[self.random.below(count)].to_string(),
                        };
                        continue;
                    }
                    3 if names.contains(&"__VA_ARGS__") => {
                        text += ", ## __VA_ARGS__";
                        continue;
                    }
                    4 | 5 if !word => {}
                    6 => text += "##",
                    _ => text.push(' '),
                }
            }
            match names.len() {
                count if count > 0 && self.random.percent(20) => {
                    text.push('#');
                    text += names[self.random.below(count)];
                }
                _ if names.contains(&"__VA_ARGS__") && self.random.percent(15) => {
                    let inside = self.tokens(2, names);
                    text += &format!("__VA_OPT__({inside})");
                }
                _ => text += &self.token(names, 1),
            }
        }
        text
    }

    /// Tokens with all parentheses closed.
    fn tokens(&mut self, most: usize, names: &[&str]) -> String {
        let count = self.random.between(1, most);
        let mut text = String::new();
        for _ in 0..count {
            text += &self.token(names, 2);
            text += self.random.pick(&["", " ", " ", "  "]);
        }
        text
    }

    fn token(&mut self, names: &[&str], depth: usize) -> String {
        match self.random.below(20) {
            0..=3 if !names.is_empty() => names[self.random.below(names.len())].into(),
            0..=4 => self.random.pick(&OBJECTS).into(),
            5 => {
                let (name, _) = FUNCTIONS[self.random.below(FUNCTIONS.len())];
                name.into()
            }
            6..=9 if depth > 0 => self.invocation(names, depth - 1),
            10 if depth > 0 => format!("({})", self.tokens(2, names)),
            11 => self
                .random
                .pick(&["1", "0x2", ".5", "1e", "12.x", "3"])
                .into(),
            12 => self
                .random
                .pick(&["\"s\"", "'c'", "\"\\n\"", "L\"w\"", "'\\''", "\" \""])
                .into(),
            13 | 14 => self
                .random
                .pick(&[
                    "+", "-", "<", ">", "=", "&", "|", "%", ":", ".", "!", ";", "[", "]", "{", "}",
                    "->", "%:", "@", "...", "?", "#", "<:", "/",
                ])
                .into(),
            15 => ",".into(),
            16 => self
                .random
                .pick(&[
                    "L",
                    "u",
                    "R",
                    "u8",
                    "x1",
                    "__LINE__",
                    "__COUNTER__",
                    "defined",
                    "int",
                ])
                .into(),
            _ => self.random.pick(&OBJECTS).into(),
        }
    }

    fn invocation(&mut self, names: &[&str], depth: usize) -> String {
        let (name, parameters) = FUNCTIONS[self.random.below(FUNCTIONS.len())];
        let least = parameters
            .iter()
            .filter(|name| !name.ends_with("..."))
            .count();
        let count = match parameters.last() {
            Some(last) if last.ends_with("...") => self.random.between(least, least + 2),
            _ => least,
        };
        let mut arguments = Vec::new();
        for _ in 0..count {
            arguments.push(match self.random.below(6) {
                0 => String::new(),
                _ => {
                    let mut text = String::new();
                    for _ in 0..self.random.between(1, 3) {
                        let token = self.token(names, depth);
                        if token != "," {
                            text += &token;
                            text += self.random.pick(&["", " "]);
                        }
                    }
                    text
                }
            });
        }
        let space = self.random.pick(&["", "", " "]);
        format!(
            "{name}{space}({})",
            arguments.join(self.random.pick(&[",", ", ", " ,"]))
        )
    }
}
