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
const BATCH: usize = 512;

impl AskedQuestions {
    /// Remembers `question`; gives all questions but it.
    fn with(&self, question: &Question) -> Vec<Question> {
        let mut asked = lock(&self.0);
        if asked.1.insert(question.clone()) {
            asked.0.push(question.clone());
        }
        asked.0.iter().filter(|q| *q != question).cloned().collect()
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

    /// Runs the compiler for `questions`. `None` for all of them when it cannot be run.
    fn ask(&self, questions: &[Question]) -> Vec<Option<i64>> {
        let (text, lines) = question_text(questions);
        let mut command = self.invocation.command();
        command.args(["-E", "-P", "-"]);
        match run::run(&mut command, &text) {
            Ok(output) => answers(questions.len(), &lines, &output),
            Err(why) => {
                tracing::warn!("{}: {why}", self.invocation.program.display());
                vec![None; questions.len()]
            }
        }
    }
}

impl FeatureOracle for CompilerOracle {
    fn answer(&self, question: &Question) -> Option<i64> {
        let expression = question.expression();
        // It is put on one line of its own; nothing else may get in.
        if expression.contains(&b'\n') || expression.contains(&0) {
            return None;
        }
        let mut known = lock(&self.answers);
        if let Some(answer) = known.get(question) {
            return *answer;
        }
        let mut batch = vec![question.clone()];
        batch.extend(
            self.asked
                .with(question)
                .into_iter()
                .filter(|other| !known.contains_key(other))
                .take(BATCH),
        );
        let answers = self.ask(&batch);
        let answer = answers.first().copied().flatten();
        known.extend(batch.into_iter().zip(answers));
        answer
    }
}

/// Starts the words that the compiler is made to print.
const MARK: &str = "pumphouse_answer_bit";

/// A file that prints one word for each bit that is set in each answer, and the line each question starts on (and the
/// line after the last).
fn question_text(questions: &[Question]) -> (Vec<u8>, Vec<u32>) {
    let mut text = Vec::new();
    let mut line = 1;
    let mut lines = Vec::with_capacity(questions.len() + 1);
    for (number, question) in questions.iter().enumerate() {
        let expression = question.expression();
        lines.push(line);
        text.extend([b"#if (", expression.as_slice(), b") != 0\n"].concat());
        for bit in 0..64 {
            text.extend([b"#if ((", expression.as_slice(), b") >> "].concat());
            text.extend(format!("{bit}) & 1\n{MARK} {number} {bit}\n#endif\n").into_bytes());
        }
        text.extend(b"#endif\n");
        line += 2 + 64 * 3;
    }
    lines.push(line);
    (text, lines)
}

/// Reads the words back. A question on one of whose lines the compiler found an error has no answer.
fn answers(count: usize, lines: &[u32], output: &run::Output) -> Vec<Option<i64>> {
    let mut answers = vec![Some(0i64); count];
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some(rest) = line.strip_prefix(MARK) else {
            continue;
        };
        let mut numbers = rest.split_whitespace().map(str::parse::<usize>);
        if let (Some(Ok(number)), Some(Ok(bit))) = (numbers.next(), numbers.next())
            && let Some(Some(value)) = answers.get_mut(number)
            && bit < 64
        {
            *value |= 1 << bit;
        }
    }
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
        return vec![None; count];
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_make_numbers_and_errors_have_no_answer() {
        let questions = vec![Question::Call(b"a(x)".to_vec()); 3];
        let (text, lines) = question_text(&questions);
        assert_eq!(
            text.iter().filter(|&&byte| byte == b'\n').count() as u32 + 1,
            lines[3]
        );
        let output = run::Output {
            success: false,
            stdout: format!("{MARK} 0 0\n{MARK} 0 63\nnoise\n{MARK} 1 4\n{MARK} 9 9\n{MARK} x\n")
                .into_bytes(),
            stderr: format!(
                "<stdin>:{}:5: error: missing binary operator\n<stdin>:1:1: warning: x\n",
                lines[1] + 4
            )
            .into_bytes(),
        };
        assert_eq!(
            answers(3, &lines, &output),
            [Some(i64::MIN | 1), None, Some(0)]
        );
    }

    #[test]
    fn a_failure_that_nobody_explains_answers_nothing() {
        let (_, lines) = question_text(&[Question::Defined(b"X".to_vec())]);
        let output = run::Output {
            success: false,
            stdout: Vec::new(),
            stderr: b"gcc: fatal error: no input files\n".to_vec(),
        };
        assert_eq!(answers(1, &lines, &output), [None]);
    }
}
