//! Where clients' paths meet the server's toolchain directories. Owns what was found out about each entry of a table, once for all jobs; it holds as long as
//! the server's directories are as they were, which is looked at for each job.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::bundle::entry::Content;
use protocol::bundle::indices::Indices;
use protocol::tree_path::TreePath;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::table::Table;
use crate::tree::is_below;
use crate::view::Unsuited;
use crate::view::meeting::{Meeting, Meetings, host_path, is_obeyed};
use crate::view::skeleton::Skeleton;

/// A meeting for which something has to be mounted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The client's directory goes in the place of the server's of the same path.
    Replace(Vec<u8>),
    /// The client has something in a directory where the server has other things.
    Merge {
        /// The server's directory.
        dir: Vec<u8>,
        /// The directory in it that only the client has, if it is one.
        next: Option<Vec<u8>>,
        /// The server has something else of that name, so the client's has to come first.
        over: bool,
    },
}

/// One of the directories in which the client's compiler looks by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SystemDirectory {
    /// Its path.
    pub(crate) path: Vec<u8>,
    /// Whether the server has a directory there that has to be hidden.
    pub(crate) hides: bool,
}

/// Looks at the client's system directories that are below the server's toolchain directories.
///
/// # Errors
/// [`Unsuited`] when the server has something else there, such as a link.
pub(crate) fn system_directories(
    skeleton: &Skeleton,
    paths: &[Vec<u8>],
) -> Result<Vec<SystemDirectory>, Unsuited> {
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        if skeleton.root_of(path).is_none() {
            continue;
        }
        let in_the_way = || Unsuited::InTheWay(String::from_utf8_lossy(path).into_owned());
        // It names a mount point, so it has to be just what it seems.
        if !TreePath::new(path).is_ok_and(|normal| normal.as_bytes() == path.as_slice()) {
            return Err(in_the_way());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let here = rustix::fs::CWD;
        let resolve = ResolveFlags::NO_SYMLINKS;
        let hides = match rustix::fs::openat2(here, path.as_slice(), flags, Mode::empty(), resolve)
        {
            Ok(_) => true,
            Err(Errno::NOENT) => false,
            Err(_) => return Err(in_the_way()),
        };
        found.push(SystemDirectory {
            path: path.clone(),
            hides,
        });
    }
    if found.len() > MOST_PLACES {
        return Err(Unsuited::TooManyPlaces(found.len()));
    }
    Ok(found)
}

/// What is known of one table under one set of system directories.
#[derive(Debug, Default)]
struct Terrain {
    system: Vec<SystemDirectory>,
    /// For each entry, zero or one more than its place's index.
    of: Vec<u32>,
    places: Vec<Place>,
    numbers: HashMap<Place, u32>,
    /// Entries that a compiler would obey.
    obeyed: Vec<u32>,
    /// The directories that the places rest on, as they were.
    stamps: HashMap<Vec<u8>, Stamp>,
}

/// Device, inode, and the times of modification and change, of a directory.
type Stamp = (u64, u64, i64, i64, i64, i64);

/// A table's serial number and the system directories.
type Key = (u64, Vec<SystemDirectoryKey>);

type SystemDirectoryKey = (Vec<u8>, bool);

/// All that is known; bounded by forgetting all of it.
#[derive(Debug, Default)]
pub(crate) struct Terrains {
    known: Mutex<HashMap<Key, Arc<Mutex<Terrain>>>>,
}

/// How many terrains are remembered.
const KEPT: usize = 64;

/// How many places one job may have: each is a mount.
pub(crate) const MOST_PLACES: usize = 500;

