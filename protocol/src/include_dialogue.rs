//! What a client and an include server say to each other on a unix socket.
//!
//! *Stock's dialogue*, on the socket that `INCLUDE_SERVER_PORT` names:
//! ```text
//! client:  CDIR directory  ARGC n  (ARGV word)*n
//! server:  ARGC n  (ARGV file)*n         files of a mirror tree; n = 0: not covered
//! ```
//! *The richer one*, on a second socket beside it ([`rich_socket_path`]), so that a stock include server, which dies of
//! a token that it does not expect, never sees it:
//! ```text
//! client:  PUMP 1  CDIR directory  ENVC n  (ENVV name=value)*n  ARGC n  (ARGV word)*n
//! server:  CLOS section       the closure, ready to be sent behind a protocol 3 request's words (see crate::tree)
//!          DOUB reason        no closure: preprocess at home, for this reason
//! ```
//! One query a connection; the client closes.
//!
//! *Its second version* is for servers that speak the bundle dialect ([`crate::bundle`]). The query is the same with `PUMP 2`. Then:
//! ```text
//! server:  MANI body         manifest and platform, each a byte string: see crate::bundle::{manifest, setting}
//!          DOUB reason       no closure, as above
//! client:  NEED body         what the server lacks, as that server wrote it; any number of times
//! server:    TABL body, PACK body ... , HAVE 0      to be passed on as they are; or DOUB reason
//! client:  SECT 0            the server does not speak the dialect: the closure as a section
//! server:    CLOS section, or DOUB reason
//! ```
//! Only what belongs to the query's own closure is given, whatever a server asks for.

use crate::bundle::number::{Body, put_bytes};
use crate::decoder::{Decoder, Grammar, Step, capped, decode_all, expect};
use crate::error::WireError;
use crate::limits::Limits;
use crate::request::{WordsGrammar, put_words};
use crate::token::{Tag, Token, put_body, put_token};

/// What a client wants of the richer dialogue; the number is its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum RichVersion {
    /// The closure as a section of protocol 3.
    Section = 1,
    /// The closure as a manifest of the bundle dialect.
    Manifest = 2,
}

impl RichVersion {
    fn from_number(number: u32) -> Result<Self, WireError> {
        match number {
            1 => Ok(Self::Section),
            2 => Ok(Self::Manifest),
            other => Err(WireError::UnknownVersion(other)),
        }
    }
}

/// What is appended to the path in `INCLUDE_SERVER_PORT` to get the richer dialogue's socket.
pub const RICH_SOCKET_SUFFIX: &[u8] = b".pumphouse";

/// The path of the richer dialogue's socket.
#[must_use]
pub fn rich_socket_path(include_server_port: &[u8]) -> Vec<u8> {
    [include_server_port, RICH_SOCKET_SUFFIX].concat()
}

/// The environment variables that change what a compiler reads or how; a client sends those that are set.
pub const RELEVANT_ENVIRONMENT: [&str; 16] = [
    "PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "OBJCPLUS_INCLUDE_PATH",
    "GCC_EXEC_PREFIX",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "SOURCE_DATE_EPOCH",
    "SDKROOT",
    "CCC_OVERRIDE_OPTIONS",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "LANG",
    "LC_ALL",
];

/// A question: which files does this command read?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The compile's working directory.
    pub cwd: Vec<u8>,
    /// `NAME=value` entries; `None` in stock's dialogue, which has no such field.
    pub environment: Option<Vec<Vec<u8>>>,
    /// The compile's command line, the compiler's name first.
    pub argv: Vec<Vec<u8>>,
}

impl Query {
    /// The query's bytes: in stock's dialogue without an environment, in the richer one's first version with one.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_for(RichVersion::Section)
    }

    /// As [`Query::encode`], for a version of the richer dialogue.
    #[must_use]
    pub fn encode_for(&self, version: RichVersion) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        if self.environment.is_some() {
            put_token(&mut out, Tag::PUMP, version as u32);
        }
        put_body(&mut out, Tag::CDIR, &self.cwd);
        if let Some(environment) = &self.environment {
            put_token(
                &mut out,
                Tag::ENVC,
                u32::try_from(environment.len()).expect("fewer than 2^32 variables"),
            );
            for entry in environment {
                put_body(&mut out, Tag::ENVV, entry);
            }
        }
        put_words(&mut out, &self.argv);
        out
    }
}

