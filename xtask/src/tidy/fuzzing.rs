//! Every fuzz target is run: `fuzz --smoke` runs the `[[bin]]` tables of `fuzz/Cargo.toml`.

use super::{Finding, Tree};
use crate::fuzz;

const MANIFEST: &str = "fuzz/Cargo.toml";
const TARGETS: &str = "fuzz/fuzz_targets/";
const SEEDS: &str = "fuzz/seeds/";

/// Files of targets and `[[bin]]` tables are the same set, and seeds belong to a target.
pub(super) fn listed(tree: &Tree) -> Vec<Finding> {
    let Some(manifest) = tree.get(MANIFEST) else {
        return Vec::new();
    };
    let names = match fuzz::targets(&manifest.text) {
        Ok(names) => names,
        Err(why) => return vec![Finding::at(MANIFEST, why)],
    };
    let mut findings = Vec::new();
    for name in &names {
        let path = format!("{TARGETS}{name}.rs");
        if tree.get(&path).is_none() {
            findings.push(Finding::at(MANIFEST, format!("the target `{name}` has no {path}")));
        }
    }
    for file in &tree.files {
        // Modules that targets share are in folders below.
        let target = file.path.strip_prefix(TARGETS).and_then(|rest| rest.strip_suffix(".rs"));
        let target = target.filter(|name| !name.contains('/'));
        let seeds = file.path.strip_prefix(SEEDS).and_then(|rest| rest.split('/').next());
        if let Some(name) = target.filter(|name| !names.iter().any(|n| n == name)) {
            let what = format!("is never run: {MANIFEST} has no [[bin]] `{name}`");
            findings.push(Finding::at(&file.path, what));
        }
        if let Some(name) = seeds.filter(|name| !names.iter().any(|n| n == name)) {
            findings.push(Finding::at(&file.path, format!("there is no fuzz target `{name}`")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn targets_files_and_seeds_agree() {
        let manifest = "[[bin]]\nname = \"text\"\n";
        let good = [
            (MANIFEST, manifest),
            ("fuzz/fuzz_targets/text.rs", ""),
            ("fuzz/fuzz_targets/shared/mod.rs", ""),
            ("fuzz/seeds/text/get", ""),
        ];
        check(listed, &good, &[]);
        let bad = [(MANIFEST, manifest), ("fuzz/fuzz_targets/a.rs", ""), ("fuzz/seeds/b/x", "")];
        check(
            listed,
            &bad,
            &[
                "fuzz/Cargo.toml: the target `text` has no fuzz/fuzz_targets/text.rs",
                "fuzz/fuzz_targets/a.rs: is never run: fuzz/Cargo.toml has no [[bin]] `a`",
                "fuzz/seeds/b/x: there is no fuzz target `b`",
            ],
        );
    }
}
