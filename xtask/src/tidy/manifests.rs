//! Dependencies of the members: each is listed once, in the root's `[workspace.dependencies]`.

use toml::{Table, Value};

use super::{Finding, SourceFile, Tree};

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The crate itself, or its build script.
    Normal,
    /// Its tests.
    Dev,
}

/// A dependency as a member's manifest has it.
#[derive(Debug)]
pub(super) struct Dependency {
    /// The name of the package.
    pub(super) name: String,
    /// What it is for.
    pub(super) kind: Kind,
    from_workspace: bool,
}

/// The dependencies of a manifest, those for some platforms included.
///
/// # Errors
///
/// When the manifest is not TOML.
pub(super) fn dependencies(manifest: &SourceFile) -> Result<Vec<Dependency>, String> {
    let table: Table = manifest.text.parse().map_err(|error| format!("{error}"))?;
    let mut found = Vec::new();
    collect(&table, &mut found);
    let platforms = table.get("target").and_then(Value::as_table);
    for platform in platforms.into_iter().flat_map(Table::values).filter_map(Value::as_table) {
        collect(platform, &mut found);
    }
    Ok(found)
}

fn collect(table: &Table, found: &mut Vec<Dependency>) {
    let sections = [
        ("dependencies", Kind::Normal),
        ("build-dependencies", Kind::Normal),
        ("dev-dependencies", Kind::Dev),
    ];
    for (section, kind) in sections {
        for (key, value) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
            let renamed = value.get("package").and_then(Value::as_str);
            // A crate whose tests want it with other features names itself by its folder.
            let itself = value.get("path").and_then(Value::as_str) == Some(".");
            let shared = value.get("workspace").and_then(Value::as_bool) == Some(true);
            let from_workspace = shared || itself && kind == Kind::Dev;
            let name = renamed.unwrap_or(key).to_owned();
            found.push(Dependency { name, kind, from_workspace });
        }
    }
}

fn members(tree: &Tree) -> impl Iterator<Item = &SourceFile> {
    tree.files.iter().filter(|file| {
        let folder = file.path.strip_suffix("/Cargo.toml");
        folder.is_some_and(|folder| {
            folder == "xtask"
                || folder.strip_prefix("crates/").is_some_and(|name| !name.contains('/'))
        })
    })
}

/// Every dependency of a member says `workspace = true`.
pub(super) fn from_workspace(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in members(tree) {
        match dependencies(manifest) {
            Err(why) => findings.push(Finding::at(&manifest.path, why)),
            Ok(found) => {
                findings.extend(found.iter().filter(|dep| !dep.from_workspace).map(|dep| {
                    let what = format!("`{}` needs `workspace = true`", dep.name);
                    Finding::at(&manifest.path, what)
                }))
            }
        }
    }
    findings
}

/// What the root lists is used by some member (a warning: it may be about to be).
pub(super) fn used(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.get("Cargo.toml") else { return Vec::new() };
    let table: Table = match root.text.parse() {
        Ok(table) => table,
        Err(error) => return vec![Finding::at(&root.path, format!("{error}"))],
    };
    let listed =
        table.get("workspace").and_then(|w| w.get("dependencies")).and_then(Value::as_table);
    let used: Vec<String> = members(tree)
        .flat_map(|manifest| dependencies(manifest).unwrap_or_default())
        .map(|dependency| dependency.name)
        .collect();
    listed
        .into_iter()
        .flat_map(Table::keys)
        .filter(|name| !name.starts_with("todana") && !used.contains(name))
        .map(|name| Finding::warning(&root.path, format!("no member uses `{name}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn members_take_dependencies_from_the_workspace() {
        let good = "[dependencies]\nmio = { workspace = true, features = [\"net\"] }\n\
            [dev-dependencies]\nproptest.workspace = true\n";
        check(from_workspace, &[("crates/todana-io/Cargo.toml", good)], &[]);
        let itself = "[dev-dependencies]\ntodana-io = { path = \".\", features = [\"x\"] }\n";
        check(from_workspace, &[("crates/todana-io/Cargo.toml", itself)], &[]);
        let bad = "[target.'cfg(unix)'.dev-dependencies]\nmio = \"1\"\n";
        check(
            from_workspace,
            &[("crates/todana-io/Cargo.toml", bad)],
            &["crates/todana-io/Cargo.toml: `mio` needs `workspace = true`"],
        );
    }

    #[test]
    fn other_workspaces_do_not_count() {
        let own = "[dependencies]\nlibfuzzer-sys = \"0.4\"\n";
        check(from_workspace, &[("fuzz/Cargo.toml", own), ("bench/x/Cargo.toml", own)], &[]);
    }

    #[test]
    fn unused_entries_of_the_root_are_warnings() {
        let root = "[workspace.dependencies]\nmio = \"1\"\nclap = \"4\"\ntodana-io = \"*\"\n";
        let member = "[dependencies]\nmio.workspace = true\n";
        check(
            used,
            &[("Cargo.toml", root), ("xtask/Cargo.toml", member)],
            &["Cargo.toml: warning: no member uses `clap`"],
        );
    }
}