/// Which dialogue a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialogue {
    /// Stock's.
    Stock,
    /// Ours.
    Rich,
}

/// A query that is being read from a connection.
pub struct QueryDecoder(Decoder<QueryGrammar>);

impl QueryDecoder {
    /// A decoder that has seen nothing yet.
    #[must_use]
    pub fn new(dialogue: Dialogue, limits: Limits) -> Self {
        Self(Decoder::new(QueryGrammar::new(dialogue), limits))
    }

    /// Takes bytes from the client and returns how many were used.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, WireError> {
        self.0.feed(input)
    }

    /// Whether the whole query was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// Which version of the richer dialogue the client opened; `None` in stock's dialogue and before it is read.
    #[must_use]
    pub fn version(&self) -> Option<RichVersion> {
        self.0.grammar().version
    }

    /// The query.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is not complete, [`WireError::NoArguments`] when it has no words.
    pub fn finish(self) -> Result<Query, WireError> {
        self.0.finish()?.into_query()
    }
}

struct QueryGrammar {
    greeted: bool,
    version: Option<RichVersion>,
    cwd: Option<Vec<u8>>,
    environment: Option<Vec<Vec<u8>>>,
    environment_count: Option<u32>,
    words: WordsGrammar,
}

impl QueryGrammar {
    fn new(dialogue: Dialogue) -> Self {
        let rich = dialogue == Dialogue::Rich;
        Self {
            greeted: !rich,
            version: None,
            cwd: None,
            environment: rich.then(Vec::new),
            environment_count: None,
            words: WordsGrammar::default(),
        }
    }

    fn into_query(self) -> Result<Query, WireError> {
        if self.words.words.is_empty() {
            return Err(WireError::NoArguments);
        }
        Ok(Query {
            cwd: self.cwd.unwrap_or_default(),
            environment: self.environment,
            argv: self.words.words,
        })
    }

    /// What the environment still lacks; `None` when it is complete or the dialogue has none.
    fn environment_expected(&self) -> Option<&'static str> {
        match (&self.environment, self.environment_count) {
            (None, _) => None,
            (Some(_), None) => Some("ENVC"),
            (Some(entries), Some(count)) => (entries.len() < count as usize).then_some("ENVV"),
        }
    }
}

impl Grammar for QueryGrammar {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        if !self.greeted {
            expect(token, Tag::PUMP, "PUMP")?;
            self.version = Some(RichVersion::from_number(token.value)?);
            self.greeted = true;
            return Ok(Step::Token);
        }
        if self.cwd.is_none() {
            expect(token, Tag::CDIR, "CDIR")?;
            return Ok(Step::Body(capped(token, limits.path_bytes)?));
        }
        match self.environment_expected() {
            Some("ENVC") => {
                expect(token, Tag::ENVC, "ENVC")?;
                self.environment_count = Some(capped(token, limits.arguments)?);
                Ok(Step::Token)
            }
            Some(_) => {
                expect(token, Tag::ENVV, "ENVV")?;
                Ok(Step::Body(capped(token, limits.argument_bytes)?))
            }
            None => self.words.token(token, limits),
        }
    }

    fn body(&mut self, body: Vec<u8>, limits: &Limits) -> Result<(), WireError> {
        if self.cwd.is_none() {
            self.cwd = Some(body);
            return Ok(());
        }
        if self.environment_expected().is_some()
            && let Some(environment) = &mut self.environment
        {
            environment.push(body);
            return Ok(());
        }
        self.words.body(body, limits)
    }

    fn expected(&self) -> Option<&'static str> {
        if !self.greeted {
            return Some("PUMP");
        }
        if self.cwd.is_none() {
            return Some("CDIR");
        }
        self.environment_expected()
            .or_else(|| self.words.expected())
    }
}

/// The body of `MANI`: a manifest and a platform, as their `put` functions wrote them.
#[must_use]
pub fn encode_manifest_answer(manifest: &[u8], platform: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(manifest.len() + platform.len() + 16);
    put_bytes(&mut out, manifest);
    put_bytes(&mut out, platform);
    out
}

