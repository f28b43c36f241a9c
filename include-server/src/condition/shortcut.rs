//! Conditions that need no expansion: see [`crate::program::Step`].

use super::arithmetic;
use crate::atom::Atom;
use crate::macros::{Definition, Macros, Programs};
use crate::program::{Binary, Condition, Meaning, Program, STACK, Step, Value};

/// How many names may stand for one another.
const ALIASES: u32 = 8;

/// Whether the condition holds, if that can be told without expanding macros. Nothing but the reading of macros happens.
#[inline]
pub fn shortcut(
    program: &Program,
    condition: &Condition,
    macros: &mut Macros,
    programs: &Programs,
) -> Option<bool> {
    let mut stack = [Value::signed(0); STACK + 1];
    let mut height = 0;
    let steps = program.steps(condition);
    for step in steps {
        match *step {
            Step::Value(index) => {
                stack[height] = program.value(index);
                height += 1;
            }
            Step::Defined(name) => {
                stack[height] = Value::truth(macros.read(name).is_some());
                height += 1;
            }
            Step::Name(name) => {
                stack[height] = meaning(name, macros, programs)?;
                height += 1;
            }
            Step::Unary(operator) => {
                stack[height - 1] = arithmetic::unary(operator, stack[height - 1]);
            }
            Step::Binary(operator) => {
                height -= 1;
                // Compilers differ in what they make of such a count.
                if matches!(operator, Binary::ShiftLeft | Binary::ShiftRight)
                    && stack[height].bits > 63
                {
                    return None;
                }
                stack[height - 1] = arithmetic::binary(operator, stack[height - 1], stack[height]);
            }
        }
    }
    (height == 1).then(|| stack[0].is_true())
}

/// The value that a name stands for.
fn meaning(name: Atom, macros: &mut Macros, programs: &Programs) -> Option<Value> {
    let mut name = name;
    for _ in 0..ALIASES {
        match macros.read(name) {
            None => return Some(Value::signed(0)),
            Some(Definition::Builtin(_)) => return None,
            Some(Definition::User { program, index }) => {
                match programs[program].macros[index as usize].meaning {
                    Meaning::Value(value) => return Some(value),
                    Meaning::Alias(other) => name = other,
                    Meaning::Unknown => return None,
                }
            }
        }
    }
    None
}
