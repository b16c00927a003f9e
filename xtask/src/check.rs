//! `check`: the steps of CI, each with its seconds, and a closing summary; and `fix`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use crate::args::Args;
use crate::shell::{self, Shell};
use crate::{clients, counts, deny, fuzz, tidy};

/// What `check` was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    skip_tests: bool,
    ci: bool,
    deny: deny::Options,
    report: Option<PathBuf>,
}

/// How one step ended.
struct Step {
    name: &'static str,
    result: Result<(), String>,
    seconds: f64,
}

type Run<'a> = Box<dyn Fn() -> Result<(), String> + 'a>;

impl Options {
    /// Reads the options of `check`.
    pub(crate) fn parse(mut args: Args) -> Result<Self, String> {
        let report = args.option("--report")?.map(PathBuf::from);
        let (skip_tests, ci) = (args.flag("--skip-tests"), args.flag("--ci"));
        Ok(Self { skip_tests, ci, deny: deny::Options::parse(args)?, report })
    }

    /// Runs the steps.
    ///
    /// # Errors
    ///
    /// One line that names the steps that failed.
    pub(crate) fn run(&self, shell: &Shell) -> Result<(), String> {
        let mut steps = Vec::new();
        for (name, run) in self.plan(shell) {
            println!("==> {name}");
            let start = Instant::now();
            let result = run();
            let step = Step { name, result, seconds: start.elapsed().as_secs_f64() };
            match &step.result {
                Ok(()) => println!("<== {name}: passed in {:.1} s", step.seconds),
                Err(why) => println!("<== {name}: FAILED in {:.1} s: {why}", step.seconds),
            }
            let stop = step.result.is_err() && !self.ci;
            steps.push(step);
            if stop {
                break;
            }
        }
        if let Some(path) = &self.report {
            std::fs::write(path, report(&steps))
                .map_err(|error| format!("write {}: {error}", path.display()))?;
        }
        print!("\n{}", summary(&steps));
        let failed: Vec<&str> =
            steps.iter().filter(|s| s.result.is_err()).map(|s| s.name).collect();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(format!("check failed at {}", failed.join(", "))),
        }
    }

    fn plan<'a>(&'a self, shell: &'a Shell) -> Vec<(&'static str, Run<'a>)> {
        let cargo = move |line: &'static str| -> Run<'a> {
            Box::new(move || shell::run(shell.cargo().args(line.split(' '))))
        };
        let doc = move || {
            let mut command = shell.cargo();
            command.args(["doc", "--workspace", "--no-deps"]);
            shell::run(command.env("RUSTDOCFLAGS", "-D warnings"))
        };
        // Lock-free code under all interleavings; everything is built anew for it, in a place of its own.
        let models = move || {
            let mut command = shell.cargo();
            let line = "test --release --package todana-io --lib --target-dir target/loom model";
            command.args(line.split(' ')).env("RUSTFLAGS", "--cfg loom");
            shell::run(&mut command)
        };
        // The tests of what has unsafe code, with every access looked at.
        let valgrind = move || {
            let mut command = shell.cargo();
            let line =
                "test --package todana-io --lib -- --test-threads 1 arena:: epoch:: mapping::";
            let runner = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";
            command
                .args(line.split(' '))
                .env(runner, "valgrind -q --fair-sched=yes --error-exitcode=9");
            shell::run(&mut command)
        };
        let mut plan: Vec<(&'static str, Run<'a>)> = vec![
            ("fmt", cargo("fmt --all --check")),
            ("clippy", cargo("clippy --workspace --all-targets -- -D warnings")),
        ];
        if !self.skip_tests {
            plan.push(("test", cargo("test --workspace")));
        }
        plan.push(("doc", Box::new(doc)));
        plan.push(("tidy", Box::new(|| tidy::run(shell))));
        plan.push(("deny", Box::new(|| self.deny.run(shell))));
        if self.ci {
            plan.push(("models", Box::new(models)));
            plan.push(("valgrind", Box::new(valgrind)));
            plan.push(("fuzz smoke", Box::new(|| fuzz::Options::smoke().run(shell))));
            plan.push(("clients", Box::new(|| clients::Options::default().run(shell))));
            plan.push(("bench", Box::new(|| counts::test(shell))));
            plan.push(("counts", Box::new(|| counts::Options::default().run(shell))));
        }
        plan
    }
}

/// Edits what tools can edit.
pub(crate) fn fix(shell: &Shell) -> Result<(), String> {
    let clippy = "clippy --fix --allow-dirty --allow-staged --workspace --all-targets";
    shell::run(shell.cargo().args(clippy.split(' ')))?;
    shell::run(shell.cargo().args(["fmt", "--all"]))
}

fn outcome(step: &Step) -> &'static str {
    if step.result.is_ok() { "passed" } else { "failed" }
}

fn report(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |mut text, step| {
        let _ = writeln!(text, "{}\t{}\t{:.1}", outcome(step), step.name, step.seconds);
        text
    })
}

fn summary(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = writeln!(text, "{:>8.1} s  {:<12} {}", step.seconds, step.name, outcome(step));
    }
    let failed = steps.iter().filter(|s| s.result.is_err()).count();
    let seconds: f64 = steps.iter().map(|s| s.seconds).sum();
    let passed = steps.len() - failed;
    let _ = writeln!(text, "{seconds:>8.1} s  check: {passed} steps passed, {failed} failed");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_and_report_name_every_step() {
        let steps = [
            Step { name: "fmt", result: Ok(()), seconds: 0.26 },
            Step { name: "tidy", result: Err("no".to_owned()), seconds: 1.0 },
        ];
        assert_eq!(report(&steps), "passed\tfmt\t0.3\nfailed\ttidy\t1.0\n");
        assert!(summary(&steps).ends_with("check: 1 steps passed, 1 failed\n"));
    }
}