/// The manifest and the platform in the body of `MANI`, as the include server wrote them.
///
/// # Errors
/// See [`WireError`].
pub fn decode_manifest_answer(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut body = Body::new(bytes);
    let manifest = body.bytes(u32::MAX)?;
    let platform = body.bytes(u32::MAX)?;
    body.end()?;
    Ok((manifest, platform))
}

/// The answer's bytes in stock's dialogue: names in a mirror tree; none means "not covered".
#[must_use]
pub fn encode_stock_answer(files: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(files.iter().map(|file| file.len() + 12).sum::<usize>() + 12);
    put_words(&mut out, files);
    out
}

/// Reads an answer in stock's dialogue. A server that closes early has not covered the command either, but that is the
/// caller's to say: here it is [`WireError::Truncated`].
///
/// # Errors
/// See [`WireError`].
pub fn decode_stock_answer(bytes: &[u8], limits: Limits) -> Result<Vec<Vec<u8>>, WireError> {
    // The answer's words are file names, of which there may be more than a command line has words.
    let limits = Limits {
        arguments: limits.files,
        argument_bytes: limits.path_bytes,
        ..limits
    };
    Ok(decode_all(WordsGrammar::default(), bytes, limits)?.words)
}

/// The answer in the richer dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The closure: a section as [`crate::tree::put_entries`] writes it.
    Closure(Vec<u8>),
    /// Why there is none, in one line.
    Doubt(String),
}

impl Answer {
    /// The answer's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (tag, body) = match self {
            Self::Closure(section) => (Tag::CLOS, section.as_slice()),
            Self::Doubt(reason) => (Tag::DOUB, reason.as_bytes()),
        };
        let mut out = Vec::with_capacity(body.len() + 12);
        put_body(&mut out, tag, body);
        out
    }

    /// Reads an answer from a slice that holds exactly one.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn decode(bytes: &[u8], limits: Limits) -> Result<Self, WireError> {
        decode_all(AnswerGrammar::default(), bytes, limits)?.into_answer()
    }
}

/// An answer in the richer dialogue that is being read from a connection.
pub struct AnswerDecoder(Decoder<AnswerGrammar>);

impl AnswerDecoder {
    /// A decoder that has seen nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Decoder::new(AnswerGrammar::default(), limits))
    }

    /// Takes bytes from the include server and returns how many were used.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, WireError> {
        self.0.feed(input)
    }

    /// Whether the whole answer was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// The answer.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is not complete.
    pub fn finish(self) -> Result<Answer, WireError> {
        self.0.finish()?.into_answer()
    }
}

#[derive(Default)]
struct AnswerGrammar {
    tag: Option<Tag>,
    body: Option<Vec<u8>>,
}

impl AnswerGrammar {
    fn into_answer(self) -> Result<Answer, WireError> {
        let body = self.body.ok_or(WireError::Truncated {
            expected: "CLOS or DOUB",
        })?;
        Ok(match self.tag {
            Some(Tag::CLOS) => Answer::Closure(body),
            _ => Answer::Doubt(String::from_utf8_lossy(&body).into_owned()),
        })
    }
}

impl Grammar for AnswerGrammar {
    fn token(&mut self, token: Token, limits: &Limits) -> Result<Step, WireError> {
        let limit = match token.tag {
            Tag::CLOS => u32::try_from(limits.message_bytes).unwrap_or(u32::MAX),
            Tag::DOUB => limits.argument_bytes,
            _ => {
                return Err(WireError::UnexpectedToken {
                    expected: "CLOS or DOUB",
                    got: token.tag.to_string(),
                });
            }
        };
        self.tag = Some(token.tag);
        Ok(Step::Body(capped(token, limit)?))
    }

    fn body(&mut self, body: Vec<u8>, _limits: &Limits) -> Result<(), WireError> {
        self.body = Some(body);
        Ok(())
    }

    fn expected(&self) -> Option<&'static str> {
        if self.body.is_some() {
            None
        } else {
            Some("CLOS or DOUB")
        }
    }
}
