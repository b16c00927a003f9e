//! Documents: links inside the tree resolve, and the code map names every crate.

use super::{Finding, SourceFile, Tree};

/// The document with the code map.
const CODE_MAP: &str = "docs/ARCHITECTURE.md";

/// A relative link of a Markdown file leads to a file or folder of the tree.
pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in targets(file) {
            let path = target.split(['#', '?']).next().unwrap_or("");
            let elsewhere = path.contains("://") || path.starts_with("mailto:");
            if path.is_empty() || elsewhere {
                continue;
            }
            let found = resolve(folder, path).is_some_and(|path| tree.holds(&path));
            if !found {
                let what = format!("the link to `{target}` leads nowhere");
                findings.push(Finding::at_line(&file.path, line, what));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` and `[name]: target` outside code, with their lines.
fn targets(file: &SourceFile) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in file.lines() {
        if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        // Every second piece between back quotes is code.
        let prose: String = line.split('`').step_by(2).collect();
        for (at, opening) in prose.match_indices("](") {
            let rest = &prose[at + opening.len()..];
            let target = rest.split([')', ' ']).next().unwrap_or("");
            found.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
        let definition = prose.starts_with('[').then(|| prose.split_once("]: ")).flatten();
        if let Some((_, target)) = definition.filter(|(name, _)| !name.contains("](")) {
            found.push((number, target.split(' ').next().unwrap_or("").to_owned()));
        }
    }
    found
}

/// The path from the root of what `link` means in `folder`; none when it leaves the tree.
fn resolve(folder: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    if link.starts_with('/') {
        return None;
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The code map has each folder of `crates/` by its name.
pub(super) fn code_map(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.get(CODE_MAP) else {
        return vec![Finding::at(CODE_MAP, "is missing")];
    };
    let named = |name: &str| {
        let is_end = |c: char| !(c.is_alphanumeric() || c == '-' || c == '_');
        map.text.split(is_end).any(|word| word == name)
    };
    let missing = tree.crates().into_iter().filter(|name| !named(name));
    missing.map(|name| Finding::at(CODE_MAP, format!("does not name the crate `{name}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn relative_links_resolve() {
        let text = "[a](b.md#part), [up](../README.md) and [dir](format/)\n[x](https://example.org)\n\
            [self](#part) `[code](nowhere.md)`\n```\n[fenced](nowhere.md)\n```\n[r]: b.md\n";
        let files =
            [("docs/a.md", text), ("docs/b.md", ""), ("README.md", ""), ("docs/format/c.md", "")];
        check(links, &files, &[]);
    }

    #[test]
    fn broken_links_are_found() {
        let text = "[a](gone.md)\n[b](../../out.md) [c](/root.md)\n[d]: gone.md \"title\"\n";
        check(
            links,
            &[("docs/a.md", text)],
            &[
                "docs/a.md:1: the link to `gone.md` leads nowhere",
                "docs/a.md:2: the link to `../../out.md` leads nowhere",
                "docs/a.md:2: the link to `/root.md` leads nowhere",
                "docs/a.md:3: the link to `gone.md` leads nowhere",
            ],
        );
    }

    #[test]
    fn the_code_map_names_every_crate() {
        let crates = [("crates/todana/a", ""), ("crates/todana-io/a", "")];
        check(code_map, &crates, &["docs/ARCHITECTURE.md: is missing"]);
        let files = [crates[0], crates[1], (CODE_MAP, "| `crates/todana-io` |")];
        check(code_map, &files, &["docs/ARCHITECTURE.md: does not name the crate `todana`"]);
    }
}
