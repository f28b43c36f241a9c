//! Questions that only the compiler's own tables answer: `__has_attribute(x)`, `__has_builtin(x)` and their like.
//!
//! Each [`CompilerOracle`] belongs to one probe and keeps its answers. A run of the compiler costs 10-40 ms whatever the
//! number of questions, so the probe itself takes along those that are common, and a question that is new to one oracle
//! all that others were ever asked.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::batch::{Asked, RARE, bit_text, read_bits, read_values, value_text, without_blamed};
use super::evidence::Evidence;
use super::kept::Kept;
use super::probe::Asking;
use super::{Invocation, lock, questions, run};
use crate::configuration::{FeatureOracle, Language, Question};

/// Questions asked in this session, in order, shared by all oracles.
#[derive(Default)]
pub(super) struct AskedQuestions(Mutex<Questions>);

#[derive(Default)]
struct Questions {
    /// With the language that each was first asked for.
    questions: Vec<(Language, Question)>,
    different: HashSet<Question>,
}

/// Questions put in one run at most.
const BATCH: usize = 1024;

impl AskedQuestions {
    /// Remembers `questions`; gives all that were ever asked.
    fn with(&self, language: Language, questions: Vec<Question>) -> Vec<Question> {
        let mut asked = lock(&self.0);
        for question in questions {
            if asked.different.insert(question.clone()) {
                asked.questions.push((language, question));
            }
        }
        let all = asked.questions.iter();
        all.map(|(_, question)| question.clone()).collect()
    }

    /// What is worth asking a compiler that is started for the first time: common questions, and those that were asked in
    /// this language.
    pub(super) fn first(&self, language: Language) -> Vec<Question> {
        let mut first = questions::common(language);
        let asked = lock(&self.0);
        let asked = asked.questions.iter();
        let more: Vec<Question> = asked
            .filter(|(of, question)| *of == language && !first.contains(question))
            .map(|(_, question)| question.clone())
            .collect();
        first.extend(more);
        first.truncate(BATCH);
        first
    }
}

/// Asks one compiler with one option set, and remembers.
pub struct CompilerOracle {
    invocation: Invocation,
    /// The compiler's built-in macros: they tell whether answers on disk are of the same one.
    builtins: Arc<[u8]>,
    asking: Arc<Asking>,
    /// The lock is held while the compiler runs: scans that ask the same at once ask once.
    answers: Mutex<HashMap<Question, Option<i64>>>,
}

/// The evidence for all runs, while there is some for each.
type Gathered = Option<Evidence>;

impl CompilerOracle {
    /// An oracle that knows nothing.
    pub(super) fn new(invocation: Invocation, builtins: Arc<[u8]>, asking: Arc<Asking>) -> Self {
        Self {
            invocation,
            builtins,
            asking,
            answers: Mutex::default(),
        }
    }

    /// Takes answers that are known otherwise.
    pub(super) fn learn(&self, answers: impl Iterator<Item = (Question, Option<i64>)>) {
        lock(&self.answers).extend(answers);
    }

    /// Runs the compiler for `questions`, and once more for those with a rare value. `None` for all of them when it
    /// cannot be run.
    fn ask(&self, questions: &[Question]) -> Vec<Option<i64>> {
        let kept = self.asking.kept.as_ref();
        let kept = kept.filter(|_| Kept::covers(&self.invocation));
        let mut gathered = kept.map(|_| Evidence::default());
        let mut found = self.run(questions, value_text, read_values, &mut gathered);
        let rare: Vec<usize> = (0..questions.len())
            .filter(|&number| found[number] == Some(RARE))
            .collect();
        if !rare.is_empty() {
            let questions: Vec<Question> = rare.iter().map(|&at| questions[at].clone()).collect();
            let exact = self.run(&questions, bit_text, read_bits, &mut gathered);
            for (at, value) in rare.into_iter().zip(exact) {
                found[at] = value;
            }
        }
        if let (Some(kept), Some(evidence)) = (kept, gathered) {
            let answers = questions.iter().zip(&found);
            let answers =
                answers.filter_map(|(question, value)| Some((question.clone(), (*value)?)));
            kept.add(&self.invocation, &self.builtins, answers, evidence);
        }
        found
    }

    fn run(
        &self,
        questions: &[Question],
        text: fn(&[Question]) -> Asked,
        read: fn(usize, &str) -> Vec<Option<i64>>,
        gathered: &mut Gathered,
    ) -> Vec<Option<i64>> {
        let (text, lines) = text(questions);
        let mut command = self.invocation.command();
        command.args(["-E", "-P", "-"]);
        let output = match gathered {
            Some(before) => {
                let bait = self.asking.bait.path();
                let (output, evidence) = Evidence::gather(&self.invocation, command, &text, bait);
                match evidence {
                    Some(evidence) => before.0.extend(evidence.0),
                    None => *gathered = None,
                }
                output
            }
            None => run::run(&mut command, &text).map_err(|error| error.to_string()),
        };
        match output {
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
            self.asking
                .questions
                .with(self.invocation.language, more)
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
