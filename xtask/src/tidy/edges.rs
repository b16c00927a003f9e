//! Which crate may use which. A new edge is added here and explained in `docs/ARCHITECTURE.md`.

use super::manifests::{Kind, dependencies};
use super::scrub::{has_word, scrub};
use super::{Finding, Tree};

/// A crate's place in the house.
#[derive(Debug)]
struct Room {
    name: &'static str,
    /// The crates that it may use; all stand below it.
    uses: &'static [&'static str],
    /// The crates that its tests may use besides.
    tests_use: &'static [&'static str],
    /// The files with unsafe code, from the crate's folder; empty where it is forbidden.
    unsafe_files: &'static [&'static str],
}

const fn room(name: &'static str, uses: &'static [&'static str]) -> Room {
    Room { name, uses, tests_use: &[], unsafe_files: &[] }
}

/// What the tests of every crate may use.
const TESTS_USE: &str = "todana-sim";

/// The crates from the roof to the ground: an edge goes down only.
const HOUSE: &[Room] = &[
    room(
        "todana",
        &[
            "todana-server",
            "todana-client",
            "todana-bench",
            "todana-store",
            "todana-import",
            "todana-cache",
            "todana-engine",
            "todana-policy",
            "todana-protocol",
            "todana-record",
            "todana-io",
        ],
    ),
    Room {
        tests_use: &["todana-cache"],
        ..room(
            "todana-server",
            &[
                "todana-store",
                "todana-engine",
                "todana-protocol",
                "todana-record",
                "todana-ring",
                "todana-io",
            ],
        )
    },
    room("todana-client", &["todana-protocol", "todana-record"]),
    room("todana-bench", &[]),
    room(
        "todana-store",
        &[
            "todana-cache",
            "todana-hash",
            "todana-tree",
            "todana-engine",
            "todana-record",
            "todana-io",
        ],
    ),
    room(
        "todana-hash",
        &["todana-log", "todana-engine", "todana-index", "todana-record", "todana-io"],
    ),
    room("todana-tree", &["todana-log", "todana-engine", "todana-record", "todana-io"]),
    room("todana-log", &["todana-engine", "todana-record", "todana-io"]),
    room("todana-cache", &["todana-engine", "todana-index", "todana-record", "todana-io"]),
    room("todana-index", &["todana-io"]),
    room("todana-engine", &["todana-record", "todana-io"]),
    room("todana-protocol", &["todana-record"]),
    room("todana-policy", &["todana-io"]),
    room("todana-import", &["todana-record", "todana-io"]),
    room("todana-sim", &["todana-record", "todana-io"]),
    room("todana-record", &[]),
    Room {
        unsafe_files: &[
            "src/mapping.rs",
            "src/arena.rs",
            "src/append.rs",
            "src/slab.rs",
            "src/epoch.rs",
        ],
        ..room("todana-io", &[])
    },
    Room {
        unsafe_files: &["src/buffers.rs", "src/requests.rs", "src/ring.rs"],
        ..room("todana-ring", &[])
    },
    room("xtask", &[]),
];

fn find(name: &str) -> Option<&'static Room> {
    HOUSE.iter().find(|room| room.name == name)
}

/// Every crate is in the table and uses only what the table allows.
pub(super) fn edges(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in tree.crates().into_iter().chain(["xtask"]) {
        let folder = if name == "xtask" { name.to_owned() } else { format!("crates/{name}") };
        let path = format!("{folder}/Cargo.toml");
        let Some(manifest) = tree.get(&path) else { continue };
        let Some(room) = find(name) else {
            findings.push(Finding::at(path, "is not in the table of xtask/src/tidy/edges.rs"));
            continue;
        };
        // A manifest that cannot be read is a finding of `manifests`.
        for dependency in dependencies(manifest).unwrap_or_default() {
            let used = dependency.name.as_str();
            let ours = used.starts_with("todana") || used == "xtask";
            if ours && !room.may_use(used, dependency.kind) {
                findings.push(Finding::at(&path, room.refusal(used, dependency.kind)));
            }
        }
    }
    findings
}

impl Room {
    fn may_use(&self, name: &str, kind: Kind) -> bool {
        // Tests may use their own crate with other features.
        let extra = name == TESTS_USE || name == self.name;
        let in_tests = extra || self.tests_use.contains(&name);
        self.uses.contains(&name) || kind == Kind::Dev && in_tests
    }

