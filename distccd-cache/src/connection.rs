//! One client, from its first byte to our last. Owns the order of the steps; every way it can end is one [`Failure`] or
//! a reply, and is counted and logged in one place.

use std::time::{Duration, Instant};

use protocol::exit_code::ExitCode;
use protocol::reply::Reply;
use protocol::request::Head;
use protocol::token::Tag;
use protocol::wait_status::WaitStatus;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::arguments;
use crate::bundle;
use crate::command::source_name;
use crate::failure::{Cached, Done, Failure};
use crate::house::House;
use crate::log::{notice, shown};
use crate::peer::Peer;
use crate::receive::{self, Received};
use crate::reply::send;
use crate::statistics::Ending;
use crate::task::Task;
use crate::whitelist::CompilerRefusal;

/// Serves one client. Returns the exit code of a process that serves no other.
pub(crate) async fn serve<R, W>(house: &House, peer: &Peer, mut reader: R, mut writer: W) -> u8
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let started = Instant::now();
    let _here = house.roster.enter(peer);
    let result = job(house, peer, &mut reader, &mut writer).await;
    let time = started.elapsed();
    let (done, code) = match result {
        Ok(done) => (done, 0),
        Err(failure) => {
            failure.log(peer);
            let (ending, code) = failure.reaction();
            let nothing = String::new;
            let status = WaitStatus::SUCCESS;
            (
                Done {
                    ending,
                    status,
                    compiler: nothing(),
                    source: nothing(),
                    cache: Cached::Unasked,
                },
                code.code(),
            )
        }
    };
    finish(house, peer, &done, code, time);
    code
}

/// Counts and logs a connection that was turned away because there are too many.
pub(crate) fn turn_away(house: &House, peer: &Peer) {
    tracing::error!("{peer}: turned away: too many clients");
    let nothing = String::new;
    let done = Done {
        ending: Ending::Overload,
        status: WaitStatus::SUCCESS,
        compiler: nothing(),
        source: nothing(),
        cache: Cached::Unasked,
    };
    finish(house, peer, &done, ExitCode::Busy.code(), Duration::ZERO);
}

/// The one line per job, in stock's form.
fn finish(house: &House, peer: &Peer, done: &Done, code: u8, time: Duration) {
    let named = if done.ending.is_compile() {
        format!("{} {}", done.compiler, done.source)
    } else {
        String::new()
    };
    house
        .statistics
        .ended(done.ending, time, &done.compiler, &done.source);
    house.roster.ended(peer, done, time);
    // A line of its own: stock's is read by people's scripts.
    if !matches!(done.cache, Cached::Unasked) {
        notice!(target: "dcc_job_cache", "client: {peer} {}: {named}", done.cache);
    }
    notice!(
        target: "dcc_job_summary",
        "client: {peer} {} exit:{} sig:{} core:{} ret:{code} time:{}ms {named}",
        done.ending.word(),
        done.status.exit_code(),
        done.status.signal().unwrap_or(0),
        u8::from(done.status.core_dumped()),
        time.as_millis(),
    );
}

async fn job<R, W>(
    house: &House,
    peer: &Peer,
    reader: &mut R,
    writer: &mut W,
) -> Result<Done, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let settings = &house.settings;
    let first = tokio::select! {
        first = receive::first_bytes(reader, settings.io_timeout) => first?,
        () = house.finishing() => return Err(Failure::Stopping),
    };
    // Without a store this daemon hangs up on the dialect, as stock's does: the client goes on by protocol 3.
    if let Some(shelf) = &settings.shelf
        && first.starts_with(&Tag::BNDL.0)
    {
        return bundle::converse(house, shelf, peer, first, reader, writer).await;
    }
    let received = tokio::select! {
        received = receive::request(reader, first, settings.limits, &house.budget, settings.io_timeout) => received?,
        () = house.finishing() => return Err(Failure::Stopping),
    };
    let Received {
        head,
        wire,
        digest,
        memory: _memory,
    } = received;
    tracing::debug!("{peer}: {}", shown_command(&head));
    let compiler = match settings.whitelist.admit(&head.argv[0]) {
        Ok(compiler) => compiler,
        Err(refusal @ CompilerRefusal::NotInstalled(_)) => {
            tracing::error!("{peer}: {refusal}");
            let reply = not_installed(&head, &refusal);
            let status = reply.status;
            send(house, peer, reply.encode(), writer).await;
            return Ok(Done {
                ending: Ending::CompileError,
                status,
                compiler: shown(&head.argv[0]),
                source: String::new(),
                cache: Cached::Unasked,
            });
        }
        Err(refusal) => return Err(refusal.into()),
    };
    if let Some(refusal) = arguments::refused(&head.argv, settings.sysroot.as_deref()) {
        return Err(Failure::Arguments(refusal));
    }

    let source = source_name(&head.argv);
    house.roster.name(peer, &head.argv[0], &source);
    Task::new(head, wire, digest, compiler)
        .serve(house, peer, reader, writer)
        .await
}

/// The reply to a client whose compiler is allowed here but not installed.
fn not_installed(head: &Head, refusal: &CompilerRefusal) -> Reply {
    Reply {
        version: head.version,
        status: WaitStatus::exited(ExitCode::CompilerMissing.code()),
        stderr: format!("distccd[{}] ERROR: {refusal}\n", std::process::id()).into_bytes(),
        stdout: Vec::new(),
        object: Vec::new(),
        dependencies: None,
    }
}

fn shown_command(head: &Head) -> String {
    head.argv
        .iter()
        .map(|word| shown(word))
        .collect::<Vec<_>>()
        .join(" ")
}
