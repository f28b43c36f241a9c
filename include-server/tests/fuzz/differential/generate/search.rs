//! The tree's directories and links, and the options that put them on the search path.

use super::super::case::{Content, Entry};
use super::Generator;

impl Generator<'_> {
    /// Makes directories with (still empty) headers, and the search path.
    pub(super) fn search(&mut self, tree: &mut Vec<Entry>, options: &mut Vec<Vec<String>>) {
        let all = ["d0", "d1", "d2", "d0/s", "d1/s", "e"];
        let directories = &all[..self.random.between(1, all.len())];
        self.directories = directories.iter().map(|name| name.to_string()).collect();
        let headers = ["h0.h", "h1.h", "h2.h", "h3.h", "s/h0.h", "h4"];
        self.headers = headers[..self.random.between(2, headers.len())]
            .iter()
            .map(|name| name.to_string())
            .collect();
        let add = |tree: &mut Vec<Entry>, name: String, content: Content| {
            let taken = |entry: &Entry| {
                entry.name == name
                    || entry.name.starts_with(&format!("{name}/"))
                    || name.starts_with(&format!("{}/", entry.name))
            };
            if !tree.iter().any(taken) {
                tree.push(Entry { name, content });
            }
        };
        let headers = self.headers.clone();
        for directory in directories {
            for header in &headers {
                let name = format!("{directory}/{header}");
                let other = format!("{}/{}", self.directory(), self.header());
                match self.random.below(30) {
                    0..=13 => add(tree, name, Content::File(Vec::new())),
                    14 | 15 => {
                        let up = "../".repeat(name.matches('/').count());
                        add(tree, name, Content::Link(format!("{up}{other}")));
                    }
                    16 => add(tree, name, Content::Directory),
                    17 => add(tree, name, Content::Link("nowhere".into())),
                    _ => {}
                }
            }
        }
        for header in &headers {
            add(tree, format!("z/{header}"), Content::File(Vec::new()));
            if self.random.percent(15) {
                add(tree, header.clone(), Content::File(Vec::new()));
            }
        }
        for number in 0..self.random.below(3) {
            let target = self.directory();
            add(tree, format!("k{number}"), Content::Link(target));
        }
        add(tree, "file".into(), Content::File(b" ".to_vec()));
        self.path_options(options);
    }

    fn path_options(&mut self, options: &mut Vec<Vec<String>>) {
        for _ in 0..self.random.between(0, 8) {
            let directory = self.directory();
            let directory = match self.random.below(16) {
                0 => format!("./{directory}"),
                1 => format!("{directory}/"),
                2 => format!("{directory}/."),
                3 => format!("{directory}/../{directory}"),
                4 => "nosuch".into(),
                5 => "file".into(),
                6 => "k0".into(),
                7 => "k1".into(),
                8 => ".".into(),
                9 => format!("k0/../{directory}"),
                _ => directory,
            };
            match self.random.below(10) {
                0..=4 => options.push(vec![format!("-I{directory}")]),
                5 => options.push(vec!["-I".into(), directory]),
                6 => options.push(vec!["-isystem".into(), directory]),
                7 => options.push(vec!["-iquote".into(), directory]),
                8 => options.push(vec!["-idirafter".into(), directory]),
                _ => options.push(vec![format!("-isystem{directory}")]),
            }
        }
        options.push(vec!["-idirafter".into(), "z".into()]);
        options.push(vec!["-idirafter".into(), "leaf".into()]);
    }

    /// `-include` and `-imacros`.
    pub(super) fn forced_includes(
        &mut self,
        tree: &mut Vec<Entry>,
        options: &mut Vec<Vec<String>>,
    ) {
        for number in 0..[0, 0, 0, 1, 2][self.random.below(5)] {
            let name = match self.random.percent(50) {
                true => format!("i{number}.h"),
                false => format!("z/i{number}.h"),
            };
            let mut text = self.show();
            for _ in 0..self.random.between(1, 4) {
                text += &match self.random.percent(50) {
                    true => self.definition(),
                    false => self.group(),
                };
            }
            self.file(tree, &name, &text);
            let option = self.random.pick(&["-include", "-imacros"]);
            let name = name.trim_start_matches("z/").to_string();
            let at = self.random.below(options.len() + 1);
            options.insert(at, vec![option.into(), name]);
        }
    }
}
