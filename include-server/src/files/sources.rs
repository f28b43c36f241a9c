//! Which sources' bytes are kept. A header is read by many units; a source is read by one, once, and goes to one server, so a large project's
//! would be most of the memory and never be looked at again. The latest are kept; earlier ones are put away, and read again where
//! somebody wants them after all.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Body, FileContent};

/// Bytes of sources that are kept.
const KEPT: u64 = 8 << 20;

/// The sources whose bytes are kept, in the order in which they came.
pub(crate) struct Sources {
    most: AtomicU64,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    bytes: u64,
    sources: VecDeque<Source>,
}

struct Source {
    body: Weak<Body>,
    size: u64,
    path: Box<CStr>,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources {
            most: AtomicU64::new(KEPT),
            line: Mutex::default(),
        }
    }
}

impl Sources {
    /// From now on so many bytes are kept.
    pub(crate) fn keep(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// The source at `path` was scanned; others may be put away for it.
    pub(crate) fn add(&self, content: &FileContent, path: &CStr) {
        if content.body.is_source.swap(true, Ordering::Relaxed) {
            return;
        }
        let most = self.most.load(Ordering::Relaxed);
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.bytes += content.size();
        line.sources.push_back(Source {
            body: Arc::downgrade(&content.body),
            size: content.size(),
            path: path.into(),
        });
        let mut leaving = Vec::new();
        while line.bytes > most
            && let Some(first) = line.sources.pop_front()
        {
            line.bytes -= first.size;
            leaving.push(first);
        }
        drop(line);
        for source in leaving {
            if let Some(body) = source.body.upgrade() {
                body.put_away(&source.path);
            }
        }
    }
}
