//! Messages of the dialect from an asynchronous stream, within limits of time and memory. Owns the bytes that were read and not yet used.

use std::time::Duration;

use protocol::bundle::{Frame, FrameDecoder};
use protocol::error::WireError;
use protocol::limits::Limits;
use protocol::token::{TOKEN_BYTES, Tag, Token};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use crate::receive::{BUFFER_BYTES, Budget, ReceiveError, read_more};

/// What a client sends, message by message.
pub(super) struct Frames<'a, R> {
    reader: &'a mut R,
    unused: Vec<u8>,
    limits: Limits,
    budget: &'a Budget,
    io_timeout: Duration,
}

impl<'a, R: AsyncRead + Unpin> Frames<'a, R> {
    /// `unused` was read from the stream before.
    pub(super) fn new(
        reader: &'a mut R,
        unused: Vec<u8>,
        limits: Limits,
        budget: &'a Budget,
        io_timeout: Duration,
    ) -> Self {
        Self {
            reader,
            unused,
            limits,
            budget,
            io_timeout,
        }
    }

    /// A token without a body.
    pub(super) async fn token(&mut self) -> Result<Token, ReceiveError> {
        let start = Instant::now();
        while self.unused.len() < TOKEN_BYTES {
            self.fill(start, 0).await?;
        }
        let mut head = [0; TOKEN_BYTES];
        head.copy_from_slice(&self.unused[..TOKEN_BYTES]);
        self.unused.drain(..TOKEN_BYTES);
        Ok(Token::decode(&head)?)
    }

    /// The next message, whose tag is one of `tags`, and the permits for its memory.
    pub(super) async fn next(
        &mut self,
        tags: &'static [Tag],
    ) -> Result<(Frame, SemaphorePermit<'a>), ReceiveError> {
        let start = Instant::now();
        let mut decoder = FrameDecoder::new(tags, self.limits);
        let mut received = 0u64;
        let mut held = self
            .budget
            .hold(BUFFER_BYTES as u64, self.io_timeout)
            .await?;
        loop {
            let used = decoder.feed(&self.unused)?;
            self.unused.drain(..used);
            received += used as u64;
            if decoder.is_complete() {
                return Ok((decoder.finish()?, held));
            }
            self.budget
                .extend(&mut held, received + BUFFER_BYTES as u64, self.io_timeout)
                .await?;
            self.fill(start, received).await?;
        }
    }

    /// Waits for the client to leave. One that sends anything while it is not asked has lost count, and is as good as gone.
    pub(super) async fn left(&mut self) {
        if self.unused.is_empty() {
            let _ = self.reader.read(&mut [0]).await;
        }
    }

    async fn fill(&mut self, start: Instant, received: u64) -> Result<(), ReceiveError> {
        let unused = &mut self.unused;
        match read_more(self.reader, unused, start, received, self.io_timeout).await? {
            0 => Err(WireError::Truncated {
                expected: "a message of the bundle dialect",
            }
            .into()),
            _ => Ok(()),
        }
    }
}