impl Terrains {
    /// The places of a job's entries of a table.
    ///
    /// # Errors
    /// [`Unsuited`] when there are too many.
    pub(crate) fn places(
        &self,
        skeleton: &Skeleton,
        table: &Table,
        system: &[SystemDirectory],
        used: &Indices,
    ) -> Result<Vec<Place>, Unsuited> {
        let directories = system.iter().map(|dir| (dir.path.clone(), dir.hides));
        let key = (table.serial(), directories.collect());
        let terrain = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= KEPT && !known.contains_key(&key) {
                known.clear();
            }
            Arc::clone(known.entry(key).or_default())
        };
        let mut terrain = terrain.lock().unwrap_or_else(PoisonError::into_inner);
        if !terrain.holds() {
            *terrain = Terrain::default();
        }
        terrain.system = system.to_vec();
        terrain.extend(skeleton, table, used.end());
        if let Some(index) = terrain.obeyed.iter().find(|&&index| used.contains(index)) {
            let entry = table.entries(std::iter::once(*index));
            let path = entry.first().map(|(_, entry)| entry.path.to_string());
            return Err(Unsuited::InTheWay(path.unwrap_or_default()));
        }
        let mut wanted = vec![false; terrain.places.len()];
        if !wanted.is_empty() {
            for index in used.iter() {
                let number = terrain.of.get(index as usize).copied().unwrap_or(0);
                if let Some(place) = number.checked_sub(1) {
                    wanted[place as usize] = true;
                }
            }
        }
        let places = terrain.places.iter().zip(&wanted);
        let places: Vec<Place> = places
            .filter(|(_, wanted)| **wanted)
            .map(|(place, _)| place.clone())
            .collect();
        match places.len() > MOST_PLACES {
            true => Err(Unsuited::TooManyPlaces(places.len())),
            false => Ok(places),
        }
    }
}

impl Terrain {
    fn holds(&self) -> bool {
        self.stamps
            .iter()
            .all(|(dir, stamp)| stamp_of(dir) == Some(*stamp))
    }

    /// Looks at the entries up to a length.
    fn extend(&mut self, skeleton: &Skeleton, table: &Table, length: u32) {
        let from = u32::try_from(self.of.len()).unwrap_or(u32::MAX);
        if from >= length {
            return;
        }
        let mut meetings = Meetings::new(self.system.iter().map(|dir| dir.path.clone()).collect());
        for (index, entry) in table.entries(from..length) {
            let is_directory = entry.content == Content::Directory;
            let path = entry.path.as_bytes();
            if is_obeyed(path) && skeleton.root_of(path).is_some() {
                self.obeyed.push(index);
            }
            let place = place_of(skeleton, &self.system, &mut meetings, path, is_directory);
            let number = place.map_or(0, |place| self.number(place));
            self.of.push(number);
        }
    }

    fn number(&mut self, place: Place) -> u32 {
        if let Some(number) = self.numbers.get(&place) {
            return *number;
        }
        let dir = match &place {
            Place::Replace(dir) | Place::Merge { dir, .. } => dir,
        };
        // One that is not there has no stamp, and the terrain does not hold the next time.
        let stamp = stamp_of(dir).unwrap_or((0, 0, 0, 0, 0, 0));
        self.stamps.insert(dir.clone(), stamp);
        self.places.push(place.clone());
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.numbers.insert(place, number);
        number
    }
}

fn stamp_of(dir: &[u8]) -> Option<Stamp> {
    let meta = fs::symlink_metadata(host_path(dir)).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    ))
}

/// What has to be mounted so that a path of the client's is seen; `None` when it is seen anyway.
pub(crate) fn place_of(
    skeleton: &Skeleton,
    system: &[SystemDirectory],
    meetings: &mut Meetings,
    path: &[u8],
    is_directory: bool,
) -> Option<Place> {
    let root = skeleton.root_of(path)?;
    if system
        .iter()
        .any(|dir| dir.hides && is_below(path, &dir.path))
    {
        return None;
    }
    match meetings.at(root.as_bytes(), path) {
        Meeting::None => None,
        Meeting::Replace(dir) => Some(Place::Replace(dir)),
        Meeting::Merge { dir, next, over } => {
            let is_dir = next.len() < path.len() || is_directory;
            Some(Place::Merge {
                dir,
                next: (is_dir && !over).then_some(next),
                over,
            })
        }
    }
}
