//! Reading a content for [`Probes`], within a limit of work. Owns what one reading may still cost.
//!
//! What a mark asks for may stand far behind it, on a line of megabytes or behind a comment of megabytes, and there may be a mark in each of its bytes. So
//! all that is looked at because of a mark is counted. People's sources come to less than their own length; what comes to [`WORK`] times that is given up.

use memchr::memmem;

use super::probes::{Probes, hash};

/// Bytes that may be looked at because of marks, for each byte of a content.
const WORK: usize = 16;

/// As many more, so that a small content may be dense.
const WORK_AT_LEAST: usize = 256 << 10;

/// What a name costs, beside its bytes: it is kept.
const NAME: usize = 64;

/// What a comment costs, beside its bytes: looking for the end of a short one takes as long.
const COMMENT: usize = 32;

/// What directives begin with: in plain, as a digraph, as a trigraph.
const MARKS: [&[u8]; 3] = [b"#", b"%:", b"??="];

/// A content is not read to its end: it costs too much, or is no text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GivenUp;

/// What a text looks for whose continued lines are joined, in the order in which it stands there.
pub(super) fn probes(text: &[u8]) -> Result<Probes, GivenUp> {
    let mut reader = Reader {
        text,
        probes: Probes::default(),
        left: text
            .len()
            .saturating_mul(WORK)
            .saturating_add(WORK_AT_LEAST),
    };
    reader.read()?;
    Ok(reader.probes)
}

struct Reader<'a> {
    text: &'a [u8],
    probes: Probes,
    /// Bytes that may still be looked at because of marks.
    left: usize,
}

/// What follows `include`, `import` or `embed`.
enum Operand<'a> {
    Written(&'a [u8]),
    Computed,
    /// No operand: prose, or `#ifdef __has_include`.
    None,
}

