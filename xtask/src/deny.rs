//! `deny`: licences, banned crates and sources of everything in the dependency graph.
//!
//! Both ways read the same `deny.toml`. When cargo-deny is installed it does the work. Otherwise the
//! check in this module does, which needs no installation: it understands the keys that our
//! `deny.toml` uses and refuses a file with any other, so that it never passes what cargo-deny
//! would not. Advisories are left out, since their database is a repository that CI cannot reach.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use toml::Table;

use crate::args::Args;
use crate::shell::{self, Shell};
use crate::spdx;

/// What `deny` was asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    install: bool,
}

impl Options {
    /// Reads the options of `deny`.
    pub(crate) fn parse(mut args: Args) -> Result<Self, String> {
        let install = args.flag("--install");
        args.finish()?;
        Ok(Self { install })
    }

    /// Checks the graph with cargo-deny or with the built-in check, and says which.
    pub(crate) fn run(&self, shell: &Shell) -> Result<(), String> {
        let present = shell::succeeds(shell.cargo().args(["deny", "--version"]));
        if !present && self.install {
            shell::run(shell.cargo().args(["install", "--locked", "cargo-deny"]))?;
        }
        if present || self.install {
            println!("deny: by cargo-deny");
            let checks = ["deny", "check", "licenses", "bans", "sources"];
            return shell::run(shell.cargo().args(checks));
        }
        println!("deny: by the built-in check, since cargo-deny is not installed");
        built_in(shell)
    }
}

fn built_in(shell: &Shell) -> Result<(), String> {
    let rules = Rules::read(&shell.root.join("deny.toml"))?;
    let mut command = shell.cargo();
    command.args(["metadata", "--format-version=1", "--locked", "--all-features"]);
    for target in &rules.targets {
        command.args(["--filter-platform", target]);
    }
    let json = shell::read(&mut command)?;
    let metadata = serde_json::from_str(&json).map_err(|e| format!("read cargo metadata: {e}"))?;
    let packages = packages(&metadata)?;
    let findings = rules.judge(&packages);
    for warning in duplicates(&packages).iter().filter(|_| rules.warn_duplicates) {
        println!("deny: warning: {warning}");
    }
    for finding in &findings {
        println!("deny: {finding}");
    }
    println!("deny: {} packages, {} problems", packages.len(), findings.len());
    match findings.is_empty() {
        true => Ok(()),
        false => Err(format!("{} problems in the dependency graph", findings.len())),
    }
}

/// One package of the graph.
#[derive(Debug, Clone, Default)]
struct Package {
    name: String,
    version: String,
    /// The licence expression; none when the manifest has only a licence file.
    licence: Option<String>,
    /// Where it came from; none for a path.
    source: Option<String>,
    /// Dependencies from a registry whose version is `*`.
    wildcards: Vec<String>,
}

/// The packages in the resolved graph of `cargo metadata`.
fn packages(metadata: &Value) -> Result<Vec<Package>, String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let nodes = list(&metadata["resolve"]["nodes"]);
    let used: BTreeSet<String> = nodes.iter().filter_map(|node| text(&node["id"])).collect();
    let mut packages = Vec::new();
    for package in list(&metadata["packages"]) {
        let id = text(&package["id"]).ok_or("cargo metadata: a package without id")?;
        if !used.contains(&id) {
            continue;
        }
        let wild = |dep: &Value| dep["req"] == "*" && !dep["source"].is_null();
        packages.push(Package {
            name: text(&package["name"]).ok_or("cargo metadata: a package without name")?,
            version: text(&package["version"]).unwrap_or_default(),
            licence: text(&package["license"]),
            source: text(&package["source"]),
            wildcards: list(&package["dependencies"])
                .iter()
                .filter(|dep| wild(dep))
                .filter_map(|dep| text(&dep["name"]))
                .collect(),
        });
    }
    match packages.is_empty() {
        true => Err("cargo metadata: no packages".to_owned()),
        false => Ok(packages),
    }
}

