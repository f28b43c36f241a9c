//! A server of the bundle dialect, as far as files go: it asks for what it lacks, keeps tables and blobs, and says what a job's
//! compiler could find. It believes nothing: links and digests are compared.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use protocol::bundle::block::Codecs;
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry};
use protocol::bundle::manifest::Manifest;
use protocol::bundle::need::Need;
use protocol::bundle::number::Body;
use protocol::bundle::pack::Pack;
use protocol::bundle::setting::Platform;
use protocol::bundle::table::{Extension, Link, TableId, next_link};
use protocol::bundle::{Frame, FrameDecoder};
use protocol::include_dialogue::decode_manifest_answer;
use protocol::limits::Limits;
use protocol::token::Tag;

/// Jobs that are taken to run still when others come.
const RUNNING: usize = 12;

/// What it knows of all jobs.
#[derive(Default)]
pub struct Server {
    tables: HashMap<TableId, Table>,
    blobs: HashMap<Digest, Vec<u8>>,
    running: VecDeque<Job>,
}

struct Table {
    entries: Vec<Entry>,
    links: Vec<Link>,
}

/// A job and what its compiler may look at.
#[derive(Clone)]
pub struct Job {
    /// Its files.
    pub manifest: Manifest,
    /// What it runs with.
    pub platform: Platform,
    /// Bytes that the answer had.
    pub bytes: usize,
    cwd: PathBuf,
    /// Names that are looked for in vain.
    absent: Vec<PathBuf>,
}

/// What may stand at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing<'a> {
    Directory,
    File(&'a Entry),
    Link(&'a [u8]),
}

/// The frames in some bytes.
pub fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let tags = &[Tag::MANI, Tag::TABL, Tag::PACK, Tag::HAVE, Tag::DOUB];
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let mut decoder = FrameDecoder::new(tags, Limits::DEFAULT);
        let used = decoder.feed(bytes).expect("frames");
        bytes = &bytes[used..];
        found.push(decoder.finish().expect("a whole frame"));
    }
    found
}

impl Server {
    /// Takes an offer; `give` answers to what is lacking with messages.
    pub fn take(
        &mut self,
        answer: &[u8],
        cwd: &Path,
        absent: Vec<PathBuf>,
        mut give: impl FnMut(&Need) -> Result<Vec<Frame>, String>,
    ) -> Result<Job, String> {
        let limits = Limits::DEFAULT;
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let (manifest, platform) = decode_manifest_answer(answer).map_err(|e| told(&e))?;
        let mut body = Body::new(manifest);
        let manifest = Manifest::take(&mut body, &limits).map_err(|e| told(&e))?;
        body.end().map_err(|e| told(&e))?;
        let mut body = Body::new(platform);
        let platform = Platform::take(&mut body, &limits).map_err(|e| told(&e))?;
        body.end().map_err(|e| told(&e))?;
        let id = manifest.table;
        let table = self.tables.entry(id).or_insert_with(|| Table {
            entries: Vec::new(),
            links: vec![id.first_link()],
        });
        let known = table.entries.len() as u32;
        if known < manifest.length {
            let need = Need {
                codecs: Codecs::ALL,
                setting: false,
                table: Some(known),
                blobs: Vec::new(),
            };
            self.receive(give(&need)?)?;
        }
        let table = &self.tables[&id];
        if table.links.get(manifest.length as usize) != Some(&manifest.link) {
            return Err("the table's link does not fit".into());
        }
        let job = Job {
            manifest,
            platform,
            bytes: answer.len(),
            cwd: cwd.to_owned(),
            absent,
        };
        let digests: BTreeSet<Digest> = self
            .exclusive(&job)
            .values()
            .filter_map(|entry| match entry.content {
                Content::File { digest, .. } => Some(digest),
                _ => None,
            })
            .collect();
        let lacking = digests
            .iter()
            .filter(|digest| !self.blobs.contains_key(digest));
        let blobs: Vec<Digest> = lacking.copied().collect();
        if !blobs.is_empty() {
            let need = Need {
                codecs: Codecs::ALL,
                setting: false,
                table: None,
                blobs: blobs.clone(),
            };
            self.receive(give(&need)?)?;
            if let Some(digest) = blobs.iter().find(|digest| !self.blobs.contains_key(digest)) {
                return Err(format!("{digest} was not given"));
            }
        }
        self.running.push_back(job.clone());
        if self.running.len() > RUNNING {
            self.running.pop_front();
        }
        Ok(job)
    }

