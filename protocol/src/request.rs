//! A compile request, protocols 1, 2 and 3.
//!
//! ```text
//! 1, 2:  DIST version  ARGC n  (ARGV word)*n  DOTI source
//! 3:     DIST 3  CDIR directory  ARGC n  (ARGV word)*n  NFIL n  (NAME path  (FILE block | LINK target))*n
//! ```
//! A decoded request holds bodies as they were on the wire; [`Request::plain_source`] and
//! [`crate::lzo::decompress`] unpack them under the reader's own cap.

use crate::decoder::{Decoder, Grammar, Step, capped, decode_all, expect};
use crate::error::WireError;
use crate::limits::Limits;
use crate::token::{Tag, Token, put_body, put_token};
use crate::tree::{EntriesGrammar, SkimmedEntries, TreeEntry, put_entries};
use crate::version::Version;

/// One job as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which protocol the client speaks; the reply has to use the same.
    pub version: Version,
    /// The client's working directory; protocol 3 only.
    pub cwd: Option<Vec<u8>>,
    /// The compiler's command line, its name first; never empty in a decoded request.
    pub argv: Vec<Vec<u8>>,
    /// What is to be compiled.
    pub input: Input,
}

/// What is to be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A preprocessed source as on the wire: plain in protocol 1, an LZO block in protocol 2.
    Preprocessed(Vec<u8>),
    /// Sources, headers and links; protocol 3.
    Tree(Vec<TreeEntry>),
}

impl Request {
    /// The request's bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = encode_head(self.version, self.cwd.as_deref(), &self.argv);
        match &self.input {
            Input::Preprocessed(wire) => put_body(&mut out, Tag::DOTI, wire),
            Input::Tree(entries) => put_entries(&mut out, entries),
        }
        out
    }

    /// Reads a request from a slice that holds exactly one.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn decode(bytes: &[u8], limits: Limits) -> Result<Self, WireError> {
        decode_all(RequestGrammar::new(true), bytes, limits)?.into_request()
    }

    /// The preprocessed source's plain bytes, at most `cap`; `None` for a pump-mode request.
    ///
    /// # Errors
    /// [`WireError::BadCompression`].
    pub fn plain_source(&self, cap: usize) -> Option<Result<Vec<u8>, WireError>> {
        match &self.input {
            Input::Preprocessed(wire) => Some(self.version.unpack(wire.clone(), cap)),
            Input::Tree(_) => None,
        }
    }
}

/// All of a request before its input. A client that has the input's bytes ready-made (a `DOTI` body, or the section of
/// [`put_entries`]) sends this and then those.
#[must_use]
pub fn encode_head(version: Version, cwd: Option<&[u8]>, argv: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + argv.iter().map(|word| word.len() + 12).sum::<usize>());
    put_token(&mut out, Tag::DIST, version.number());
    if version.server_preprocesses() {
        put_body(&mut out, Tag::CDIR, cwd.unwrap_or(b"/"));
    }
    put_words(&mut out, argv);
    out
}

/// Appends `ARGC` and the words.
pub(crate) fn put_words(out: &mut Vec<u8>, words: &[Vec<u8>]) {
    put_token(
        out,
        Tag::ARGC,
        u32::try_from(words.len()).expect("fewer than 2^32 words"),
    );
    for word in words {
        put_body(out, Tag::ARGV, word);
    }
}

/// A request that is being read from a connection.
pub struct RequestDecoder(Decoder<RequestGrammar<EntriesGrammar>>);

impl RequestDecoder {
    /// A decoder that has seen nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Decoder::new(RequestGrammar::new(true), limits))
    }

    /// Takes bytes from the peer and returns how many were used; fewer than given means that the request is complete.
    ///
    /// # Errors
    /// See [`WireError`]; after an error the decoder is of no more use.
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, WireError> {
        self.0.feed(input)
    }

    /// Whether the whole request was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// The request.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is not complete.
    pub fn finish(self) -> Result<Request, WireError> {
        self.0.finish()?.into_request()
    }
}

/// What stands in a request before its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which protocol the client speaks.
    pub version: Version,
    /// The client's working directory; protocol 3 only.
    pub cwd: Option<Vec<u8>>,
    /// The compiler's command line, its name first; never empty.
    pub argv: Vec<Vec<u8>>,
}

/// A request that is being read from a connection, and of which only the head is kept. Its input is followed to its end, so that one knows where that is;
/// paths are not looked at: [`RequestDecoder`] may still refuse it.
pub struct RequestSkimmer(Decoder<RequestGrammar<SkimmedEntries>>);

