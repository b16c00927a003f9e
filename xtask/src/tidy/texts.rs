//! Every text file: nothing of the machine it was written on, no trailing blanks, a final newline.

use super::{Finding, Tree};

/// Beginnings of paths that exist on somebody's machine, cut in two so that this file has none.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// No absolute path of a machine.
pub(super) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (number, line) in file.lines() {
            for path in MACHINE_PATHS.iter().filter(|path| has_absolute(line, path)) {
                let what = format!("a path of a machine: `{path}`");
                findings.push(Finding::at_line(&file.path, number, what));
            }
        }
    }
    findings
}

/// Whether the path is in the line with no other path or address before it.
fn has_absolute(line: &str, path: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || "._-~*/}$<>".contains(c);
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(goes_on))
}

/// Lines end with their text, files with a newline. Data of tests is as it has to be.
pub(super) fn blanks(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| !is_data(&file.path)) {
        for (number, line) in file.lines() {
            if line.ends_with([' ', '\t', '\r']) {
                findings.push(Finding::at_line(&file.path, number, "trailing blanks"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            findings.push(Finding::at(&file.path, "no newline at the end"));
        } else if file.text.ends_with("\n\n") {
            findings.push(Finding::at(&file.path, "empty lines at the end"));
        }
    }
    findings
}

fn is_data(path: &str) -> bool {
    let folders = ["testdata", "golden", "seeds", "corpus"];
    path.split('/').any(|part| folders.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn paths_of_a_machine() {
        let text =
            format!("run {p}x\nhttps://example.org{p}x\n~{p}\n\"{p}\"\n", p = MACHINE_PATHS[0]);
        let line = |n| format!("a.md:{n}: a path of a machine: `{}`", MACHINE_PATHS[0]);
        check(machine_paths, &[("a.md", &text)], &[&line(1), &line(4)]);
    }

    #[test]
    fn blanks_and_final_newlines() {
        let files = [
            ("a", "x\n"),
            ("b", ""),
            ("c", "x \ny\t\n"),
            ("d", "x"),
            ("e", "x\n\n"),
            ("crates/a/testdata/t.txt", "x "),
        ];
        check(
            blanks,
            &files,
            &[
                "c:1: trailing blanks",
                "c:2: trailing blanks",
                "d: no newline at the end",
                "e: empty lines at the end",
            ],
        );
    }
}