    fn receive(&mut self, frames: Vec<Frame>) -> Result<(), String> {
        let limits = Limits::DEFAULT;
        for frame in frames {
            match frame.tag {
                Tag::TABL => {
                    let extension =
                        Extension::decode(&frame.body, &limits).map_err(|e| e.to_string())?;
                    let table = self.tables.get_mut(&extension.id).ok_or("another table")?;
                    if extension.from as usize != table.entries.len() {
                        return Err("another part of the table".into());
                    }
                    for entry in extension.entries {
                        let link = next_link(table.links.last().expect("the first"), &entry);
                        table.links.push(link);
                        table.entries.push(entry);
                    }
                }
                Tag::PACK => {
                    let pack = Pack::decode(&frame.body, &limits).map_err(|e| e.to_string())?;
                    for (digest, bytes) in pack.blobs() {
                        if Digest::of(bytes) != digest {
                            return Err(format!("{digest} has another content"));
                        }
                        self.blobs.insert(digest, bytes.to_vec());
                    }
                }
                Tag::HAVE => return Ok(()),
                _ => return Err(String::from_utf8_lossy(&frame.body).into_owned()),
            }
        }
        Err("no end".into())
    }

    /// A job's own entries and those that it uses.
    pub fn entries(&self, job: &Job) -> Vec<Entry> {
        self.exclusive(job).into_values().cloned().collect()
    }

    /// What stands at the paths of a job's own files and those it uses.
    fn exclusive<'a>(&'a self, job: &'a Job) -> BTreeMap<&'a [u8], &'a Entry> {
        let table = &self.tables[&job.manifest.table].entries;
        let used = job.manifest.used.iter().map(|index| &table[index as usize]);
        // The job's own come last: they shadow the others.
        let all = used.chain(&job.manifest.own);
        all.map(|entry| (entry.path.as_bytes(), entry)).collect()
    }

    /// The files of a job as the disk must have them now.
    pub fn compare_with_disk(&self, job: &Job) -> Result<(), String> {
        let table = &self.tables[&job.manifest.table].entries;
        let used = job.manifest.used.iter().map(|index| &table[index as usize]);
        for entry in used.chain(&job.manifest.own) {
            let path = Path::new(OsStr::from_bytes(entry.path.as_bytes()));
            let wrong = |what: &str| Err(format!("{}: {what}: {entry:?}", path.display()));
            let Ok(found) = fs::symlink_metadata(path) else {
                return wrong("it is not there");
            };
            let parent = path.parent().expect("a directory");
            if fs::canonicalize(parent).ok().as_deref() != Some(parent) {
                return wrong("no real path");
            }
            match &entry.content {
                Content::Directory if found.is_dir() => {}
                Content::Link(target)
                    if fs::read_link(path)
                        .is_ok_and(|real| real.as_os_str().as_bytes() == target.as_slice()) => {}
                Content::File {
                    digest,
                    size,
                    modified,
                } if found.is_file() => {
                    let bytes = fs::read(path).map_err(|error| error.to_string())?;
                    if Digest::of(&bytes) != *digest || self.blobs[digest] != bytes {
                        return wrong("another content");
                    }
                    if *size != bytes.len() as u64 || *modified != found.mtime() {
                        return wrong("another size or time");
                    }
                }
                _ => return wrong("something else"),
            }
        }
        Ok(())
    }

    /// Whether the compiler finds each of these names as the file that it is on disk now.
    pub fn finds<'n>(
        &self,
        job: &Job,
        names: impl IntoIterator<Item = &'n String>,
    ) -> Result<(), String> {
        let view = View::new(self, job);
        for name in names {
            let spelled = job.cwd.join(name);
            let real = fs::canonicalize(&spelled).map_err(|error| error.to_string())?;
            let ends = view.ends(&spelled);
            let is_right = |entry: &Entry| entry.path.as_bytes() == real.as_os_str().as_bytes();
            if !matches!(ends.as_slice(), [Some(entry)] if is_right(entry)) {
                let paths = ends.iter().flatten().map(|entry| entry.path.to_string());
                return Err(format!(
                    "{name} leads to {:?} in {} ways and not to {}",
                    paths.collect::<Vec<_>>(),
                    ends.len(),
                    real.display()
                ));
            }
        }
        Ok(())
    }

    /// Whether no running job can find what it is not to find. To be asked after each change of a table.
    pub fn nothing_unexpected(&self) -> Result<(), String> {
        for job in &self.running {
            let view = View::new(self, job);
            for name in &job.absent {
                if let Some(entry) = view.ends(&job.cwd.join(name)).into_iter().flatten().next() {
                    return Err(format!(
                        "a job could find {} as {entry:?}, where there was nothing",
                        name.display()
                    ));
                }
            }
        }
        Ok(())
    }
}