impl RequestSkimmer {
    /// A skimmer that has seen nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Decoder::new(RequestGrammar::new(false), limits))
    }

    /// As [`RequestDecoder::feed`].
    ///
    /// # Errors
    /// See [`WireError`]; after an error the skimmer is of no more use.
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, WireError> {
        self.0.feed(input)
    }

    /// Whether the whole request was seen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// The request's head.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when not all of the request was seen.
    pub fn finish(self) -> Result<Head, WireError> {
        self.0.finish()?.head()
    }
}

/// `ARGC n (ARGV word)*n`.
#[derive(Default)]
pub(crate) struct WordsGrammar {
    pub(crate) words: Vec<Vec<u8>>,
    count: Option<u32>,
}

impl Grammar for WordsGrammar {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        if self.count.is_none() {
            expect(token, Tag::ARGC, "ARGC")?;
            self.count = Some(capped(token, limits.arguments)?);
            return Ok(Step::Token);
        }
        expect(token, Tag::ARGV, "ARGV")?;
        Ok(Step::Body(capped(token, limits.argument_bytes)?))
    }

    fn body(&mut self, body: Vec<u8>, _limits: &Limits) -> Result<(), WireError> {
        self.words.push(body);
        Ok(())
    }

    fn expected(&self) -> Option<&'static str> {
        match self.count {
            None => Some("ARGC"),
            Some(count) if self.words.len() < count as usize => Some("ARGV"),
            Some(_) => None,
        }
    }
}

struct RequestGrammar<E> {
    version: Option<Version>,
    cwd: Option<Vec<u8>>,
    words: WordsGrammar,
    source: Option<Vec<u8>>,
    keeps_source: bool,
    entries: E,
}

/// The part of a request that the next token or body belongs to.
enum Part {
    Version,
    Cwd,
    Words,
    Source,
    Entries,
}

impl<E> RequestGrammar<E> {
    fn new(keeps_source: bool) -> Self
    where
        E: Default,
    {
        Self {
            version: None,
            cwd: None,
            words: WordsGrammar::default(),
            source: None,
            keeps_source,
            entries: E::default(),
        }
    }

    fn part(&self) -> Part {
        match self.version {
            None => Part::Version,
            Some(Version::Pump3) if self.cwd.is_none() => Part::Cwd,
            Some(_) if self.words.expected().is_some() => Part::Words,
            Some(Version::Pump3) => Part::Entries,
            Some(_) => Part::Source,
        }
    }

    fn head(self) -> Result<Head, WireError> {
        let version = self
            .version
            .ok_or(WireError::Truncated { expected: "DIST" })?;
        if self.words.words.is_empty() {
            return Err(WireError::NoArguments);
        }
        Ok(Head {
            version,
            cwd: self.cwd,
            argv: self.words.words,
        })
    }
}

impl RequestGrammar<EntriesGrammar> {
    fn into_request(mut self) -> Result<Request, WireError> {
        let input = match self.source.take() {
            Some(source) => Input::Preprocessed(source),
            None => Input::Tree(std::mem::take(&mut self.entries.entries)),
        };
        let Head { version, cwd, argv } = self.head()?;
        Ok(Request {
            version,
            cwd,
            argv,
            input,
        })
    }
}

impl<E: Grammar> Grammar for RequestGrammar<E> {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        match self.part() {
            Part::Version => {
                expect(token, Tag::DIST, "DIST")?;
                self.version = Some(Version::from_number(token.value)?);
                Ok(Step::Token)
            }
            Part::Cwd => {
                expect(token, Tag::CDIR, "CDIR")?;
                Ok(Step::Body(capped(token, limits.path_bytes)?))
            }
            Part::Words => self.words.token(token, limits),
            Part::Source => {
                expect(token, Tag::DOTI, "DOTI")?;
                let length = capped(token, limits.body_bytes)?;
                Ok(match self.keeps_source {
                    true => Step::Body(length),
                    false => Step::Skip(length),
                })
            }
            Part::Entries => self.entries.token(token, limits),
        }
    }

    fn body(&mut self, body: Vec<u8>, limits: &Limits) -> Result<(), WireError> {
        match self.part() {
            Part::Version => Ok(()),
            Part::Cwd => {
                self.cwd = Some(body);
                Ok(())
            }
            Part::Words => self.words.body(body, limits),
            Part::Source => {
                self.source = Some(body);
                Ok(())
            }
            Part::Entries => self.entries.body(body, limits),
        }
    }

    fn expected(&self) -> Option<&'static str> {
        match self.part() {
            Part::Version => Some("DIST"),
            Part::Cwd => Some("CDIR"),
            Part::Words => self.words.expected(),
            Part::Source => {
                if self.source.is_some() {
                    None
                } else {
                    Some("DOTI")
                }
            }
            Part::Entries => self.entries.expected(),
        }
    }
}
