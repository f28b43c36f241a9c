//! Which file systems can be believed for what.

use std::ffi::CStr;
use std::sync::RwLock;

use foldhash::HashMap;

/// What holds on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    /// All changes go through this kernel's own file system code, so that inotify reports each of them.
    Local,
    /// `stat` is right, but files may change without inotify's knowledge: overlays (their layers can be changed beneath
    /// them) and whatever is not known.
    Unwatchable,
    /// Another machine or process changes files, and attributes are remembered for a while; only opening asks anew.
    Remote,
    /// Not files at all (`/proc`): what is read there differs from process to process.
    Peculiar,
}

impl Medium {
    /// From the magic number of `statfs`; see statfs(2) and linux/magic.h.
    fn of(magic: u64) -> Medium {
        const LOCAL: [u64; 6] = [
            0xEF53,      // ext2, ext3, ext4
            0x5846_5342, // xfs
            0x9123_683E, // btrfs
            0x0102_1994, // tmpfs
            0xF2F5_2010, // f2fs
            0xCA45_1A4E, // bcachefs
        ];
        const REMOTE: [u64; 10] = [
            0x6969,      // nfs
            0xFF53_4D42, // cifs
            0xFE53_4D42, // smb2
            0x517B,      // smb
            0x0102_1997, // 9p
            0x6573_5546, // fuse, virtiofs
            0x00C3_6400, // ceph
            0x5346_414F, // afs
            0x0BD0_0BD0, // lustre
            0x7461_636F, // ocfs2
        ];
        const PECULIAR: [u64; 2] = [
            0x9FA0,      // proc
            0x6265_6572, // sysfs
        ];
        match magic {
            magic if LOCAL.contains(&magic) => Medium::Local,
            magic if REMOTE.contains(&magic) => Medium::Remote,
            magic if PECULIAR.contains(&magic) => Medium::Peculiar,
            _ => Medium::Unwatchable,
        }
    }
}

/// Whether `stat` tells by its times of each change to what `path` leads to.
pub(crate) fn keeps_stamps(path: &std::path::Path) -> bool {
    // The type of the field differs between platforms.
    #[allow(clippy::unnecessary_cast)]
    let medium =
        rustix::fs::statfs(path).map(|found| Medium::of(found.f_type as u64 & 0xFFFF_FFFF));
    matches!(medium, Ok(Medium::Local | Medium::Unwatchable))
}

/// The file systems met so far, by device.
#[derive(Default)]
pub(super) struct Media {
    known: RwLock<HashMap<u64, Medium>>,
}

impl Media {
    /// The medium of the device that `path` (or the directory it is in) lies on.
    pub(super) fn of(&self, device: u64, path: &CStr) -> Medium {
        let read = self.known.read().unwrap_or_else(|e| e.into_inner());
        if let Some(medium) = read.get(&device) {
            return *medium;
        }
        drop(read);
        let medium = match rustix::fs::statfs(path) {
            // The type of the field differs between platforms.
            #[allow(clippy::unnecessary_cast)]
            Ok(found) => Medium::of(found.f_type as u64 & 0xFFFF_FFFF),
            // It has just gone; nothing is kept.
            Err(_) => return Medium::Unwatchable,
        };
        let mut write = self.known.write().unwrap_or_else(|e| e.into_inner());
        write.insert(device, medium);
        medium
    }

    /// After a change of mounts a device number may mean another file system.
    pub(super) fn forget(&self) {
        let mut write = self.known.write().unwrap_or_else(|e| e.into_inner());
        write.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_be_local_is_not_watched() {
        assert_eq!(Medium::of(0xEF53), Medium::Local);
        assert_eq!(Medium::of(0x6969), Medium::Remote);
        assert_eq!(Medium::of(0x794C_7630), Medium::Unwatchable); // overlayfs
        assert_eq!(Medium::of(0x1234), Medium::Unwatchable);
        let media = Media::default();
        assert_eq!(media.of(1, c"/proc/self"), Medium::Peculiar);
        assert_eq!(media.of(2, c"/no/such/directory"), Medium::Unwatchable);
    }
}
