//! memccapable: libmemcached's test of a server, one line a test.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::shell::{self, Shell};

/// Half of memccapable: the tests of one protocol.
#[derive(Debug)]
pub(super) struct Protocol {
    /// What the lines of its tests begin with.
    pub(super) name: &'static str,
    flag: &'static str,
    /// How many tests libmemcached 1.1.4 has; fewer lines mean that it gave up.
    tests_min: usize,
    /// Tests that the original fails as well, with the reason. memcached 1.6.18 fails none.
    expected_failures: &'static [(&'static str, &'static str)],
}

/// Both protocols.
pub(super) const PROTOCOLS: &[Protocol] = &[
    Protocol { name: "ascii", flag: "-a", tests_min: 27, expected_failures: &[] },
    Protocol { name: "binary", flag: "-b", tests_min: 27, expected_failures: &[] },
];

/// Seconds that memccapable waits for an answer.
const ANSWER_TIME_MAX_S: &str = "5";
/// How long all tests of a protocol may take.
const TIME_MAX: Duration = Duration::from_secs(120);

/// What a run came to.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Tests that went as expected.
    pub(super) passed: usize,
    /// A line for each that did not.
    pub(super) failed: Vec<String>,
}

/// Runs the tests of one protocol against a server, which gets flushed.
pub(super) fn run(
    shell: &Shell,
    work: &Path,
    protocol: &Protocol,
    host: &str,
    port: u16,
) -> Result<Verdict, String> {
    let mut command = shell.command("memccapable");
    command.args(["-h", host, "-p", &port.to_string(), "-t", ANSWER_TIME_MAX_S, protocol.flag]);
    let log = work.join(format!("memccapable-{}.log", protocol.name));
    let finished = shell::run_logged(&mut command, &log, TIME_MAX)?;
    let results = parse(&finished.output, protocol.name);
    let verdict = judge(&results, protocol);
    if !verdict.failed.is_empty() {
        println!("memccapable ended with {}; its last lines:", finished.how);
        print!("{}", shell::tail(&finished.output, 12));
    }
    Ok(verdict)
}

/// The tests in a log and whether each passed.
///
/// A line is `ascii set noreply         [pass]`. A failure may put text between the name, which is
/// padded to 40 columns, and its `[FAIL]`, even on lines of its own.
fn parse(log: &str, protocol: &str) -> Vec<(String, bool)> {
    let mut results = Vec::new();
    let mut open: Option<String> = None;
    for line in log.lines() {
        if line.starts_with(protocol) && line[protocol.len()..].starts_with(' ') {
            results.extend(open.take().map(|name| (name, false)));
            let name: String = line.chars().take(40).collect();
            open = Some(name.trim_end().to_owned());
        }
        let verdict = [("[pass]", true), ("[FAIL]", false)].into_iter();
        if let Some((_, passed)) = verdict.clone().find(|(mark, _)| line.ends_with(mark)) {
            results.extend(open.take().map(|name| (name, passed)));
        }
    }
    results.extend(open.map(|name| (name, false)));
    results
}

fn judge(results: &[(String, bool)], protocol: &Protocol) -> Verdict {
    let expected: BTreeSet<&str> =
        protocol.expected_failures.iter().map(|(name, _)| *name).collect();
    let mut verdict = Verdict { passed: 0, failed: Vec::new() };
    for (name, passed) in results {
        match (*passed, expected.contains(name.as_str())) {
            (true, true) => verdict.failed.push(format!("{name} passes: it was expected to fail")),
            (false, false) => verdict.failed.push(name.clone()),
            _ => verdict.passed += 1,
        }
    }
    if results.len() < protocol.tests_min {
        let counts = format!("{} of {} tests", results.len(), protocol.tests_min);
        verdict.failed.push(format!("gave up: {counts} were run"));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
ascii version                           [pass]
ascii set noreply                       [ERROR
]
[FAIL]
ascii get                               [FAIL]
ascii gets                              Errno: 110 Connection timed out
";

    #[test]
    fn reads_verdicts_on_the_same_and_on_later_lines() {
        let results = parse(LOG, "ascii");
        let names: Vec<(&str, bool)> = results.iter().map(|(n, p)| (n.as_str(), *p)).collect();
        assert_eq!(
            names,
            [
                ("ascii version", true),
                ("ascii set noreply", false),
                ("ascii get", false),
                ("ascii gets", false),
            ]
        );
        assert!(parse(LOG, "binary").is_empty());
    }

    #[test]
    fn the_set_of_failures_has_to_be_the_expected_one() {
        let results = parse(LOG, "ascii");
        let protocol = Protocol {
            name: "ascii",
            flag: "-a",
            tests_min: 5,
            expected_failures: &[("ascii get", "reason"), ("ascii version", "reason")],
        };
        let verdict = judge(&results, &protocol);
        assert_eq!(verdict.passed, 1);
        assert_eq!(
            verdict.failed,
            [
                "ascii version passes: it was expected to fail",
                "ascii set noreply",
                "ascii gets",
                "gave up: 4 of 5 tests were run",
            ]
        );
    }
}
