//! From a compiler that ended to the reply: reads the outputs and refuses those that may be wrong. Owns no state.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;

use protocol::reply::Reply;
use protocol::wait_status::WaitStatus;

use crate::prepare::{Reads, Run};
use crate::reads::Named;
use crate::refusal::{JobError, io_at};
use crate::rewrite::{self, deps};
use crate::tree::parent_of;
use crate::view::View;
use crate::view::namespace::is_expected;

/// What a compile left.
#[derive(Debug)]
pub(crate) struct Collected {
    /// What goes back.
    pub(crate) reply: Reply,
    /// Further files by their paths at the client.
    pub(crate) side: SideFiles,
    /// Files of this server's that a job of stock's protocols is known to have read.
    pub(crate) own_reads: Vec<Vec<u8>>,
}

/// Paths and contents.
type SideFiles = Vec<(Vec<u8>, Vec<u8>)>;

/// Most files that are sent back besides object and dependency file.
const SIDE_FILES: usize = 64;

/// Reads what a compile left. The run's directory is removed in the end, also after an error.
pub(crate) fn collect(mut run: Run, status: WaitStatus, cap: u64) -> Result<Collected, JobError> {
    let version = run.version;
    let root = run.tree.root().as_os_str().as_bytes().to_vec();
    let (mut stdout, mut stderr) = run
        .streams
        .read(cap)
        .map_err(io_at("reading the compiler's words"))?;
    stderr.splice(0..0, std::mem::take(&mut run.notice));
    if run.view == View::Rewrite {
        stdout = rewrite::without_root(&stdout, &root);
        stderr = rewrite::without_root(&stderr, &root);
    }
    let mut reply = Reply {
        version,
        status,
        stderr,
        stdout,
        object: Vec::new(),
        dependencies: None,
    };
    if !status.success() {
        return Ok(Collected {
            reply,
            side: Vec::new(),
            own_reads: Vec::new(),
        });
    }
    reply.object = read(&run, &run.object, cap)?;
    refuse_server_path(&run, &reply.object)?;
    if version.server_preprocesses() {
        reply.dependencies = Some(Vec::new());
    }
    let mut side = Vec::new();
    let mut own_reads = Vec::new();
    if let Some(path) = &run.dependencies {
        let mut rules = read(&run, path, cap)?;
        let names = deps::prerequisites(&rules);
        match &run.reads {
            Reads::Toolchain => own_reads = check_toolchain_reads(&run, names, &root)?,
            Reads::Manifest(reads) => {
                reads.check(
                    &run.tree,
                    names.into_iter().map(|name| named(&run, name, &root)),
                )?;
            }
        }
        if run.view == View::Rewrite {
            rules = rewrite::without_root(&rules, &root);
        }
        reply.dependencies = Some(rules);
    }
    if let Reads::Manifest(reads) = &run.reads {
        if !reads.listed_for_client {
            reply.dependencies = None;
        }
        side = side_outputs(&run, cap)?;
    }
    Ok(Collected {
        reply,
        side,
        own_reads,
    })
}

fn read(run: &Run, path: &[u8], cap: u64) -> Result<Vec<u8>, JobError> {
    match run.tree.read_output(path, cap) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(JobError::MissingOutput(
            String::from_utf8_lossy(path).into_owned(),
        )),
        Err(source) => Err(JobError::Io {
            what: "reading an output",
            source,
        }),
    }
}

/// In the rewriting view, an output with the temporary root in it is not what the client would have made.
fn refuse_server_path(run: &Run, output: &[u8]) -> Result<(), JobError> {
    match &run.job {
        Some(job)
            if run.view == View::Rewrite
                && rewrite::mentions(output, job.path().as_os_str().as_bytes()) =>
        {
            Err(JobError::ServerPath)
        }
        _ => Ok(()),
    }
}

/// Where a name in a dependency file is.
fn named<'a>(run: &Run, name: Cow<'a, [u8]>, root: &[u8]) -> Named<'a> {
    if name.first() != Some(&b'/') {
        return Named::Client([run.cwd.as_slice(), b"/", &name].concat().into());
    }
    match (run.view, name.strip_prefix(root)) {
        (View::Namespace, _) => Named::Client(name),
        (View::Rewrite, Some(rest)) if rest.first() == Some(&b'/') => {
            Named::Client(rest.to_vec().into())
        }
        (View::Rewrite, _) => Named::Server(name),
    }
}

/// Refuses what was read and is neither the client's nor the toolchain's. Gives back the latter.
fn check_toolchain_reads(
    run: &Run,
    names: Vec<Cow<'_, [u8]>>,
    root: &[u8],
) -> Result<Vec<Vec<u8>>, JobError> {
    let mut own_reads = Vec::new();
    for name in names {
        let (path, of_client) = match named(run, name, root) {
            Named::Client(path) => (path, true),
            Named::Server(path) => (path, false),
        };
        let real = run.tree.resolve(&path)?;
        // Below a temporary root an absolute name means this machine's file, though the client may have sent its own.
        let expected = is_expected(&run.tree, &real) && (of_client || !run.tree.has_file(&real));
        if !expected {
            return Err(JobError::UnexpectedFile(
                String::from_utf8_lossy(&real).into_owned(),
            ));
        }
        if !run.tree.has_file(&real) {
            own_reads.push(real);
        }
    }
    Ok(own_reads)
}

/// The regular files that a compile left beside its outputs and in its working directory.
fn side_outputs(run: &Run, cap: u64) -> Result<SideFiles, JobError> {
    let mut dirs = vec![parent_of(&run.object), run.cwd.as_slice()];
    dirs.dedup();
    let mut side = Vec::new();
    let mut left = cap;
    for dir in dirs {
        let names = run.tree.list(dir).map_err(io_at("looking for outputs"))?;
        for name in names {
            let path = match dir {
                b"/" => [b"/", name.as_slice()].concat(),
                dir => [dir, b"/", name.as_slice()].concat(),
            };
            let known = path == run.object || run.dependencies.as_ref() == Some(&path);
            if known || run.tree.has(&path) {
                continue;
            }
            let Some(bytes) = run
                .tree
                .read_output(&path, left)
                .map_err(io_at("reading an output"))?
            else {
                continue;
            };
            if side.len() == SIDE_FILES {
                return Err(JobError::TooManyOutputs);
            }
            refuse_server_path(run, &bytes)?;
            left -= bytes.len() as u64;
            side.push((path, bytes));
        }
    }
    side.sort_unstable();
    Ok(side)
}
