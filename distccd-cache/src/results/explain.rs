//! Why a job has no result yet: what is different since the same source was last compiled here. Owns a memory of those compiles, for that purpose only;
//! nothing is decided by it.

use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;

use super::key::{Ingredients, Input, What};
use super::memory::{Memory, Remembered};

/// Bytes of memory for what is remembered; with more, all is forgotten.
const KEPT: usize = 32 << 20;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Explanations {
    /// By working directory and source.
    last: Memory<u64, Last, KEPT>,
}

/// What the last compile of a source was made from, as hashes.
#[derive(Debug)]
struct Last {
    compiler: [u8; 32],
    words: Vec<u64>,
    /// Path and content, in the order of the paths' hashes.
    inputs: Vec<(u64, u64)>,
    own_headers: u64,
}

impl Explanations {
    /// Says what is different, in a line, and remembers this compile as the last one.
    pub(crate) fn of(
        &self,
        source: &[u8],
        ingredients: &Ingredients<'_>,
        inputs: &[Input<'_>],
    ) -> String {
        let now = Last::of(ingredients, inputs);
        let name = hash(&(ingredients.cwd, source));
        match self.last.insert(name, now) {
            None => "not compiled here before".to_owned(),
            Some(last) => last.difference(ingredients, inputs),
        }
    }
}

impl Last {
    fn of(ingredients: &Ingredients<'_>, inputs: &[Input<'_>]) -> Self {
        let inputs = inputs.iter();
        let mut inputs: Vec<(u64, u64)> = inputs
            .map(|input| (hash(input.path), content(&input.what)))
            .collect();
        inputs.sort_unstable();
        Self {
            compiler: ingredients.identity.exact,
            words: ingredients.argv.iter().map(hash).collect(),
            inputs,
            own_headers: hash(&ingredients.own_headers),
        }
    }

    fn difference(&self, now: &Ingredients<'_>, inputs: &[Input<'_>]) -> String {
        if self.compiler != now.identity.exact {
            return "another compiler than last time".to_owned();
        }
        let other = now
            .argv
            .iter()
            .find(|word| !self.words.contains(&hash(*word)));
        if let Some(word) = other {
            return format!("{} was not among the options last time", text(word));
        }
        if self.words.len() != now.argv.len() {
            return "fewer options than last time".to_owned();
        }
        let mut changed = Vec::new();
        let mut new = Vec::new();
        for input in inputs {
            let path = hash(input.path);
            let at = self.inputs.partition_point(|(known, _)| *known < path);
            match self.inputs.get(at) {
                Some((known, held)) if *known == path => {
                    if *held != content(&input.what) {
                        changed.push(input.path);
                    }
                }
                _ => new.push(input.path),
            }
        }
        let near = |path: &&[u8]| text(path.strip_prefix(now.cwd).map_or(*path, |rest| &rest[1..]));
        let more = |count: usize| match count {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        match (changed.first(), new.first()) {
            (Some(path), _) => format!("{} has changed{}", near(path), more(changed.len())),
            (None, Some(path)) => format!("{} is read now{}", near(path), more(new.len())),
            (None, None) if self.inputs.len() > inputs.len() => {
                "fewer files than last time".to_owned()
            }
            (None, None) if self.own_headers != hash(&now.own_headers) => {
                "this server's own headers have changed".to_owned()
            }
            (None, None) => "the result has gone, or was not kept".to_owned(),
        }
    }
}

impl Remembered for Last {
    /// A client may send a compile of no files and many words.
    fn bytes(&self) -> usize {
        size_of::<(u64, Self)>() + size_of_val(&self.words[..]) + size_of_val(&self.inputs[..])
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    FixedState::default().hash_one(value)
}

fn content(what: &What<'_>) -> u64 {
    match what {
        What::Directory => 0,
        What::Link(target) => hash(target),
        What::File(digest, _) | What::Wire(digest) => hash(&digest.0),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::key::Door;
    use super::*;
    use protocol::bundle::digest::Digest;
    use protocol::identity::{Family, Identity};
    use std::ffi::OsStr;

    fn explain(
        explanations: &Explanations,
        source: &str,
        line: &str,
        exact: u8,
        files: &[(&str, u8)],
    ) -> String {
        let identity = Identity {
            family: Family::Gcc,
            banner: String::new(),
            alike: [0; 32],
            description: [0; 32],
            exact: [exact; 32],
        };
        let digests: Vec<Digest> = files.iter().map(|(_, byte)| Digest([*byte; 32])).collect();
        let inputs: Vec<Input<'_>> = files
            .iter()
            .zip(&digests)
            .map(|((path, _), digest)| Input {
                path: path.as_bytes(),
                what: What::File(digest, 0),
                name: None,
            })
            .collect();
        let argv: Vec<Vec<u8>> = line
            .split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect();
        let ingredients = Ingredients {
            door: Door::Bundle,
            compiler: OsStr::new("gcc"),
            identity: &identity,
            program_path: OsStr::new(""),
            environment: &[],
            own_paths: true,
            cwd: b"/p",
            argv: &argv,
            system_directories: &[],
            own_headers: None,
        };
        explanations.of(source.as_bytes(), &ingredients, &inputs)
    }

    #[test]
    fn memory_has_an_end() {
        let words = "-DX ".repeat(KEPT / 800);
        let explanations = Explanations::default();
        let explain = |source: &str| explain(&explanations, source, &words, 1, &[]);
        // Each takes more than a hundredth of what may be kept; the same one again takes its own place.
        for _ in 0..150 {
            explain("a.c");
        }
        explain("b.c");
        assert_eq!(explain("a.c"), "the result has gone, or was not kept");
        for number in 0..150 {
            explain(&number.to_string());
        }
        assert!(explanations.last.sizes().len() < 100);
        assert_eq!(explain("a.c"), "not compiled here before");
    }

    #[test]
    fn what_is_different_is_named() {
        let explanations = Explanations::default();
        let explain = |line: &str, exact: u8, files: &[(&str, u8)]| {
            explain(&explanations, "a.c", line, exact, files)
        };
        let line = "gcc -O2 -c a.c";
        let files = [("/p/a.c", 1), ("/p/inc/b.h", 2)];
        assert_eq!(explain(line, 1, &files), "not compiled here before");
        let gone = "the result has gone, or was not kept";
        assert_eq!(explain(line, 1, &files), gone);
        let other = explain("gcc -O3 -c a.c", 1, &files);
        assert_eq!(other, "-O3 was not among the options last time");
        assert_eq!(explain(line, 2, &files), "another compiler than last time");
        let changed = [("/p/a.c", 1), ("/p/inc/b.h", 3)];
        assert_eq!(explain(line, 2, &changed), "inc/b.h has changed");
        let new = [("/p/a.c", 1), ("/p/inc/b.h", 3), ("/usr/c.h", 3)];
        assert_eq!(explain(line, 2, &new), "/usr/c.h is read now");
        assert_eq!(explain(line, 2, &changed), "fewer files than last time");
    }
}