/// All that a job's compiler could come across: what other jobs brought may be there or not.
struct View<'a> {
    exclusive: BTreeMap<&'a [u8], &'a Entry>,
    others: BTreeMap<&'a [u8], Vec<&'a Entry>>,
}

fn is_below<T>(paths: &BTreeMap<&[u8], T>, path: &[u8]) -> bool {
    let start = [path, b"/"].concat();
    let range = (Bound::Included(start.as_slice()), Bound::Unbounded);
    let mut after = paths.range::<[u8], _>(range);
    after
        .next()
        .is_some_and(|(next, _)| next.starts_with(&start))
}

impl<'a> View<'a> {
    fn new(server: &'a Server, job: &'a Job) -> Self {
        let manifest = &job.manifest;
        let entries = (0..).zip(&server.tables[&manifest.table].entries);
        let mut others: BTreeMap<&[u8], Vec<&Entry>> = BTreeMap::new();
        for (index, entry) in entries {
            let is_hidden = manifest.used.contains(index)
                || manifest.dead.contains(index)
                || (index >= manifest.length && entry.late);
            if !is_hidden {
                others.entry(entry.path.as_bytes()).or_default().push(entry);
            }
        }
        Self {
            exclusive: server.exclusive(job),
            others,
        }
    }

    /// What may stand at a real path; `None` for nothing.
    fn at(&self, path: &[u8]) -> Vec<Option<Standing<'a>>> {
        let standing = |entry: &'a Entry| match &entry.content {
            Content::Directory => Standing::Directory,
            Content::Link(target) => Standing::Link(target),
            Content::File { .. } => Standing::File(entry),
        };
        if let Some(entry) = self.exclusive.get(path) {
            return vec![Some(standing(entry))];
        }
        if path.is_empty() || is_below(&self.exclusive, path) {
            return vec![Some(Standing::Directory)];
        }
        let mut all = vec![None];
        for entry in self.others.get(path).into_iter().flatten() {
            all.push(Some(standing(entry)));
        }
        if is_below(&self.others, path) {
            all.push(Some(Standing::Directory));
        }
        all
    }

    /// The files that an absolute name may lead to; `None` for none.
    fn ends(&self, name: &Path) -> Vec<Option<&'a Entry>> {
        let components = |path: &[u8]| -> Vec<Vec<u8>> {
            let mut all: Vec<Vec<u8>> = path
                .split(|&byte| byte == b'/')
                .filter(|part| !part.is_empty() && *part != b".")
                .map(<[u8]>::to_vec)
                .collect();
            all.reverse();
            all
        };
        let mut ends: Vec<Option<&'a Entry>> = Vec::new();
        let mut add = |end: Option<&'a Entry>| {
            if !ends.contains(&end) {
                ends.push(end);
            }
        };
        let start = components(name.as_os_str().as_bytes());
        let mut todo: Vec<(Vec<u8>, Vec<Vec<u8>>, usize)> = vec![(Vec::new(), start, 0)];
        while let Some((at, mut rest, links)) = todo.pop() {
            let Some(step) = rest.pop() else {
                // A directory.
                add(None);
                continue;
            };
            if step == b".." {
                let slash = at.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                todo.push((at[..slash].to_vec(), rest, links));
                continue;
            }
            let next = [at.as_slice(), b"/", &step].concat();
            for standing in self.at(&next) {
                match standing {
                    Some(Standing::Directory) => todo.push((next.clone(), rest.clone(), links)),
                    Some(Standing::File(entry)) if rest.is_empty() => add(Some(entry)),
                    Some(Standing::Link(target)) if links < 40 => {
                        let mut rest = rest.clone();
                        rest.extend(components(target));
                        let at = match target.first() {
                            Some(b'/') => Vec::new(),
                            _ => at.clone(),
                        };
                        todo.push((at, rest, links + 1));
                    }
                    _ => add(None),
                }
            }
        }
        ends
    }
}
