//! What `docs/scikit-learn.md` counts is what the golden files hold.
//! `LONGSHORE_WRITE_TABLE=1 cargo test --test it sklearn_documentation` writes it again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn goldens() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sklearn");
    let of = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        // Those of a version; the others must not load.
        let is_versions = |path: &PathBuf| {
            path.extension().is_some_and(|end| end == "json") && path.to_str().unwrap().contains('-')
        };
        entries.filter(|path| is_versions(&path.file_name().unwrap().into())).collect()
    };
    let read = |path: PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    of(&folder).into_iter().chain(of(&folder.join("families"))).map(read).collect()
}

/// A number with a space before each three digits.
fn spaced(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let threes = digits.as_bytes()[first..].chunks(3).map(|three| std::str::from_utf8(three).unwrap());
    let parts = std::iter::once(&digits[..first]).filter(|first| !first.is_empty()).chain(threes);
    parts.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_documentation_counts_what_is_replayed() {
    let (mut models, mut answers, mut skops) = (0, 0, 0);
    let mut versions = BTreeSet::new();
    for golden in goldens() {
        let version = golden["provenance"]["scikit-learn"].as_str().unwrap().to_owned();
        let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
        versions.insert((numbers, version));
        for case in golden["cases"].as_array().unwrap() {
            if case["container"].as_str().unwrap().starts_with("skops") {
                skops += 1;
                continue;
            }
            models += 1;
            answers += match case["methods"].as_object() {
                Some(methods) => methods.len(),
                None => {
                    let asks = case["asks"].as_array().unwrap().iter();
                    asks.map(|asked| asked["outputs"].as_object().unwrap().len()).sum()
                }
            };
        }
    }
    let mut versions: Vec<String> = versions.into_iter().map(|(_, version)| version).collect();
    let last = versions.pop().unwrap();
    let counted = [
        (
            " fitted models and ",
            format!(
                "{} fitted models and {} answers of their methods, of scikit-learn {} and {last},",
                spaced(models),
                spaced(answers),
                versions.join(", ")
            ),
        ),
        (
            " models of all families",
            format!(
                "{} models of all families, by skops 0.9 with scikit-learn 1.3.2 and skops 0.16 with 1.9.1, are replayed in \
                 the same way.",
                spaced(skops)
            ),
        ),
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scikit-learn.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let counted_line = |line: &str| {
        let found = counted.iter().find(|(mark, _)| line.contains(mark));
        found.map_or_else(|| line.to_owned(), |(_, counted)| counted.clone()) + "\n"
    };
    let right: String = text.lines().map(counted_line).collect();
    if std::env::var_os("LONGSHORE_WRITE_TABLE").is_some() {
        std::fs::write(path, right).unwrap();
        return;
    }
    for (_, line) in &counted {
        assert!(right.contains(line), "docs/scikit-learn.md has no place for {line:?}");
    }
    assert!(
        text == right,
        "docs/scikit-learn.md counts otherwise: LONGSHORE_WRITE_TABLE=1 writes {counted:#?}"
    );
}