    fn refusal(&self, used: &str, kind: Kind) -> String {
        let place = |name: &str| HOUSE.iter().position(|room| room.name == name);
        let where_to = match place(used) > place(self.name) {
            true => {
                "a new edge: allow it in xtask/src/tidy/edges.rs and say why in docs/ARCHITECTURE.md"
            }
            false => "an edge upwards, which is never allowed",
        };
        let tests = if kind == Kind::Dev { " in its tests" } else { "" };
        format!("{} uses {used}{tests}: {where_to}", self.name)
    }
}

/// A library forbids unsafe code, or has it in the files that the table lists.
pub(super) fn unsafe_modules(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let Some(room) = file.krate().and_then(find) else { continue };
        let folder = format!("crates/{}/", room.name);
        let Some(inside) = file.path.strip_prefix(&folder) else { continue };
        let code = scrub(&file.text);
        if inside == "src/lib.rs" {
            let wanted = match room.unsafe_files {
                [] => "#![forbid(unsafe_code)]",
                _ => "#![deny(unsafe_code)]",
            };
            if !code.contains(wanted) {
                findings.push(Finding::at(&file.path, format!("lacks `{wanted}`")));
            }
        }
        if room.unsafe_files.contains(&inside) {
            continue;
        }
        for (index, line) in code.lines().enumerate() {
            if has_word(line, "unsafe") {
                let what = "unsafe code outside the files listed in xtask/src/tidy/edges.rs";
                findings.push(Finding::at_line(&file.path, index + 1, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn the_table_goes_down_only() {
        for (at, room) in HOUSE.iter().enumerate() {
            for used in room.uses.iter().chain(room.tests_use) {
                let below = HOUSE[at + 1..].iter().any(|other| other.name == *used);
                assert!(below, "{} uses {used}", room.name);
            }
        }
    }

    #[test]
    fn allowed_edges_pass() {
        let server = "[dependencies]\ntodana-store.workspace = true\nmio.workspace = true\n\
            [dev-dependencies]\ntodana-sim.workspace = true\ntodana-cache.workspace = true\n";
        check(edges, &[("crates/todana-server/Cargo.toml", server)], &[]);
        let itself = "[dev-dependencies]\ntodana-io = { path = \".\" }\n";
        check(edges, &[("crates/todana-io/Cargo.toml", itself)], &[]);
    }

    #[test]
    fn new_and_upward_edges_fail() {
        let record = "[dependencies]\ntodana-store.workspace = true\n";
        check(
            edges,
            &[("crates/todana-record/Cargo.toml", record)],
            &["crates/todana-record/Cargo.toml: todana-record uses todana-store: \
             an edge upwards, which is never allowed"],
        );
        let server = "[target.'cfg(unix)'.dependencies]\ntodana-cache = { workspace = true }\n";
        check(
            edges,
            &[("crates/todana-server/Cargo.toml", server)],
            &["crates/todana-server/Cargo.toml: todana-server uses todana-cache: a new edge: \
             allow it in xtask/src/tidy/edges.rs and say why in docs/ARCHITECTURE.md"],
        );
        let store =
            "[dependencies]\nsim = { package = \"todana-sim\", path = \"../todana-sim\" }\n";
        let found = edges(&Tree::of(&[("crates/todana-store/Cargo.toml", store)]));
        assert_eq!(found.len(), 1, "the simulator is for tests");
    }

    #[test]
    fn a_crate_without_a_row_fails() {
        check(
            edges,
            &[("crates/todana-new/Cargo.toml", "")],
            &["crates/todana-new/Cargo.toml: is not in the table of xtask/src/tidy/edges.rs"],
        );
    }

    #[test]
    fn unsafe_code_is_forbidden() {
        check(
            unsafe_modules,
            &[("crates/todana-record/src/lib.rs", "#![forbid(unsafe_code)]\n")],
            &[],
        );
        check(
            unsafe_modules,
            &[("crates/todana-record/src/lib.rs", "// #![forbid(unsafe_code)]\n")],
            &["crates/todana-record/src/lib.rs: lacks `#![forbid(unsafe_code)]`"],
        );
        check(
            unsafe_modules,
            &[("crates/todana-record/src/a.rs", "// unsafe\nunsafe { f() }\n")],
            &["crates/todana-record/src/a.rs:2: unsafe code outside the files listed in \
             xtask/src/tidy/edges.rs"],
        );
    }
}