/// One line for each crate that is there in several versions.
fn duplicates(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions
        .iter()
        .filter(|(_, set)| set.len() > 1)
        .map(|(name, set)| {
            format!("{name} in versions {}", Vec::from_iter(set.iter().copied()).join(", "))
        })
        .collect()
}

/// What `deny.toml` says.
#[derive(Debug, Default)]
struct Rules {
    targets: Vec<String>,
    allow: Vec<String>,
    /// Crate and licences allowed to it alone.
    exceptions: Vec<(String, Vec<String>)>,
    /// Crate and why it is banned.
    banned: Vec<(String, String)>,
    warn_duplicates: bool,
}

impl Rules {
    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("deny.toml: {why}"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: Table = text.parse().map_err(|error| format!("{error}"))?;
        let mut rules = Self::default();
        for (section, value) in &file {
            let table = value.as_table().ok_or_else(|| format!("`{section}` is no table"))?;
            for (key, value) in table {
                rules.take(&format!("{section}.{key}"), value)?;
            }
        }
        for needed in ["licenses", "bans", "sources"] {
            if !file.contains_key(needed) {
                return Err(format!("no section [{needed}]"));
            }
        }
        Ok(rules)
    }

    fn take(&mut self, key: &str, value: &toml::Value) -> Result<(), String> {
        match (key, value.as_str(), value.as_bool()) {
            ("graph.targets", ..) => self.targets = strings(key, value)?,
            ("licenses.allow", ..) => self.allow = strings(key, value)?,
            ("licenses.exceptions", ..) => {
                for entry in array(key, value)? {
                    self.exceptions.push((crate_of(key, entry)?, strings(key, &entry["allow"])?));
                }
            }
            ("bans.deny", ..) => {
                for entry in array(key, value)? {
                    let reason = entry.get("reason").and_then(toml::Value::as_str);
                    self.banned.push((crate_of(key, entry)?, reason.unwrap_or("").to_owned()));
                }
            }
            ("bans.multiple-versions", Some(level @ ("warn" | "allow")), _) => {
                self.warn_duplicates = level == "warn";
            }
            ("bans.wildcards", Some("deny"), _)
            | ("bans.allow-wildcard-paths", _, Some(true))
            | ("sources.unknown-registry" | "sources.unknown-git", Some("deny"), _) => {}
            _ => return Err(format!("the built-in check does not know `{key} = {value:?}`")),
        }
        Ok(())
    }

    /// One line for each breach of the rules.
    fn judge(&self, packages: &[Package]) -> Vec<String> {
        let mut findings = Vec::new();
        // Whatever the default registry is called here, all crates come from that one.
        let is_registry = |source: &&str| source.starts_with("registry+");
        let registry = packages.iter().find_map(|one| one.source.as_deref().filter(is_registry));
        for package in packages {
            let mut breaches = Vec::new();
            breaches.extend(self.judge_licence(package).err());
            for (name, reason) in &self.banned {
                if *name == package.name {
                    breaches.push(format!("is banned: {reason}"));
                }
            }
            for name in &package.wildcards {
                breaches.push(format!("asks for any version of {name}"));
            }
            if let Some(source) = package.source.as_deref().filter(|one| Some(*one) != registry) {
                breaches.push(format!("comes from {source}, not from the registry"));
            }
            let line = |why| format!("{} {} {why}", package.name, package.version);
            findings.extend(breaches.into_iter().map(line));
        }
        findings
    }

    fn judge_licence(&self, package: &Package) -> Result<(), String> {
        let Some(expression) = package.licence.as_deref() else {
            return Err("has no licence expression".to_owned());
        };
        let allowed = |licence: &str| {
            let own = self.exceptions.iter().filter(|(name, _)| *name == package.name);
            own.flat_map(|(_, list)| list).chain(&self.allow).any(|name| name == licence)
        };
        match spdx::satisfied(expression, &allowed)? {
            true => Ok(()),
            false => Err(format!("has the licence `{expression}`, which is not allowed")),
        }
    }
}

