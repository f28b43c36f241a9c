//! What is to become of one job's result: under which name it is looked for and kept, or why it is not. Owns no state.

use protocol::bundle::digest::Digest;
use protocol::command_line::CommandLine;

use super::key::{Ingredients, Input, Twins, inputs_key, result_key};
use super::place;
use super::suitable;
use crate::job::Finished;

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// The result may be kept.
    Keep(Named),
    /// It is not kept, for a reason that a person understands.
    Not(String),
}

/// The names of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The one that holds for the same job anywhere, and the root that its outputs must not mention.
    anywhere: Option<(Digest, Vec<u8>)>,
    /// The one that holds for this place.
    here: Digest,
}

/// What a name says of a job's inputs, and where the job may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Below the root that does not count, and that root.
    anywhere: Option<(Digest, Vec<u8>)>,
    here: Digest,
}

impl Placed {
    /// Of the inputs of a job. `may_move` is false where it cannot be told by which names the compiler knows its files.
    pub(crate) fn of(cwd: &[u8], line: &CommandLine, inputs: &[Input<'_>], may_move: bool) -> Self {
        let root = may_move.then(|| place::root(cwd, line, inputs)).flatten();
        let twins = Twins::among(inputs);
        let key = |root| inputs_key(inputs, &twins, root);
        Self {
            anywhere: root.map(|root| (key(Some(root)), root.to_vec())),
            here: key(None),
        }
    }

    /// About how many bytes of memory this takes.
    pub(crate) fn bytes(&self) -> usize {
        let root = self.anywhere.as_ref();
        size_of::<Self>() + root.map_or(0, |(_, root)| root.len())
    }
}

impl Plan {
    /// The plan for a job of which all is known.
    pub(crate) fn of(line: &CommandLine, ingredients: &Ingredients<'_>, placed: &Placed) -> Self {
        if let Some(reason) = suitable::refused(line) {
            return Self::Not(reason);
        }
        let anywhere = placed.anywhere.as_ref().map(|(inputs, root)| {
            let name = result_key(ingredients, inputs, Some(root));
            (name, root.clone())
        });
        Self::Keep(Named {
            anywhere,
            here: result_key(ingredients, &placed.here, None),
        })
    }
}

impl Named {
    /// The names under which a result may lie, the likeliest first.
    pub(crate) fn names(&self) -> impl Iterator<Item = Digest> {
        let anywhere = self.anywhere.as_ref().map(|(name, _)| *name);
        anywhere.into_iter().chain([self.here])
    }

    /// The name that stands for the job while it is being compiled.
    pub(crate) fn first(&self) -> Digest {
        self.anywhere.as_ref().map_or(self.here, |(name, _)| *name)
    }

    /// The name for the result of a compile: the one that holds anywhere only if nothing in it mentions the place.
    pub(crate) fn for_result(&self, finished: &Finished) -> Digest {
        let Some((name, root)) = &self.anywhere else {
            return self.here;
        };
        let reply = &finished.reply;
        let outputs = [&reply.object, &reply.stdout, &reply.stderr];
        let mut outputs = outputs.into_iter().chain(&reply.dependencies);
        let is_tied =
            !finished.side.is_empty() || outputs.any(|output| place::mentions(output, root));
        if is_tied { self.here } else { *name }
    }
}
