//! `#pragma` lines: only those that change what is read become directives.

use super::build::Builder;
use super::{Op, Pragma};
use crate::atom::Atom;
use crate::lexer::Shape;

/// Parses what follows `#pragma`.
pub(super) fn pragma(builder: &mut Builder<'_>, line: u32) {
    let Some(first) = word(builder) else {
        return;
    };
    let op = match first.as_slice() {
        b"once" => Some(Op::Pragma(Pragma::Once)),
        b"push_macro" => argument(builder).map(|name| Op::Pragma(Pragma::PushMacro(name))),
        b"pop_macro" => argument(builder).map(|name| Op::Pragma(Pragma::PopMacro(name))),
        b"GCC" => gcc(builder),
        b"clang" if builder.mode.clang => match word(builder).as_deref() {
            Some(b"module" | b"include_instead") => {
                unsupported(builder, "#pragma clang module or include_instead")
            }
            Some(b"dependency") => dependency(builder),
            _ => None,
        },
        b"include_alias" if builder.mode.clang => unsupported(builder, "#pragma include_alias"),
        b"hdrstop" => unsupported(builder, "#pragma hdrstop"),
        _ => None,
    };
    if let Some(op) = op {
        builder.push(op, line);
    }
}

fn gcc(builder: &mut Builder<'_>) -> Option<Op> {
    let clang = builder.mode.clang;
    match word(builder)?.as_slice() {
        b"dependency" => dependency(builder),
        b"error" => {
            let text = builder.cursor.rest_of_line(&mut builder.scratch);
            let message = builder.message(String::from_utf8_lossy(text).trim());
            Some(Op::Error(message))
        }
        b"pch_preprocess" => unsupported(builder, "#pragma GCC pch_preprocess"),
        // clang does not know the rest.
        _ if clang => None,
        b"system_header" if !builder.mode.line_comments => unsupported(
            builder,
            "#pragma GCC system_header, behind which // begins a comment in C90 too",
        ),
        b"target" => Some(Op::Pragma(Pragma::Target)),
        b"optimize" => Some(Op::Pragma(Pragma::Optimize)),
        b"push_options" => Some(Op::Pragma(Pragma::PushOptions)),
        b"pop_options" => Some(Op::Pragma(Pragma::PopOptions)),
        b"reset_options" => Some(Op::Pragma(Pragma::ResetOptions)),
        _ => None,
    }
}

fn unsupported(builder: &mut Builder<'_>, what: &str) -> Option<Op> {
    Some(Op::Unsupported(builder.message(what)))
}

fn dependency(builder: &mut Builder<'_>) -> Option<Op> {
    let target = builder.target()?;
    Some(Op::Pragma(Pragma::Dependency(target)))
}

/// The next token if it is an identifier.
fn word(builder: &mut Builder<'_>) -> Option<Vec<u8>> {
    let raw = builder.next()?;
    (raw.shape == Shape::Identifier).then(|| builder.spelling(&raw).to_vec())
}

/// The name in `("NAME")`.
fn argument(builder: &mut Builder<'_>) -> Option<Atom> {
    let open = builder.next()?;
    if builder.spelling(&open) != b"(" {
        return None;
    }
    let name = builder.next()?;
    match (name.shape, builder.spelling(&name)) {
        (Shape::String, [b'"', name @ .., b'"']) => Some(Atom::of(name.trim_ascii())),
        _ => None,
    }
}
