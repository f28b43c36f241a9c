//! From a closure to the entries of a manifest: all files, those of the compiler's own directories too, at their real paths
//! and as they are, with every link on the way to them and every directory that a name passes through.
//!
//! A server of the bundle dialect shows files at the client's own paths with the client's times, so some of what protocol 3
//! must refuse or disguise is no trouble: a file that starts with a `#line` of its own, twins that their times keep apart, links that
//! climb above the root. What a server that has to rewrite paths cannot show is refused here too, since a manifest
//! does not know where it goes.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::HashMap;
use protocol::bundle::digest::Digest;
use protocol::bundle::entry::{Content, Entry, Name};

use super::system::{RealDirectories, SystemDirectories};
use super::walk::{Shown, Walk, Way};
use super::{LayoutError, check_second_name, quotable, tree_path};
use crate::closure::{Closure, ClosureFile, SearchKind};
use crate::configuration::TranslationUnit;
use crate::facts::{Facts, NodeId, Session};
use crate::ledger::{Want, name_of};

/// What a manifest is made of.
pub struct BundleLayout {
    /// What goes into the table; no path twice.
    pub wants: Vec<Want>,
    /// The source, which does not.
    pub own: Vec<Entry>,
}

/// Lays `closure` out, in the request that found it. `search_directories` are made to exist too.
///
/// # Errors
/// See [`LayoutError`].
pub fn lay_out_bundle(
    session: &mut Session<'_>,
    unit: &TranslationUnit,
    closure: &Closure,
    system: &SystemDirectories,
    search_directories: &[PathBuf],
) -> Result<BundleLayout, LayoutError> {
    let real = system.real(session);
    let mut builder = Builder {
        walk: Walk::new(session, &unit.cwd, &real, Shown::All)?,
        real: &real,
        files: HashMap::with_capacity_and_hasher(closure.files.len(), Default::default()),
        wants: Vec::with_capacity(closure.files.len() + 16),
        own: Vec::with_capacity(1),
    };
    for file in &closure.files {
        builder.file(file)?;
    }
    for file in &closure.has_include_hits {
        builder.unread_file(file)?;
    }
    for directory in search_directories {
        builder.walk.existing_directory(directory)?;
    }
    builder.finish()
}

struct Builder<'a, 'f> {
    walk: Walk<'a, 'f>,
    real: &'a RealDirectories,
    /// The first name of each file, and whether that led through the compiler's own directories.
    files: HashMap<NodeId, (&'a Path, Way)>,
    wants: Vec<Want>,
    own: Vec<Entry>,
}

impl<'a> Builder<'a, '_> {
    /// A file that the compiler reads under this name.
    fn file(&mut self, file: &'a ClosureFile) -> Result<(), LayoutError> {
        let way = self.walk.follow(file)?;
        let is_source = file.opened_by == SearchKind::Source;
        if is_source && way == Way::System {
            return Err(LayoutError::SystemSource {
                path: file.name.clone(),
            });
        }
        match self.files.get(&file.node) {
            // A server that rewrites paths has its own file there, whatever the name.
            Some((_, Way::System)) if way == Way::System => Ok(()),
            Some((first, _)) => check_second_name(first, file, self.walk.path(file.node)),
            None => self.add(file, way, true),
        }
    }

    /// A file that only has to be there.
    fn unread_file(&mut self, file: &'a ClosureFile) -> Result<(), LayoutError> {
        let way = self.walk.follow(file)?;
        match self.files.contains_key(&file.node) {
            true => Ok(()),
            false => self.add(file, way, false),
        }
    }

    fn add(&mut self, file: &'a ClosureFile, way: Way, read: bool) -> Result<(), LayoutError> {
        self.files.insert(file.node, (&file.name, way));
        let path = self.walk.path(file.node);
        // Also a file elsewhere to which a link among the compiler's own leads: a server may have that, too.
        let system = way == Way::System;
        let entry = match file.listed.get().filter(|known| known.system == system) {
            Some(known) => Arc::clone(known),
            None => {
                let entry = Arc::new(entry_of(file, path, system)?);
                // Somebody else's is as good, or of another option set.
                let _ = file.listed.set(Arc::clone(&entry));
                entry
            }
        };
        match file.opened_by == SearchKind::Source {
            true => self.own.push(Entry::clone(&entry)),
            false => self.wants.push(Want {
                node: file.node,
                entry,
                stamp: Some(*file.content.stamp()),
                read,
            }),
        }
        Ok(())
    }

    fn finish(self) -> Result<BundleLayout, LayoutError> {
        let facts = self.walk.facts();
        let noted = self.walk.into_noted();
        let mut wants = Vec::with_capacity(self.wants.len() + noted.links.len() + 8);
        for (link, target) in noted.links {
            wants.push(bare(facts, link, Content::Link(target), self.real)?);
        }
        for directory in noted.directories {
            // A root has every server, and it is no path of a tree.
            if directory != NodeId::ROOT {
                wants.push(bare(facts, directory, Content::Directory, self.real)?);
            }
        }
        wants.extend(self.wants);
        Ok(BundleLayout {
            wants,
            own: self.own,
        })
    }
}

/// The entry of a file that stands at `path`.
fn entry_of(file: &ClosureFile, path: &[u8], system: bool) -> Result<Entry, LayoutError> {
    let spelled = file.name.as_os_str().as_bytes();
    let name = name_of(spelled, path, system);
    if !system && name != Name::Relative && !quotable(spelled) {
        return Err(LayoutError::Unquotable {
            path: file.name.clone(),
        });
    }
    let content = &file.content;
    Ok(Entry {
        path: tree_path(path, &file.name)?,
        content: Content::File {
            digest: Digest(*content.digest()),
            size: content.size(),
            modified: content.stamp().modified.div_euclid(1_000_000_000),
        },
        late: false,
        system,
        name,
    })
}

/// A link or a directory.
fn bare(
    facts: &Facts,
    node: NodeId,
    content: Content,
    real: &RealDirectories,
) -> Result<Want, LayoutError> {
    let path = facts.path(node);
    let entry = Entry {
        path: tree_path(path, Path::new(std::ffi::OsStr::from_bytes(path)))?,
        content,
        late: false,
        system: real.hold(path),
        name: Name::Relative,
    };
    Ok(Want {
        node,
        entry: Arc::new(entry),
        stamp: None,
        read: true,
    })
}
