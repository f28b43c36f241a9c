//! Why a job gets no reply: one type for all steps. Owns no state.

use std::io;

use protocol::bundle::digest::Digest;

use crate::command::CommandError;
use crate::grove::GroveError;
use crate::tree::TreeError;

/// Why a job was refused or could not be done. No reply is sent: the connection is closed, as stock does, and the
/// client compiles elsewhere or at home.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The files that the client sent cannot be laid out.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The command line is not one that a server can run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The preprocessed source cannot be unpacked.
    #[error("the client's source: {0}")]
    Source(protocol::error::WireError),
    /// The output would replace a file that the client sent.
    #[error("the output {0} is one of the client's own files")]
    OverwritesInput(String),
    /// The namespace view was required and this job cannot have it.
    #[error("the namespace view was required: {0}")]
    NoView(String),
    /// The compiler read something that the client did not send, so the result may be wrong.
    #[error("the compiler read {0}, which the client did not send; result discarded")]
    UnexpectedFile(String),
    /// The object holds a path of this machine, so it is not what the client would have made.
    #[error("the object holds this server's temporary path; result discarded")]
    ServerPath,
    /// The compiler said that all went well and wrote no such file.
    #[error("the compiler succeeded but wrote no {0}")]
    MissingOutput(String),
    /// The compiler's process could not be started, through no fault of the compiler.
    #[error("cannot start a compiler: {0}")]
    Start(String),
    /// Files of the job that were in the store are there no longer; the client can send them again.
    #[error("{} of the job's files are no longer in the store", .0.len())]
    Vanished(Vec<Digest>),
    /// The server cannot give the job the view that it needs.
    #[error("{0}")]
    Unsuited(String),
    /// The compiler left more or larger files than a reply can carry.
    #[error("the compiler wrote more files than a server sends back")]
    TooManyOutputs,
    /// This machine refused something, for example because a disk is full.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl From<GroveError> for JobError {
    fn from(error: GroveError) -> Self {
        match error {
            GroveError::Tree(error) => Self::Tree(error),
            GroveError::Unsuited(unsuited) => Self::Unsuited(unsuited.to_string()),
            GroveError::Vanished(digests) => Self::Vanished(digests),
            GroveError::Io(source) => Self::Io {
                what: "laying out the client's files",
                source,
            },
        }
    }
}

impl JobError {
    /// Whether the request is to blame, and not this machine.
    #[must_use]
    pub fn is_bad_request(&self) -> bool {
        match self {
            Self::Tree(error) => error.is_bad_request(),
            Self::Command(_) | Self::Source(_) | Self::OverwritesInput(_) => true,
            _ => false,
        }
    }
}

pub(crate) fn io_at(what: &'static str) -> impl FnOnce(io::Error) -> JobError {
    move |source| JobError::Io { what, source }
}
