//! The name of a result. Owns the one list of all that a result depends on (invariant 7).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use foldhash::quality::RandomState;
use protocol::bundle::digest::Digest;
use protocol::identity::Identity;

/// Names of results that were made by another list are never met: whoever changes [`result_key`] changes this.
const CONTEXT: &str = "pumphouse 2026-11-30 result of a compile 3";

/// By which door a job came. Results of one door are not looked for by another, since jobs see different files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Door {
    /// The bundle dialect: all files are the client's.
    Bundle = 1,
    /// Protocol 3: the system's headers are this server's.
    Tree = 2,
    /// Protocols 1 and 2: one preprocessed file.
    Preprocessed = 3,
}

/// What stands at one path of a job's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What<'a> {
    Directory,
    Link(&'a [u8]),
    /// The digest of its bytes, and when it was modified.
    File(&'a Digest, i64),
    /// A file in the form in which a client of stock's protocols sends it: the digest of that.
    Wire(&'a Digest),
}

/// One file, link or directory that a job's compiler finds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) what: What<'a>,
    /// The absolute name by which the client's compiler knows it, if that is not a relative one.
    pub(crate) name: Option<&'a [u8]>,
}

/// All that a result depends on.
#[derive(Debug)]
pub(crate) struct Ingredients<'a> {
    pub(crate) door: Door,
    /// The compiler's path: clang finds its own headers by it, and both name themselves.
    pub(crate) compiler: &'a OsStr,
    /// Which compiler that is, by the bytes of its programs and libraries.
    pub(crate) identity: &'a Identity,
    /// Its `PATH`, by which it finds an assembler.
    pub(crate) program_path: &'a OsStr,
    /// Its other variables, those of the daemon's and of the job's.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// Whether the job sees its files at the client's paths. Where it does not, outputs are corrected afterwards.
    pub(crate) own_paths: bool,
    /// The working directory at the client.
    pub(crate) cwd: &'a [u8],
    /// The command line, the name included by which the client calls its compiler: diagnostics begin with it.
    pub(crate) argv: &'a [Vec<u8>],
    /// Directories in which the client's files hide this server's.
    pub(crate) system_directories: &'a [Vec<u8>],
    /// What this server's own headers are, where they are read.
    pub(crate) own_headers: Option<Digest>,
}

