//! Questions that only the compiler's own tables answer: `__has_attribute(x)`, `__has_builtin(x)` and their like.
//!
//! Each [`CompilerOracle`] belongs to one probe and keeps its answers. A run of the compiler costs 10-40 ms whatever the
//! number of questions, so a question that is new to one oracle takes along all that others were ever asked.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use super::{Invocation, lock, run};
use crate::configuration::{FeatureOracle, Question};

/// Questions asked in this session, in order, shared by all oracles.
#[derive(Default)]
pub(super) struct AskedQuestions(Mutex<(Vec<Question>, HashSet<Question>)>);

/// Questions put in one run at most.
const BATCH: usize = 1024;

/// Values that an answer other than 0 mostly has: true, and the dates that standards give their attributes.
const COMMON_VALUES: [i64; 14] = [
    1, 200_809, 201_309, 201_603, 201_802, 201_803, 201_811, 201_904, 201_907, 201_910, 202_003,
    202_106, 202_202, 202_207,
];

impl AskedQuestions {
    /// Remembers `questions`; gives all that were ever asked.
    fn with(&self, questions: Vec<Question>) -> Vec<Question> {
        let mut asked = lock(&self.0);
        for question in questions {
            if asked.1.insert(question.clone()) {
                asked.0.push(question);
            }
        }
        asked.0.clone()
    }
}

/// Asks one compiler with one option set, and remembers.
pub struct CompilerOracle {
    invocation: Invocation,
    asked: Arc<AskedQuestions>,
    /// The lock is held while the compiler runs: scans that ask the same at once ask once.
    answers: Mutex<HashMap<Question, Option<i64>>>,
}

impl CompilerOracle {
    pub(super) fn new(invocation: Invocation, asked: Arc<AskedQuestions>) -> Self {
        Self {
            invocation,
            asked,
            answers: Mutex::default(),
        }
    }

    /// Runs the compiler for `questions`, and once more for those with a rare value. `None` for all of them when it
    /// cannot be run.
    fn ask(&self, questions: &[Question]) -> Vec<Option<i64>> {
        let mut found = self.run(questions, value_text, read_values);
        let rare: Vec<usize> = (0..questions.len())
            .filter(|&number| found[number] == Some(RARE))
            .collect();
        if !rare.is_empty() {
            let questions: Vec<Question> = rare.iter().map(|&at| questions[at].clone()).collect();
            let exact = self.run(&questions, bit_text, read_bits);
            for (at, value) in rare.into_iter().zip(exact) {
                found[at] = value;
            }
        }
        found
    }

    fn run(
        &self,
        questions: &[Question],
        text: fn(&[Question]) -> Asked,
        read: fn(usize, &str) -> Vec<Option<i64>>,
    ) -> Vec<Option<i64>> {
        let (text, lines) = text(questions);
        let mut command = self.invocation.command();
        command.args(["-E", "-P", "-"]);
        match run::run(&mut command, &text) {
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stdout);
                without_blamed(read(questions.len(), &words), &lines, &output)
            }
            Err(why) => {
                tracing::warn!("{}: {why}", self.invocation.program.display());
                vec![None; questions.len()]
            }
        }
    }
}

/// Stands for a value that is none of [`COMMON_VALUES`] until it is known.
const RARE: i64 = i64::MIN;

impl FeatureOracle for CompilerOracle {
    fn answer(&self, question: &Question, related: &dyn Fn() -> Vec<Question>) -> Option<i64> {
        // It is put on one line of its own; nothing else may get in.
        let fits = |question: &Question| {
            let expression = question.expression();
            !expression.contains(&b'\n') && !expression.contains(&0)
        };
        if !fits(question) {
            return None;
        }
        let mut known = lock(&self.answers);
        if let Some(answer) = known.get(question) {
            return *answer;
        }
        let mut batch = vec![question.clone()];
        let mut more = related();
        more.retain(fits);
        more.push(question.clone());
        batch.extend(
            self.asked
                .with(more)
                .into_iter()
                .filter(|other| other != question && !known.contains_key(other))
                .take(BATCH),
        );
        let answers = self.ask(&batch);
        let answer = answers.first().copied().flatten();
        known.extend(batch.into_iter().zip(answers));
        answer
    }
}

/// Starts the words that the compiler is made to print.
const MARK: &str = "pumphouse_answer";

/// A file for the compiler, and the line each question starts on (and the line after the last).
type Asked = (Vec<u8>, Vec<u32>);

/// Prints one word for each answer other than 0.
fn value_text(questions: &[Question]) -> Asked {
    let mut text = Vec::new();
    let mut line = 1;
    let mut lines = Vec::with_capacity(questions.len() + 1);
    for (number, question) in questions.iter().enumerate() {
        let expression = question.expression();
        lines.push(line);
        text.extend([b"#if (", expression.as_slice(), b") == 0\n"].concat());
        for (place, value) in COMMON_VALUES.iter().enumerate() {
            text.extend([b"#elif (", expression.as_slice(), b") == "].concat());
            text.extend(format!("{value}\n{MARK} {number} {place}\n").into_bytes());
        }
        let rare = COMMON_VALUES.len();
        text.extend(format!("#else\n{MARK} {number} {rare}\n#endif\n").into_bytes());
        line += 4 + 2 * rare as u32;
    }
    lines.push(line);
    (text, lines)
}

/// The same with one word for each bit that is set.
fn bit_text(questions: &[Question]) -> Asked {
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

fn read_values(count: usize, words: &str) -> Vec<Option<i64>> {
    let mut values = vec![Some(0); count];
    for (number, place) in marks(words) {
        if let Some(value) = values.get_mut(number) {
            *value = Some(COMMON_VALUES.get(place).copied().unwrap_or(RARE));
        }
    }
    values
}

fn read_bits(count: usize, words: &str) -> Vec<Option<i64>> {
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
fn without_blamed(
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
        for text in [value_text, bit_text] {
            let (text, lines) = text(&questions);
            let count = text.iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(count as u32 + 1, lines[3]);
        }
    }

    #[test]
    fn marks_make_numbers() {
        let rare = COMMON_VALUES.len();
        let words = format!("{MARK} 0 0\nnoise\n{MARK} 2 {rare}\n{MARK} 3 1\n{MARK} x\n");
        assert_eq!(
            read_values(4, &words),
            [Some(1), Some(0), Some(RARE), Some(200_809)]
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
