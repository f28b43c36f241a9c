//! What is to become of one job's result: under which name it is looked for and kept, or why it is not. Owns no state.

use protocol::bundle::digest::Digest;
use protocol::command_line::CommandLine;

use super::key::{Ingredients, Twins, result_key};
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

impl Plan {
    /// The plan for a job whose ingredients are known. `may_move` is false where it cannot be told by which names the compiler knows its files.
    pub(crate) fn of(line: &CommandLine, ingredients: &Ingredients<'_>, may_move: bool) -> Self {
        if let Some(reason) = suitable::refused(line) {
            return Self::Not(reason);
        }
        let root = may_move
            .then(|| place::root(ingredients.cwd, line, ingredients.inputs))
            .flatten();
        let twins = Twins::among(ingredients.inputs);
        let name = |root| result_key(ingredients, &twins, root);
        Self::Keep(Named {
            anywhere: root.map(|root| (name(Some(root)), root.to_vec())),
            here: name(None),
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