/// The digest of what a compiler finds, in the order of the paths; below a root as in [`result_key`], of which it is the larger part.
/// `twins` are those of the inputs.
pub(crate) fn inputs_key(inputs: &[Input<'_>], twins: &Twins<'_>, root: Option<&[u8]>) -> Digest {
    let mut key = Key::new();
    key.number(u64::from(root.is_some()));
    key.number(inputs.len() as u64);
    for (at, input) in inputs.iter().enumerate() {
        key.path(input.path, root);
        match input.what {
            What::Directory => key.number(0),
            What::Link(target) => {
                key.number(1);
                key.bytes(target);
            }
            What::File(digest, modified) => {
                key.number(2);
                key.plain(&digest.0);
                key.number(twins.first(digest, modified, at));
            }
            What::Wire(digest) => {
                key.number(3);
                key.plain(&digest.0);
            }
        }
        key.option(input.name);
    }
    key.finish()
}

/// The name of a job's result: all that it depends on. `inputs` is what [`inputs_key`] says of what it finds.
///
/// With a `root`, a directory above working directory and inputs, paths below it count without it: the same job in another place has the same name. That
/// is for jobs whose output cannot show the place, see [`super::place`].
///
/// Not in it, because results do not depend on it: the order in which a client numbered its files; files of the client that the job does not use; times of
/// files, except where they tell equal files apart (gcc takes two files for one, in `#import` and after `#pragma once`, when content and time are equal); the
/// niceness of compilers; who asks.
pub(crate) fn result_key(
    ingredients: &Ingredients<'_>,
    inputs: &Digest,
    root: Option<&[u8]>,
) -> Digest {
    let mut key = Key::new();
    key.number(ingredients.door as u64);
    key.bytes(ingredients.compiler.as_bytes());
    let mut identity = Vec::new();
    ingredients.identity.encode(&mut identity);
    key.bytes(&identity);
    key.bytes(ingredients.program_path.as_bytes());
    key.number(ingredients.environment.len() as u64);
    for (name, value) in ingredients.environment {
        key.bytes(name.as_bytes());
        key.bytes(value.as_bytes());
    }
    key.number(u64::from(ingredients.own_paths));
    key.number(u64::from(root.is_some()));
    key.path(ingredients.cwd, root);
    key.list(ingredients.argv);
    key.list(ingredients.system_directories);
    key.option(ingredients.own_headers.as_ref().map(|digest| &digest.0[..]));
    key.plain(&inputs.0);
    key.finish()
}

/// Strings and numbers, each with its length, so that no two lists have the same bytes.
struct Key {
    hasher: blake3::Hasher,
    /// What comes next: a hasher takes many bytes at once several times as fast as piece by piece.
    next: Vec<u8>,
}

/// Bytes for the hasher at once.
const AT_ONCE: usize = 32 << 10;

impl Key {
    fn new() -> Self {
        Self {
            hasher: blake3::Hasher::new_derive_key(CONTEXT),
            next: Vec::with_capacity(AT_ONCE + 512),
        }
    }

    fn plain(&mut self, bytes: &[u8]) {
        self.next.extend_from_slice(bytes);
        if self.next.len() >= AT_ONCE {
            self.hasher.update(&self.next);
            self.next.clear();
        }
    }

    fn finish(mut self) -> Digest {
        Digest(*self.hasher.update(&self.next).finalize().as_bytes())
    }

    fn number(&mut self, number: u64) {
        self.plain(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.plain(bytes);
    }

    fn option(&mut self, bytes: Option<&[u8]>) {
        self.number(u64::from(bytes.is_some()));
        self.bytes(bytes.unwrap_or_default());
    }

    fn list(&mut self, list: &[Vec<u8>]) {
        self.number(list.len() as u64);
        list.iter().for_each(|item| self.bytes(item));
    }

    /// A path; one below the root without it, and told apart from one that is elsewhere.
    fn path(&mut self, path: &[u8], root: Option<&[u8]>) {
        let inner = root.and_then(|root| path.strip_prefix(root));
        match inner.filter(|rest| matches!(rest.first(), None | Some(b'/'))) {
            Some(rest) => {
                self.number(1);
                self.bytes(rest);
            }
            None => {
                self.number(0);
                self.bytes(path);
            }
        }
    }
}

/// Which files of a job have the same content, and which of those the same time.
pub(crate) struct Twins<'a>(HashMap<&'a Digest, Vec<(i64, usize)>>);

impl<'a> Twins<'a> {
    /// Those among a job's inputs.
    pub(crate) fn among(inputs: &[Input<'a>]) -> Self {
        let mut seen: HashMap<&Digest, usize, RandomState> =
            HashMap::with_capacity_and_hasher(inputs.len(), RandomState::default());
        for input in inputs {
            if let What::File(digest, _) = input.what {
                *seen.entry(digest).or_default() += 1;
            }
        }
        let mut twins: HashMap<&Digest, Vec<(i64, usize)>> = HashMap::new();
        if seen.values().any(|count| *count > 1) {
            for (at, input) in inputs.iter().enumerate() {
                if let What::File(digest, modified) = input.what
                    && seen[digest] > 1
                {
                    let times = twins.entry(digest).or_default();
                    if times.iter().all(|(time, _)| *time != modified) {
                        times.push((modified, at));
                    }
                }
            }
        }
        Self(twins)
    }

    /// The first of a file's twins that has its time: where in the list it stands. Absolute times do not count.
    fn first(&self, digest: &Digest, modified: i64, at: usize) -> u64 {
        let twins = self.0.get(digest);
        let same = twins.and_then(|times| times.iter().find(|(time, _)| *time == modified));
        same.map_or(at, |(_, first)| *first) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::identity::Family;

    fn identity(exact: u8) -> Identity {
        Identity {
            family: Family::Gcc,
            banner: "gcc".to_owned(),
            alike: [1; 32],
            description: [2; 32],
            exact: [exact; 32],
        }
    }

    fn file<'a>(path: &'a [u8], digest: &'a Digest, modified: i64) -> Input<'a> {
        Input {
            path,
            what: What::File(digest, modified),
            name: None,
        }
    }

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    const A: &Digest = &Digest([10; 32]);
    const B: &Digest = &Digest([11; 32]);

    /// A key after one change.
    fn key<'a>(change: impl FnOnce(&mut Job<'a>), root: Option<&[u8]>) -> Digest {
        let ingredients = Ingredients {
            door: Door::Bundle,
            compiler: OsStr::new("/usr/bin/gcc"),
            identity: Box::leak(Box::new(identity(3))),
            program_path: OsStr::new("/usr/bin"),
            environment: &[],
            own_paths: true,
            cwd: b"/h/p",
            argv: words("gcc -O2 -c a.c").leak(),
            system_directories: &[],
            own_headers: None,
        };
        let mut job = Job {
            ingredients,
            inputs: vec![file(b"/h/p/a.c", A, 5), file(b"/h/p/b.h", B, 6)].leak(),
        };
        change(&mut job);
        let inputs = inputs_key(job.inputs, &Twins::among(job.inputs), root);
        result_key(&job.ingredients, &inputs, root)
    }

    struct Job<'a> {
        ingredients: Ingredients<'a>,
        inputs: &'a [Input<'a>],
    }

    impl<'a> std::ops::Deref for Job<'a> {
        type Target = Ingredients<'a>;

        fn deref(&self) -> &Self::Target {
            &self.ingredients
        }
    }

    impl std::ops::DerefMut for Job<'_> {
        fn deref_mut(&mut self) -> &mut Self::Target {
            &mut self.ingredients
        }
    }

    #[test]
    fn each_ingredient_makes_another_name() {
        let other_identity = identity(4);
        let (argv, order) = (words("gcc -O3 -c a.c"), words("gcc -c -O2 a.c"));
        let environment = [("SOURCE_DATE_EPOCH".into(), "1".into())];
        let directories = words("/usr/include");
        let fewer = [file(b"/h/p/a.c", A, 5)];
        let moved = [file(b"/h/p/a.c", A, 5), file(b"/h/p/c.h", B, 6)];
        let swapped = [file(b"/h/p/a.c", B, 5), file(b"/h/p/b.h", A, 6)];
        let mut named = [file(b"/h/p/a.c", A, 5), file(b"/h/p/b.h", B, 6)];
        named[1].name = Some(b"/h/p/b.h");
        let keys = [
            key(|_| {}, None),
            key(|_| {}, Some(b"/h/p")),
            key(|i| i.door = Door::Tree, None),
            key(|i| i.compiler = OsStr::new("/usr/bin/gcc-12"), None),
            key(|i| i.identity = &other_identity, None),
            key(|i| i.program_path = OsStr::new("/bin"), None),
            key(|i| i.environment = &environment, None),
            key(|i| i.own_paths = false, None),
            key(|i| i.cwd = b"/h", None),
            key(|i| i.argv = &argv, None),
            key(|i| i.argv = &order, None),
            key(|i| i.system_directories = &directories, None),
            key(|i| i.own_headers = Some(Digest([0; 32])), None),
            key(|i| i.inputs = &fewer, None),
            key(|i| i.inputs = &moved, None),
            key(|i| i.inputs = &swapped, None),
            key(|i| i.inputs = &named, None),
        ];
        for (at, one) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(one), "{at}");
        }
        assert_eq!(key(|_| {}, None), keys[0]);
    }

    #[test]
    fn below_a_root_the_place_does_not_count() {
        let elsewhere: &[Input<'_>] = &[file(b"/q/a.c", A, 50), file(b"/q/b.h", B, 60)];
        let there = |root: Option<&[u8]>| key(|i| (i.cwd, i.inputs) = (b"/q", elsewhere), root);
        assert_eq!(key(|_| {}, Some(b"/h/p")), there(Some(b"/q")));
        assert_ne!(key(|_| {}, None), there(None));
        // A sibling whose name begins like the root is not below it.
        let sibling = [file(b"/h/p2/a.c", A, 5), file(b"/h/p2/b.h", B, 6)];
        assert_ne!(
            key(|_| {}, Some(b"/h/p")),
            key(|i| i.inputs = &sibling, Some(b"/h/p"))
        );
    }

    #[test]
    fn times_tell_equal_files_apart_and_nothing_else() {
        let with = |one: i64, two: i64| {
            let inputs = [file(b"/h/p/a.h", A, one), file(b"/h/p/b.h", A, two)];
            key(|i| i.inputs = &inputs, None)
        };
        assert_eq!(with(5, 5), with(9, 9));
        assert_eq!(with(5, 6), with(9, 3));
        assert_ne!(with(5, 5), with(5, 6));
    }
}
