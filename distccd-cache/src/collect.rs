//! From a compiler that ended to the reply: reads the outputs and refuses those that may be wrong. Owns no state.

use std::os::unix::ffi::OsStrExt;

use protocol::reply::Reply;
use protocol::wait_status::WaitStatus;

use crate::prepare::Run;
use crate::refusal::{JobError, io_at};
use crate::rewrite::{self, deps};
use crate::view::View;
use crate::view::namespace::is_expected;

/// Reads what a compile left. The run's directory is removed in the end, also after an error.
pub(crate) fn collect(run: Run, status: WaitStatus, cap: u64) -> Result<Reply, JobError> {
    let Run {
        version,
        view,
        tree,
        streams,
        cwd,
        object,
        dependencies,
        notice,
        job,
        ..
    } = run;
    let root = tree.root().as_os_str().as_bytes().to_vec();
    let (mut stdout, mut stderr) = streams
        .read(cap)
        .map_err(io_at("reading the compiler's words"))?;
    stderr.splice(0..0, notice);
    if view == View::Rewrite {
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
        return Ok(reply);
    }
    let read = |path: &[u8]| match tree.read_output(path, cap) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(JobError::MissingOutput(
            String::from_utf8_lossy(path).into_owned(),
        )),
        Err(source) => Err(JobError::Io {
            what: "reading an output",
            source,
        }),
    };
    reply.object = read(&object)?;
    if view == View::Rewrite && rewrite::mentions(&reply.object, job.path().as_os_str().as_bytes())
    {
        return Err(JobError::ServerPath);
    }
    if version.server_preprocesses() {
        reply.dependencies = Some(Vec::new());
    }
    if let Some(path) = &dependencies {
        let mut rules = read(path)?;
        for file in deps::prerequisites(&rules) {
            let (in_tree, path) = match file.strip_prefix(root.as_slice()) {
                _ if file.first() != Some(&b'/') => (true, [cwd.as_slice(), b"/", &file].concat()),
                Some(rest) if view == View::Rewrite && rest.first() == Some(&b'/') => {
                    (true, rest.to_vec())
                }
                _ => (view == View::Namespace, file),
            };
            let real = tree.resolve(&path)?;
            // Below a temporary root an absolute name means this machine's file, though the client may have sent its own.
            let expected = is_expected(&tree, &real) && (in_tree || !tree.has_file(&real));
            if !expected {
                return Err(JobError::UnexpectedFile(
                    String::from_utf8_lossy(&real).into_owned(),
                ));
            }
        }
        if view == View::Rewrite {
            rules = rewrite::without_root(&rules, &root);
        }
        reply.dependencies = Some(rules);
    }
    drop(job);
    Ok(reply)
}