fn array<'a>(key: &str, value: &'a toml::Value) -> Result<&'a [toml::Value], String> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("`{key}` is no list"))
}

fn strings(key: &str, value: &toml::Value) -> Result<Vec<String>, String> {
    let string = |entry: &toml::Value| match entry.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("`{key}` holds what is no string")),
    };
    array(key, value)?.iter().map(string).collect()
}

/// The crate that an entry names. A version in it would need ranges, which are not known here.
fn crate_of(key: &str, entry: &toml::Value) -> Result<String, String> {
    match entry.get("crate").and_then(toml::Value::as_str) {
        Some(name) if !name.contains(['@', ':']) => Ok(name.to_owned()),
        _ => Err(format!("`{key}` needs `crate` to be a name without version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT"]
        exceptions = [{ allow = ["MPL-2.0"], crate = "foca" }]
        [bans]
        deny = [{ crate = "sled", reason = "dead" }]
        multiple-versions = "warn"
        [sources]
        unknown-git = "deny"
    "#;

    fn package(name: &str, licence: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some(licence.to_owned()),
            ..Package::default()
        }
    }

    fn check(package: &Package, expected: &str) {
        let rules = Rules::parse(RULES).unwrap();
        assert_eq!(rules.judge(std::slice::from_ref(package)).join("\n"), expected);
    }

    #[test]
    fn licences() {
        check(&package("a", "MIT OR GPL-3.0"), "");
        check(&package("foca", "MPL-2.0"), "");
        check(&package("a", "MPL-2.0"), "a 1.0.0 has the licence `MPL-2.0`, which is not allowed");
        let bare = Package { licence: None, ..package("a", "") };
        check(&bare, "a 1.0.0 has no licence expression");
    }

    #[test]
    fn bans_and_sources() {
        check(&package("sled", "MIT"), "sled 1.0.0 is banned: dead");
        let wild = Package { wildcards: vec!["b".to_owned()], ..package("a", "MIT") };
        check(&wild, "a 1.0.0 asks for any version of b");
        let from = |source: &str| Package { source: Some(source.into()), ..package("a", "MIT") };
        check(&from("registry+https://example.org/index"), "");
        let source = "git+https://example.org/a";
        check(&from(source), &format!("a 1.0.0 comes from {source}, not from the registry"));
    }

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        for line in ["[bans]\nskip = []", "[bans]\nwildcards = \"allow\"", "[advisories]\nx = 1"] {
            assert!(Rules::parse(line).is_err(), "{line}");
        }
        assert!(Rules::parse("[licenses]\nallow = []").is_err(), "sections are missing");
    }

    #[test]
    fn only_packages_in_the_graph_count() {
        let metadata = r#"{ "packages": [
            { "id": "1", "name": "a", "version": "1.0.0", "license": "MIT", "source": null,
              "dependencies": [{ "name": "b", "req": "*", "source": "registry+x" },
                               { "name": "c", "req": "*", "source": null }] },
            { "id": "2", "name": "b", "version": "1.0.0", "dependencies": [] } ],
            "resolve": { "nodes": [{ "id": "1" }] } }"#;
        let packages = packages(&serde_json::from_str(metadata).unwrap()).unwrap();
        assert_eq!(packages.len(), 1);
        assert_eq!(packages[0].wildcards, ["b"]);
    }

    #[test]
    fn duplicates_are_listed_once() {
        let mut second = package("a", "MIT");
        second.version = "2.0.0".to_owned();
        let found = duplicates(&[package("a", "MIT"), second, package("b", "MIT")]);
        assert_eq!(found, ["a in versions 1.0.0, 2.0.0"]);
    }
}