/// A directive that matters here.
enum Directive<'a> {
    /// What stands behind `#if` or `#elif`.
    Condition(&'a [u8]),
    Definition(Definition<'a>),
}

/// A macro: its name, its parameters' text, what stands behind.
#[derive(Clone, Copy)]
struct Definition<'a> {
    name: &'a [u8],
    parameters: &'a [u8],
    body: &'a [u8],
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), GivenUp> {
        let text = self.text;
        // Compilers take it for a blank.
        if memchr::memchr(0, text).is_some() {
            return Err(GivenUp);
        }
        for word in [&b"include"[..], b"import", b"embed"] {
            for at in memmem::find_iter(text, word) {
                self.read_word(at, word.len())?;
            }
        }
        self.probes.is_system = memmem::find(text, b"system_header").is_some();
        let mut definitions = Vec::new();
        for mark in MARKS {
            for at in memmem::find_iter(text, mark) {
                let after = &text[at + mark.len()..];
                self.probes.is_system |= is_line_marker(&text[..at], after);
                match self.directive(after)? {
                    Some(Directive::Condition(rest)) => self.read_condition(rest)?,
                    Some(Directive::Definition(found)) => {
                        if let Operand::Written(name) = self.operand(found.body, false, false)? {
                            self.look(NAME + name.len())?;
                            self.probes.defined.push(name.into());
                        }
                        if !self.probes.wrappers.is_empty() {
                            definitions.push(found);
                        }
                    }
                    None => {}
                }
            }
        }
        self.add_outer_wrappers(&definitions)
    }

    /// Counts what is looked at.
    fn look(&mut self, bytes: usize) -> Result<(), GivenUp> {
        self.left = self.left.checked_sub(bytes).ok_or(GivenUp)?;
        Ok(())
    }

    /// `include` or its like, at a place in the text.
    fn read_word(&mut self, at: usize, length: usize) -> Result<(), GivenUp> {
        let text = self.text;
        let asks = text[..at].ends_with(b"__has_") || text[..at].ends_with(b"__has_c_");
        let after = &text[at + length..];
        let after = after.strip_prefix(b"_next").unwrap_or(after);
        match self.operand(after, asks, is_directive(&text[..at]))? {
            Operand::Written(name) => {
                self.look(NAME + name.len())?;
                let names = match asks {
                    true => &mut self.probes.asked,
                    false => &mut self.probes.included,
                };
                names.written.push(name.into());
            }
            Operand::Computed if asks => {
                // Elsewhere than in a directive it is a word in a comment.
                if !self.read_wrapper(at, after)? && self.is_in_directive(at)? {
                    self.probes.asked.computed = true;
                }
            }
            Operand::Computed if self.is_name_alone(after)? => self.probes.is_by_macro = true,
            Operand::Computed => self.probes.included.computed = true,
            // Another name for it, which a macro has at the end of its line.
            Operand::None if asks => _ = self.read_wrapper(at, after)?,
            Operand::None => {}
        }
        Ok(())
    }

    fn operand(
        &mut self,
        after: &'a [u8],
        asks: bool,
        is_directive: bool,
    ) -> Result<Operand<'a>, GivenUp> {
        let mut rest = self.without_blanks(after)?;
        if asks {
            match rest.first() {
                Some(b'(') => rest = self.without_blanks(&rest[1..])?,
                // `#ifdef __has_include`, `defined(__has_include)`.
                Some(b')' | b'\n' | b'\r' | b'&' | b'|') | None => return Ok(Operand::None),
                _ => {}
            }
        }
        let end = match rest.first() {
            Some(b'<') => b'>',
            Some(b'"') => b'"',
            _ if asks || is_directive => return Ok(Operand::Computed),
            _ => return Ok(Operand::None),
        };
        let name = &rest[1..];
        let length = memchr::memchr2(end, b'\n', name);
        self.look(length.unwrap_or(name.len()))?;
        Ok(match length.filter(|&length| name[length] == end) {
            Some(length) => Operand::Written(&name[..length]),
            None => Operand::Computed,
        })
    }

    /// What a directive calls if it is `#if` or `#elif`, and with which names.
    fn read_condition(&mut self, rest: &'a [u8]) -> Result<(), GivenUp> {
        for at in memchr::memchr_iter(b'(', rest) {
            let argument = self.without_blanks(&rest[at + 1..])?;
            let end = match argument.first() {
                Some(b'<') => b'>',
                Some(b'"') => b'"',
                _ => {
                    if let Some(name) = last_name(&rest[..at]) {
                        self.look(name.len())?;
                        self.probes.calls.push(hash(name));
                    }
                    continue;
                }
            };
            let name = &argument[1..];
            let length = memchr::memchr(end, name);
            self.look(NAME + length.unwrap_or(name.len()))?;
            if let Some(length) = length {
                self.probes.asked.written.push(name[..length].into());
            }
        }
        Ok(())
    }

    /// The directive that matters here behind a mark, wherever the mark stands.
    fn directive(&mut self, after: &'a [u8]) -> Result<Option<Directive<'a>>, GivenUp> {
        let after = self.without_blanks(after)?;
        let behind = |name: &[u8]| {
            let rest = after.strip_prefix(name)?;
            let ends = rest.first().is_none_or(|byte| !is_name(*byte));
            ends.then_some(rest)
        };
        if let Some(rest) = behind(b"if").or_else(|| behind(b"elif")) {
            return Ok(Some(Directive::Condition(self.whole(rest)?)));
        }
        let Some(rest) = behind(b"define") else {
            return Ok(None);
        };
        let rest = self.whole(rest)?;
        Ok(self.definition(rest)?.map(Directive::Definition))
    }

    /// A directive to its end: that of its line, or of the line on which a comment ends that began on it.
    fn whole(&mut self, rest: &'a [u8]) -> Result<&'a [u8], GivenUp> {
        let line_end =
            |from: usize| memchr::memchr(b'\n', &rest[from..]).map_or(rest.len(), |at| from + at);
        let (mut at, mut end) = (0, line_end(0));
        while let Some(start) = memmem::find(&rest[at..end], b"/*") {
            let comment = at + start + 2;
            let length = memmem::find(&rest[comment..], b"*/");
            at = length.map_or(rest.len(), |length| comment + length + 2);
            if at > end {
                end = line_end(at);
            }
            // Not all of the text for each mark in it.
            self.look(length.map_or(rest.len(), |_| COMMENT))?;
        }
        self.look(end)?;
        Ok(&rest[..end])
    }

    /// The macro that a directive defines, of which this stands behind `define`.
    fn definition(&mut self, rest: &'a [u8]) -> Result<Option<Definition<'a>>, GivenUp> {
        let rest = self.without_blanks(rest)?;
        let name = self.name_at_start(rest)?;
        let rest = &rest[name.len()..];
        let (parameters, body) = match rest.strip_prefix(b"(") {
            None => (&b""[..], rest),
            Some(rest) => match memchr::memchr(b')', rest) {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => return Ok(None),
            },
        };
        Ok(Some(Definition {
            name,
            parameters,
            body,
        }))
    }

    /// Notes the macro that a line defines as another name for `__has_include`, or as one that passes its parameter on to it. Whether there is one.
    fn read_wrapper(&mut self, at: usize, after: &'a [u8]) -> Result<bool, GivenUp> {
        let text = self.text;
        let start = memchr::memrchr(b'\n', &text[..at]).map_or(0, |at| at + 1);
        let line = &text[start..at];
        self.look(line.len())?;
        let argument = self.without_blanks(after)?.strip_prefix(b"(");
        let argument = match argument {
            Some(argument) => Some(self.name_at_start(argument)?),
            None => None,
        };
        let mut is_one = false;
        for mark in MARKS {
            for at in memmem::find_iter(line, mark) {
                let after = &text[start + at + mark.len()..];
                // In a comment before the real one there may be another.
                if let Some(Directive::Definition(found)) = self.directive(after)?
                    && self.passes(&found, argument)?
                {
                    self.look(NAME + found.name.len())?;
                    self.probes.wrappers.push(found.name.into());
                    is_one = true;
                }
            }
        }
        Ok(is_one)
    }

    /// Whether a macro stands for `__has_include` itself, or has its argument as a parameter.
    fn passes(
        &mut self,
        definition: &Definition<'a>,
        argument: Option<&[u8]>,
    ) -> Result<bool, GivenUp> {
        let Some(argument) = argument else {
            return Ok(true);
        };
        self.look(definition.parameters.len())?;
        let mut parameters = definition.parameters.split(|&byte| byte == b',');
        let passes = parameters.any(|parameter| parameter.trim_ascii() == argument);
        Ok(passes && !argument.is_empty())
    }

    /// The name behind blanks.
    fn name_at_start(&mut self, text: &'a [u8]) -> Result<&'a [u8], GivenUp> {
        let text = self.without_blanks(text)?;
        let length = text.iter().position(|byte| !is_name(*byte));
        let name = &text[..length.unwrap_or(text.len())];
        self.look(name.len())?;
        Ok(name)
    }

    /// Macros that pass their argument on to a wrapper.
    fn add_outer_wrappers(&mut self, definitions: &[Definition<'a>]) -> Result<(), GivenUp> {
        let mut known = 0;
        while known < self.probes.wrappers.len() {
            let wrapper = self.probes.wrappers[known].clone();
            known += 1;
            let calls = memmem::Finder::new(&wrapper);
            for Definition { name, body, .. } in definitions {
                self.look(NAME + body.len())?;
                if calls.find(body).is_none() {
                    continue;
                }
                self.look(self.probes.wrappers.len())?;
                let mut wrappers = self.probes.wrappers.iter();
                if !wrappers.any(|other| **other == **name) {
                    self.probes.wrappers.push((*name).into());
                }
            }
        }
        Ok(())
    }

    /// Behind blanks and comments.
    fn without_blanks(&mut self, text: &'a [u8]) -> Result<&'a [u8], GivenUp> {
        let mut rest = text;
        loop {
            let blanks = rest.iter().take_while(|byte| is_blank(**byte));
            rest = &rest[blanks.count()..];
            let Some(comment) = rest.strip_prefix(b"/*") else {
                break;
            };
            match memmem::find(comment, b"*/") {
                Some(end) => rest = &comment[end + 2..],
                None => rest = b"",
            }
            self.look(COMMENT)?;
        }
        self.look(text.len() - rest.len())?;
        Ok(rest)
    }

    /// Whether a word stands on a line that begins with `#`, as far as a look tells.
    fn is_in_directive(&mut self, at: usize) -> Result<bool, GivenUp> {
        let start = memchr::memrchr(b'\n', &self.text[..at]).map_or(0, |at| at + 1);
        let line = &self.text[start..at];
        self.look(line.len())?;
        // The encoding's mark may stand before the first.
        let blanks = |byte: &&u8| is_blank(**byte) || b"\xef\xbb\xbf".contains(byte);
        let blanks = line.iter().take_while(blanks).count();
        let begins = MARKS.iter().any(|mark| line[blanks..].starts_with(mark));
        Ok(begins || memmem::find(line, b"*/").is_some())
    }

    /// Whether nothing but a name stands on the rest of a line.
    fn is_name_alone(&mut self, after: &'a [u8]) -> Result<bool, GivenUp> {
        let rest = self.without_blanks(after)?;
        let end = self.name_at_start(rest)?.len();
        let behind = self.without_blanks(&rest[end..])?;
        Ok(end > 0 && matches!(behind.first(), None | Some(b'\n' | b'\r')))
    }
}

/// Whether what is around a mark is like the lines that preprocessors write, which may call what follows a system header. It looks at blanks at both sides only.
fn is_line_marker(before: &[u8], after: &[u8]) -> bool {
    let blanks = after.iter().take_while(|byte| is_blank(**byte)).count();
    let after = &after[blanks..];
    // A comment may stand before the number: it is not read to its end.
    let is_marker = after.first().is_some_and(u8::is_ascii_digit) || after.starts_with(b"/*");
    is_marker && begins_line(before)
}

/// Whether nothing but blanks stands on a line before its end, as far as a look tells.
fn begins_line(before: &[u8]) -> bool {
    let before = trimmed(before);
    let begins = matches!(before.last(), None | Some(b'\n' | b'\r'));
    // A comment may begin on another line; a mark of the encoding may stand before the first.
    begins || before.ends_with(b"*/") || before == b"\xef\xbb\xbf"
}

/// Whether a `#` stands before a word, with blanks between them at most. A comment may begin on another line: then it counts as one.
fn is_directive(before: &[u8]) -> bool {
    let before = trimmed(before);
    MARKS.iter().any(|mark| before.ends_with(mark)) || before.ends_with(b"*/")
}

/// A text without the blanks at its end.
fn trimmed(text: &[u8]) -> &[u8] {
    let blanks = text.iter().rev().take_while(|byte| is_blank(**byte));
    &text[..text.len() - blanks.count()]
}

/// The name at the end of a text.
fn last_name(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_end();
    let start = text.iter().rposition(|byte| !is_name(*byte));
    let start = start.map_or(0, |at| at + 1);
    (start < text.len()).then(|| &text[start..])
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0b' | b'\x0c')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}
