//! The program `distcc` as a user meets it: started with words and an environment, judged by its exit code, its
//! messages and the files it leaves.

mod heeding;
mod support;

mod failures;
mod hostile;
mod hosts;
mod local;
mod plain;
mod pump;
mod ways;
