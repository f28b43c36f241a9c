//! Where a path leads, step by step as the kernel follows it, and what was passed on the way.

use super::{NodeId, Value};
use rustix::io::Errno;

use super::session::{Evidence, Session};

/// Links followed in one path at most, as Linux.
const LINK_LIMIT: usize = 40;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// To this node, which is no link (unless links at the end were not to be followed). Nothing may stand there.
    At(NodeId),
    /// Nowhere: something on the way is missing or no directory.
    Nowhere,
    /// The system refuses to go on.
    Refused(Errno),
}

/// What happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Back to the root, for an absolute path or target.
    Root,
    /// Into this directory, or to this end.
    Enter(NodeId),
    /// Along this link.
    Follow(NodeId),
    /// Out of this directory by `..`.
    Leave(NodeId),
}

/// A path followed to its end.
#[derive(Debug)]
pub struct Passage {
    /// Where it leads.
    pub end: End,
    /// How it got there.
    pub steps: Box<[Step]>,
    /// All nodes that decided it.
    pub(super) evidence: Evidence,
}

/// A path on the way.
struct Walk {
    at: NodeId,
    steps: Vec<Step>,
    followed: usize,
}

/// Follows `path` from the directory `start`; a link at the end is followed too. The nodes it rests on are noted by the
/// session; the caller makes them the passage's evidence.
pub(super) fn walk(session: &mut Session<'_>, start: NodeId, path: &[u8]) -> (End, Vec<Step>) {
    let mut walk = Walk {
        at: start,
        steps: Vec::new(),
        followed: 0,
    };
    let end = walk.run(session, path);
    (end, walk.steps)
}

impl Walk {
    fn run(&mut self, session: &mut Session<'_>, path: &[u8]) -> End {
        // A name with a NUL byte cannot exist.
        if memchr::memchr(0, path).is_some() {
            return End::Nowhere;
        }
        if path.first() == Some(&b'/') {
            self.steps.push(Step::Root);
            self.at = NodeId::ROOT;
        }
        // The components to come, the next one last.
        let mut todo: Vec<Box<[u8]>> = Vec::new();
        push_components(&mut todo, path);
        session.check(self.at);
        while let Some(component) = todo.pop() {
            match session.value(self.at) {
                Value::Directory(..) => {}
                Value::Refused(errno) => return End::Refused(errno),
                _ => return End::Nowhere,
            }
            match &*component {
                b"." => continue,
                b".." => {
                    self.steps.push(Step::Leave(self.at));
                    self.at = session.parent(self.at);
                    session.check(self.at);
                    continue;
                }
                _ => {}
            }
            let next = session.child(self.at, &component);
            match session.value(next) {
                Value::Link(_, _, target) => {
                    self.followed += 1;
                    if self.followed > LINK_LIMIT {
                        return End::Refused(Errno::LOOP);
                    }
                    self.steps.push(Step::Follow(next));
                    if target.first() == Some(&b'/') {
                        self.steps.push(Step::Root);
                        self.at = NodeId::ROOT;
                        session.check(self.at);
                    }
                    push_components(&mut todo, &target);
                }
                Value::Missing if !todo.is_empty() => return End::Nowhere,
                Value::Refused(errno) => return End::Refused(errno),
                _ => {
                    self.steps.push(Step::Enter(next));
                    self.at = next;
                }
            }
        }
        End::At(self.at)
    }
}

/// Puts the components of `path` in front of those to come. A slash at the end demands a directory.
fn push_components(todo: &mut Vec<Box<[u8]>>, path: &[u8]) {
    if path.ends_with(b"/") {
        todo.push(b".".as_slice().into());
    }
    todo.extend(
        path.split(|&byte| byte == b'/')
            .rev()
            .filter(|component| !component.is_empty())
            .map(Box::from),
    );
}
