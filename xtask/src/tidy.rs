//! `tidy`: the rules of the house that no compiler knows.
//!
//! Each rule is a pure function from the files of the tree to findings, so that its tests are small
//! trees in memory. The files are those that git knows or would know; ignored ones do not count.
//!
//! | module | rules |
//! |---|---|
//! | [`edges`] | which crate may use which; unsafe code in its listed modules only |
//! | [`manifests`] | dependencies come from the workspace |
//! | [`sources`] | length of files, crate documentation, leftovers, attributes |
//! | [`docs`] | links resolve; the code map names every crate |
//! | [`texts`] | no paths of somebody's machine, no trailing blanks, a final newline |
//! | [`fuzzing`] | every fuzz target is run by `fuzz --smoke` |

mod docs;
mod edges;
mod fuzzing;
mod manifests;
mod scrub;
mod sources;
mod texts;

use std::fmt;
use std::fs;
use std::path::Path;

use crate::shell::{self, Shell};

/// Checks the tree and prints what it finds.
///
/// # Errors
///
/// When there is a finding that is more than a warning.
pub(crate) fn run(shell: &Shell) -> Result<(), String> {
    let tree = Tree::read(shell)?;
    let mut findings = Vec::new();
    for rule in RULES {
        findings.extend(rule(&tree));
    }
    findings.sort_by(|a, b| (a.warning, &a.place, &a.what).cmp(&(b.warning, &b.place, &b.what)));
    for finding in &findings {
        println!("tidy: {finding}");
    }
    let warnings = findings.iter().filter(|finding| finding.warning).count();
    let problems = findings.len() - warnings;
    println!("tidy: {} files, {problems} problems, {warnings} warnings", tree.files.len());
    match problems {
        0 => Ok(()),
        _ => Err(format!("tidy found {problems} problems")),
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    edges::edges,
    edges::unsafe_modules,
    manifests::from_workspace,
    manifests::used,
    sources::length,
    sources::crate_docs,
    sources::leftovers,
    sources::attributes,
    docs::links,
    docs::code_map,
    texts::machine_paths,
    texts::blanks,
    fuzzing::listed,
];

/// What a rule has to say about a place.
#[derive(Debug)]
struct Finding {
    /// A path, with `:line` where there is one.
    place: String,
    what: String,
    /// Whether it is worth a look only.
    warning: bool,
}

impl Finding {
    fn at(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), warning: false }
    }

    fn at_line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::at(format!("{path}:{line}"), what)
    }

    fn warning(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { warning: true, ..Self::at(place, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = if self.warning { "warning: " } else { "" };
        write!(f, "{}: {warning}{}", self.place, self.what)
    }
}

/// A file of the tree.
#[derive(Debug)]
struct SourceFile {
    /// From the root, with `/`.
    path: String,
    /// Empty for what is not text.
    text: String,
}

impl SourceFile {
    /// The name of the crate whose folder the file is in.
    fn krate(&self) -> Option<&str> {
        crate_of(&self.path)
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// `NAME` of `crates/NAME/...`, and `xtask` of `xtask/...`.
fn crate_of(path: &str) -> Option<&str> {
    match path.strip_prefix("crates/") {
        Some(rest) => rest.split_once('/').map(|(name, _)| name),
        None => path.starts_with("xtask/").then_some("xtask"),
    }
}

/// All files that count, sorted by path.
#[derive(Debug)]
struct Tree {
    files: Vec<SourceFile>,
}

impl Tree {
    fn read(shell: &Shell) -> Result<Self, String> {
        let mut paths = Vec::new();
        let mut git = shell.command("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        match shell::succeeds(shell.command("git").args(["rev-parse", "--git-dir"])) {
            true => paths.extend(shell::read(&mut git)?.split('\0').map(str::to_owned)),
            false => walk(&shell.root, "", &mut paths)?,
        }
        paths.sort();
        paths.dedup();
        let mut files = Vec::new();
        for path in paths {
            // What git still lists may be deleted or be a folder of another repository.
            let real = shell.root.join(&path);
            if path.is_empty() || !real.is_file() {
                continue;
            }
            let bytes = fs::read(&real).map_err(|error| format!("read {path}: {error}"))?;
            let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
            files.push(SourceFile { path, text: text.unwrap_or_default() });
        }
        Ok(Self { files })
    }

    fn get(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is such a file, or a folder with files in it. The root is `""`.
    fn holds(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    }

    /// The names of the folders of `crates/`.
    fn crates(&self) -> Vec<&str> {
        let inside = self.files.iter().filter(|file| file.path.starts_with("crates/"));
        let mut names: Vec<&str> = inside.filter_map(SourceFile::krate).collect();
        names.dedup();
        names
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| SourceFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self { files: files.iter().map(file).collect() }
    }
}

/// The files of an export without git: all but what cargo makes.
fn walk(root: &Path, below: &str, paths: &mut Vec<String>) -> Result<(), String> {
    let fail = |error| format!("read folder `{below}`: {error}");
    for entry in fs::read_dir(root.join(below)).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = entry.file_type().map_err(fail)?;
        if kind.is_dir() && name != "target" && name != ".git" {
            walk(root, &path, paths)?;
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
fn check(rule: Rule, files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> = rule(&Tree::of(files)).iter().map(Finding::to_string).collect();
    assert_eq!(found, expected);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_its_crates_and_folders() {
        let tree = Tree::of(&[
            ("crates/a/Cargo.toml", ""),
            ("crates/a/src/lib.rs", ""),
            ("crates/b/Cargo.toml", ""),
            ("docs/a.md", ""),
        ]);
        assert_eq!(tree.crates(), ["a", "b"]);
        assert!(tree.holds("docs") && tree.holds("docs/a.md") && tree.holds(""));
        assert!(!tree.holds("doc") && !tree.holds("docs/b.md"));
        assert_eq!(crate_of("xtask/src/main.rs"), Some("xtask"));
        assert_eq!(crate_of("docs/a.md"), None);
    }
}
