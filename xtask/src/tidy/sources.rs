//! Rust sources: how long they are, that crates are described, that nothing was left behind.

use super::scrub::{has_word, scrub};
use super::{Finding, SourceFile, Tree};

/// Lines from which a file is worth another look.
const LONG: usize = 600;
/// Lines from which its module documentation has to say why.
const TOO_LONG: usize = 1000;
/// How that explanation begins.
const EXCUSE: &str = "Long because";
/// Lines of text that a crate's documentation has at least.
const CRATE_DOC_LINES_MIN: usize = 5;

/// A long file is a warning; a very long one has to explain itself.
pub(super) fn length(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let Some(name) = file.krate() else { continue };
        if name != "xtask" && !file.path.starts_with(&format!("crates/{name}/src/")) {
            continue;
        }
        let count = file.lines().count();
        let excused = doc_lines(file).any(|line| line.contains(EXCUSE));
        if count > TOO_LONG && !excused {
            let what = format!("{count} lines: split it, or say `{EXCUSE} ...` in its module doc");
            findings.push(Finding::at(&file.path, what));
        } else if count > LONG && !excused {
            findings.push(Finding::warning(&file.path, format!("{count} lines: look again")));
        }
    }
    findings
}

/// The inner documentation at the top of a file, without its `//!`.
fn doc_lines(file: &SourceFile) -> impl Iterator<Item = &str> {
    let top = file.text.lines().take_while(|line| {
        line.trim().is_empty() || line.starts_with("//") || line.starts_with("#![")
    });
    top.filter_map(|line| line.strip_prefix("//!"))
}

/// The root of every crate says what the crate is.
pub(super) fn crate_docs(tree: &Tree) -> Vec<Finding> {
    let is_root = |file: &&SourceFile| {
        let Some(name) = file.krate() else { return false };
        let folder = if name == "xtask" { name.to_owned() } else { format!("crates/{name}") };
        ["lib", "main"].iter().any(|root| file.path == format!("{folder}/src/{root}.rs"))
    };
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(is_root) {
        let count = doc_lines(file).filter(|line| !line.trim().is_empty()).count();
        if count < CRATE_DOC_LINES_MIN {
            let what = format!(
                "{count} lines of crate documentation; say in {CRATE_DOC_LINES_MIN} or more what \
                 the crate is, what it is not, and its modules"
            );
            findings.push(Finding::at(&file.path, what));
        }
    }
    findings
}

/// Macros that stand for code yet to be written, and for debugging.
const MACROS: &[&str] = &["todo!", "unimplemented!", "dbg!"];
/// Notes to oneself, cut in two so that this file has none.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// No macro that stands for missing code, no debugging, no note to oneself.
pub(super) fn leftovers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_source(&file.path)) {
        for (line, text) in file.lines() {
            for note in NOTES.iter().filter(|note| has_word(text, note)) {
                findings.push(Finding::at_line(&file.path, line, format!("`{note}` was left")));
            }
        }
        for (line, code) in code_lines(file) {
            for name in MACROS.iter().filter(|name| has_word(&code, name)) {
                findings.push(Finding::at_line(&file.path, line, format!("`{name}` was left")));
            }
        }
    }
    findings
}

fn is_source(path: &str) -> bool {
    let folders = ["crates/", "xtask/", "bench/", "fuzz/"];
    let endings = [".rs", ".py", ".sh", ".toml"];
    folders.iter().any(|folder| path.starts_with(folder))
        && endings.iter().any(|ending| path.ends_with(ending))
}

/// The lines of code of a Rust file; none of another.
fn code_lines(file: &SourceFile) -> Vec<(usize, String)> {
    if !file.is_rust() {
        return Vec::new();
    }
    let code = scrub(&file.text);
    code.lines().enumerate().map(|(index, line)| (index + 1, line.to_owned())).collect()
}

/// Attributes that are not to be there, cut in two as well.
const ALLOW: &str = concat!("#[", "allow(");
const ALLOW_ALL: &str = concat!("#!", "[allow(");
const IGNORE: &str = concat!("#[", "ignore]");

/// An exception is `#[expect(..., reason = "...")]`; a test is ignored for a reason.
pub(super) fn attributes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| is_source(&file.path)) {
        for (line, code) in code_lines(file) {
            let code: String = code.split_whitespace().collect();
            let allow = code.contains(ALLOW) || code.contains(ALLOW_ALL);
            if allow || code.contains("cfg_attr(") && code.contains(",allow(") {
                let what = "use `#[expect(..., reason = \"...\")]` instead of `allow`";
                findings.push(Finding::at_line(&file.path, line, what));
            }
            if code.contains(IGNORE) {
                let what = "say why: `#[ignore = \"...\"]`";
                findings.push(Finding::at_line(&file.path, line, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    fn check_length(lines: usize, top: &str, expected: &[&str]) {
        let text = format!("{top}{}", "x\n".repeat(lines - top.lines().count()));
        check(length, &[("crates/a/src/b.rs", &text)], expected);
        check(length, &[("crates/a/tests/b.rs", &text)], &[]);
    }

    #[test]
    fn long_files() {
        check_length(600, "", &[]);
        check_length(601, "", &["crates/a/src/b.rs: warning: 601 lines: look again"]);
        check_length(1001, "//! Long because it is one table.\n", &[]);
        check_length(
            1001,
            "",
            &[
                "crates/a/src/b.rs: 1001 lines: split it, or say `Long because ...` in its module doc",
            ],
        );
    }

    #[test]
    fn crates_are_described() {
        let good = "//! A\n//! b\n//!\n//! c\n//! d\n#![forbid(unsafe_code)]\n//! e\n";
        check(crate_docs, &[("crates/a/src/lib.rs", good), ("crates/a/src/b.rs", "")], &[]);
        let found =
            crate_docs(&Tree::of(&[("xtask/src/main.rs", "//! a\n//!\n//! b\nfn f() {}\n")]));
        assert!(found[0].to_string().starts_with("xtask/src/main.rs: 2 lines of crate doc"));
    }

    #[test]
    fn leftovers_are_found_in_code_and_notes_everywhere() {
        let (missing, note) = (MACROS[0], NOTES[0]);
        let source = format!("{missing}()\n\"{missing}()\"\nlet x = dbg!(1); // {note}: x\n");
        check(
            leftovers,
            &[("fuzz/a.rs", &source), ("docs/a.md", NOTES[1])],
            &[
                &format!("fuzz/a.rs:3: `{}` was left", NOTES[0]),
                "fuzz/a.rs:1: `todo!` was left",
                "fuzz/a.rs:3: `dbg!` was left",
            ],
        );
        check(leftovers, &[("xtask/a.py", &format!("# {}X\n", NOTES[2]))], &[]);
    }

    #[test]
    fn exceptions_need_reasons() {
        let source = format!(
            "{ALLOW}dead_code)]\n// {ALLOW}dead_code)]\n{IGNORE}\n#[ignore = \"slow\"]\n\
            #![cfg_attr(test, allow(unused))]\n#[expect(dead_code)]\n"
        );
        check(
            attributes,
            &[("crates/a/src/b.rs", &source)],
            &[
                "crates/a/src/b.rs:1: use `#[expect(..., reason = \"...\")]` instead of `allow`",
                "crates/a/src/b.rs:3: say why: `#[ignore = \"...\"]`",
                "crates/a/src/b.rs:5: use `#[expect(..., reason = \"...\")]` instead of `allow`",
            ],
        );
    }
}
