//! Messages of the bundle dialect from a blocking stream. Owns the bytes that were read and not yet used.

use protocol::bundle::{Frame, FrameDecoder};
use protocol::error::WireError;
use protocol::limits::Limits;
use protocol::token::Tag;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// Bytes that were read from a stream and not yet used.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Vec<u8>,
}

impl Incoming {
    /// Reads once more; false at the end of the stream.
    ///
    /// # Errors
    /// Those of `read`.
    fn fill<E>(&mut self, read: &mut impl FnMut(&mut [u8]) -> Result<usize, E>) -> Result<bool, E> {
        let used = self.bytes.len();
        self.bytes.resize(used + CHUNK, 0);
        let read = read(&mut self.bytes[used..]);
        self.bytes.truncate(used + read.as_ref().map_or(0, |&n| n));
        Ok(read? > 0)
    }

    /// The tag of the next message; `None` when the stream ended before it.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn next_tag<E>(
        &mut self,
        read: &mut impl FnMut(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Option<Tag>, E> {
        loop {
            if let Some(&tag) = self.bytes.first_chunk() {
                return Ok(Some(Tag(tag)));
            }
            if !self.fill(read)? {
                return Ok(None);
            }
        }
    }

    /// The next message, whose tag is one of `tags`.
    ///
    /// # Errors
    /// Those of `read`, and [`WireError`].
    pub fn next<E: From<WireError>>(
        &mut self,
        tags: &'static [Tag],
        read: &mut impl FnMut(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Frame, E> {
        let mut decoder = FrameDecoder::new(tags, Limits::DEFAULT);
        self.feed(read, |bytes| {
            Ok((decoder.feed(bytes)?, decoder.is_complete()))
        })?;
        Ok(decoder.finish()?)
    }

    /// Feeds a decoder until its message is complete or the stream ends. `feed` says how many bytes it took, and whether that was all.
    ///
    /// # Errors
    /// Those of `read` and of the decoder.
    pub fn feed<E: From<WireError>>(
        &mut self,
        read: &mut impl FnMut(&mut [u8]) -> Result<usize, E>,
        mut feed: impl FnMut(&[u8]) -> Result<(usize, bool), WireError>,
    ) -> Result<(), E> {
        loop {
            let (used, is_complete) = feed(&self.bytes)?;
            self.bytes.drain(..used);
            if is_complete || !self.fill(read)? {
                return Ok(());
            }
        }
    }
}
