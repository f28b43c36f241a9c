//! Many questions in one file for a compiler, and what it printed as answers.

use std::fmt::Write;

use super::run;
use crate::configuration::Question;

/// Values that an answer other than 0 mostly has: true, and the dates that standards give their attributes.
const COMMON_VALUES: [i64; 14] = [
    1, 200_809, 201_309, 201_603, 201_802, 201_803, 201_811, 201_904, 201_907, 201_910, 202_003,
    202_106, 202_202, 202_207,
];

/// Stands for a value that is none of [`COMMON_VALUES`] until it is known.
pub(super) const RARE: i64 = i64::MIN;

/// Starts the words that the compiler is made to print.
const MARK: &str = "pumphouse_answer";

/// A file for the compiler, and the line each question starts on (and the line after the last).
pub(super) type Asked = (Vec<u8>, Vec<u32>);

/// Prints one word for each answer other than 0.
pub(super) fn value_text(questions: &[Question]) -> Asked {
    let mut text = Vec::new();
    let mut line = 1;
    let mut lines = Vec::with_capacity(questions.len() + 1);
    for (number, question) in questions.iter().enumerate() {
        lines.push(line);
        line += put_value(&mut text, number, &question.expression());
    }
    lines.push(line);
    (text, lines)
}

/// The same for a compiler of which nothing is known: one that does not have a question's macro says so.
pub(super) fn first_text(questions: &[Question]) -> Asked {
    let mut text = Vec::new();
    let mut line = 1;
    let mut lines = Vec::with_capacity(questions.len() + 1);
    for (number, question) in questions.iter().enumerate() {
        let expression = question.expression();
        lines.push(line);
        let name = expression.split(|&byte| byte == b'(').next();
        text.extend([b"#ifdef ", name.unwrap_or_default(), b"\n"].concat());
        line += 1 + put_value(&mut text, number, &expression) + 3;
        text.extend(format!("#else\n{MARK} {number} {UNKNOWN}\n#endif\n").into_bytes());
    }
    lines.push(line);
    (text, lines)
}

/// Stands for the place of the value when there is none.
const UNKNOWN: usize = COMMON_VALUES.len() + 1;

/// Asks one question; gives the number of lines.
fn put_value(text: &mut Vec<u8>, number: usize, expression: &[u8]) -> u32 {
    let rare = COMMON_VALUES.len();
    text.extend([b"#if (", expression, b") == 0\n"].concat());
    for (place, value) in COMMON_VALUES.iter().enumerate() {
        text.extend([b"#elif (", expression, b") == "].concat());
        text.extend(format!("{value}\n{MARK} {number} {place}\n").into_bytes());
    }
    text.extend(format!("#else\n{MARK} {number} {rare}\n#endif\n").into_bytes());
    4 + 2 * rare as u32
}

/// The same with one word for each bit that is set.
pub(super) fn bit_text(questions: &[Question]) -> Asked {
    let mut text = Vec::new();
    let mut line = 1;
    let mut lines = Vec::with_capacity(questions.len() + 1);
    for (number, question) in questions.iter().enumerate() {
        let expression = question.expression();
        lines.push(line);
        for bit in 0..64 {
            text.extend([b"#if ((", expression.as_slice(), b") >> "].concat());
            text.extend(format!("{bit}) & 1\n{MARK} {number} {bit}\n#endif\n").into_bytes());
        }
        line += 64 * 3;
    }
    lines.push(line);
    (text, lines)
}

/// The marks among the printed words: a question's number, and another.
fn marks(words: &str) -> impl Iterator<Item = (usize, usize)> {
    words.lines().filter_map(|line| {
        let rest = line.strip_prefix(MARK)?;
        let mut numbers = rest.split_whitespace().map(str::parse::<usize>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(number)), Some(Ok(other))) => Some((number, other)),
            _ => None,
        }
    })
}

pub(super) fn read_values(count: usize, words: &str) -> Vec<Option<i64>> {
    let mut values = vec![Some(0); count];
    for (number, place) in marks(words) {
        if let Some(value) = values.get_mut(number) {
            *value = match place {
                UNKNOWN => None,
                place => Some(COMMON_VALUES.get(place).copied().unwrap_or(RARE)),
            };
        }
    }
    values
}

pub(super) fn read_bits(count: usize, words: &str) -> Vec<Option<i64>> {
    let mut values = vec![Some(0i64); count];
    for (number, bit) in marks(words) {
        if let Some(Some(value)) = values.get_mut(number)
            && bit < 64
        {
            *value |= 1 << bit;
        }
    }
    values
}

/// A question on one of whose lines the compiler found an error has no answer.
pub(super) fn without_blamed(
    mut answers: Vec<Option<i64>>,
    lines: &[u32],
    output: &run::Output,
) -> Vec<Option<i64>> {
    let mut blamed = false;
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let Some((place, _)) = line.split_once("error: ") else {
            continue;
        };
        let Some(number) = place.split(':').nth(1).and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        let question = lines.partition_point(|&start| start <= number);
        if let Some(answer) = question.checked_sub(1).and_then(|i| answers.get_mut(i)) {
            *answer = None;
            blamed = true;
        }
    }
    if !output.success && !blamed {
        let mut why = String::new();
        // Writing to a string does not fail.
        let _ = write!(why, "{}", super::probe::first_error(&output.stderr));
        tracing::warn!("a feature question failed: {why}");
        return vec![None; answers.len()];
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(success: bool, stderr: String) -> run::Output {
        run::Output {
            success,
            stdout: Vec::new(),
            stderr: stderr.into_bytes(),
        }
    }

    #[test]
    fn lines_are_counted() {
        let questions = vec![Question::Call(b"a(x)".to_vec()); 3];
        for text in [value_text, first_text, bit_text] {
            let (text, lines) = text(&questions);
            let count = text.iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(count as u32 + 1, lines[3]);
        }
    }

    #[test]
    fn marks_make_numbers() {
        let rare = COMMON_VALUES.len();
        let words = format!(
            "{MARK} 0 0\nnoise\n{MARK} 2 {rare}\n{MARK} 3 1\n{MARK} x\n{MARK} 4 {UNKNOWN}\n"
        );
        assert_eq!(
            read_values(5, &words),
            [Some(1), Some(0), Some(RARE), Some(200_809), None]
        );
        let words = format!("{MARK} 0 0\n{MARK} 0 63\nnoise\n{MARK} 1 4\n{MARK} 9 9\n");
        assert_eq!(
            read_bits(3, &words),
            [Some(i64::MIN | 1), Some(16), Some(0)]
        );
    }

    #[test]
    fn errors_have_no_answer() {
        let (_, lines) = value_text(&vec![Question::Call(b"a(x)".to_vec()); 3]);
        let blamed = output(
            false,
            format!(
                "<stdin>:{}:5: error: missing binary operator\n<stdin>:1:1: warning: x\n",
                lines[1] + 4
            ),
        );
        let answers = vec![Some(1), Some(0), Some(0)];
        assert_eq!(
            without_blamed(answers, &lines, &blamed),
            [Some(1), None, Some(0)]
        );
    }

    #[test]
    fn a_failure_that_nobody_explains_answers_nothing() {
        let (_, lines) = value_text(&[Question::Defined(b"X".to_vec())]);
        let failed = output(false, "gcc: fatal error: no input files\n".into());
        assert_eq!(without_blamed(vec![Some(0)], &lines, &failed), [None]);
    }
}
