//! The index of what can be observed of TensorFlow Serving: no row of
//! `tests/golden/tfs/rows.toml` is without a proof or a listed difference, and what it
//! names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::{rest, tfs_cases};

fn text(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&whole).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The cases by name. No two share one, or an index of names would prove nothing.
fn cases() -> BTreeSet<String> {
    let json: Vec<serde_json::Value> = serde_json::from_slice(&rest::golden("rest.json")).unwrap();
    let mut names: Vec<String> = json.iter().map(|case| case["name"].as_str().unwrap().to_owned()).collect();
    for file in ["served.toml", "made.toml"] {
        let cases = tfs_cases::read(file);
        names.extend(cases.grpc.into_iter().map(|case| case.name));
        names.extend(cases.rest.into_iter().map(|case| case.name));
    }
    let mut known = BTreeSet::new();
    for name in names {
        assert!(!known.contains(&name), "two cases are called {name:?}");
        known.insert(name);
    }
    known
}

/// The first columns of the tables of wanted differences.
fn differences() -> BTreeSet<String> {
    let page = text("docs/compatibility.md");
    page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next().map(str::to_owned)).collect()
}

/// Whether a file has a test of this name.
fn has_test(path: &str, function: &str) -> bool {
    let text = text(path);
    let python = path.ends_with(".py");
    let head = if python { format!("def {function}(") } else { format!("fn {function}(") };
    text.match_indices(&head).any(|(at, _)| {
        let above = text[..at].trim_end_matches("async ").trim_end();
        // In Rust an attribute stands right above it; a helper has none.
        python || above.ends_with(']')
    })
}

#[test]
fn every_row_of_the_reference_is_proven_or_a_listed_difference() {
    let rows: BTreeMap<String, BTreeMap<String, Vec<String>>> =
        toml::from_str(&text("tests/golden/tfs/rows.toml")).unwrap();
    let (cases, differences) = (cases(), differences());
    let tensors: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&text("tests/golden/tensor_proto/cases.json")).unwrap();
    let mut wrong = Vec::new();
    for (section, rows) in &rows {
        for (row, proofs) in rows {
            if proofs.is_empty() {
                wrong.push(format!("{section}, {row}: nothing proves it"));
            }
            for proof in proofs {
                let is_there = match proof.split_once(": ") {
                    Some(("case", name)) => cases.contains(name),
                    Some(("tensor", name)) => tensors.contains_key(name),
                    Some(("differs", what)) => differences.contains(what),
                    Some(("test", place)) => {
                        let (path, function) = place.split_once(' ').unwrap_or((place, ""));
                        has_test(path, function)
                    }
                    _ => false,
                };
                if !is_there {
                    wrong.push(format!("{section}, {row}: there is no `{proof}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let sections: Vec<&str> = rows.keys().map(|name| name.split(' ').next().unwrap()).collect();
    let all = "3.1 3.2 3.3 3.4 3.5 4.1 4.2 4.3 4.4 4.5 4.6 4.7 4.8 5.1 5.2 5.3 5.4 6.1 6.2 6.3 6.4 6.5 6.6 6.7 6.8 8 11";
    assert_eq!(sections.into_iter().collect::<BTreeSet<_>>(), all.split(' ').collect());
    assert!(rows.values().map(BTreeMap::len).sum::<usize>() > 200, "rows were lost");
}
