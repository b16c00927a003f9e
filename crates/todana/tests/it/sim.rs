//! `todana sim`.

use super::{errors, outcome, todana};

fn sim(args: &[&str]) -> (i32, String) {
    outcome(&todana().args(["sim", "cache"]).args(args).output().unwrap())
}

#[test]
fn policies_are_compared_on_built_in_traces() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("plot.svg");
    let (code, text) = sim(&["--requests", "2000", "--svg", &svg.display().to_string()]);
    assert_eq!(code, 0, "{text}");
    for name in ["zipf-0.99: 2000 requests", "shift", "s3-fifo", "w-tinylfu", "belady", "in 25%"] {
        assert!(text.contains(name), "{name} is missing: {text}");
    }
    assert!(text.contains("fewer misses than lru"), "{text}");
    let plot = std::fs::read_to_string(&svg).unwrap();
    assert!(plot.starts_with("<svg ") && plot.matches("<g ").count() == 9);
    assert_eq!(sim(&["--requests", "2000"]).1, text, "equal seeds, equal tables");
    assert_ne!(sim(&["--requests", "2000", "--seed", "2"]).1, text);
}

#[test]
fn a_trace_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.txt");
    std::fs::write(&file, "# key size\na 10\nb,10\na 10\na\nc 10\n").unwrap();
    let path = file.display().to_string();
    let (code, text) = sim(&["--trace", &path, "--policy", "lru,belady", "--size", "100"]);
    assert!(code == 0 && text.contains("5 requests for 3 objects of 30 bytes"), "{text}");
    assert!(text.contains("lru           40.00") && !text.contains("s3-fifo"), "{text}");
    let (code, text) = sim(&["--trace", &path, "--size", "50", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(code == 0 && json["traces"][0]["scores"][0]["capacity_bytes"] == 15, "{text}");
    std::fs::write(&file, "a\nb many\n").unwrap();
    let (code, text) = errors(&["sim", "cache", "--trace", &path]);
    assert!(code == 2 && text.contains("trace.txt:2: \"many\" is no size"), "{text}");
}

#[test]
fn what_is_wrong_is_said() {
    for (args, expected) in [
        (&["--trace", "/nonexistent"][..], "cannot read /nonexistent"),
        (&["--trace", "/dev/null"], "/dev/null has no requests"),
        (&["--size", "0"], "more than 0"),
        (&["--policy", "random"], "s3-fifo"),
        (&["--requests", "0"], "100000000"),
        (&["--trace", "x", "--seed", "1"], "cannot be used with"),
    ] {
        let (code, text) = errors(&[&["sim", "cache"], args].concat());
        assert!(code == 2 && text.contains(expected), "{args:?}: {text}");
    }
}
