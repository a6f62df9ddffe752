//! Which operators are built in: one row per operator and change of its meaning.

use super::op::{Built, Node};

/// Makes an operator of a node.
pub(in crate::engines::onnx) type Build = fn(&mut Node<'_>) -> Built;

/// One operator, from one opset on.
#[derive(Debug, Clone, Copy)]
pub(in crate::engines::onnx) struct Row {
    /// `""` for ONNX's own.
    pub(super) domain: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// The first version of the domain for which this row holds.
    pub(super) since: i64,
    /// How it is built.
    pub(super) build: Build,
}

/// A row of ONNX's own domain.
pub(in crate::engines::onnx) const fn row(name: &'static str, since: i64, build: Build) -> Row {
    Row { domain: "", name, since, build }
}

/// A row of another domain.
pub(in crate::engines::onnx) const fn row_in(
    domain: &'static str,
    name: &'static str,
    since: i64,
    build: Build,
) -> Row {
    Row { domain, name, since, build }
}

/// Classical machine learning's domain.
pub(in crate::engines::onnx) const ML: &str = "ai.onnx.ml";

/// What classical models are made of: plain operators and those of [`ML`].
static CLASSICAL: [&[&[Row]]; 2] = [super::ops::FAMILIES, super::ml::FAMILIES];

/// What neural networks are made of.
static NEURAL: [&[&[Row]]; 1] = [super::neural::FAMILIES];

/// ONNX's own domain has two names.
fn plain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

fn find_in(
    families: &[&'static [&'static [Row]]],
    domain: &str,
    name: &str,
    opset: i64,
) -> Option<&'static Row> {
    families
        .iter()
        .copied()
        .flatten()
        .copied()
        .flatten()
        .filter(|row| row.name == name && row.domain == plain(domain) && row.since <= opset)
        .max_by_key(|row| row.since)
}

/// The row of an operator in a model made for this version of its domain.
pub(super) fn find(domain: &str, name: &str, opset: i64) -> Option<&'static Row> {
    find_in(&CLASSICAL, domain, name, opset).or_else(|| find_in(&NEURAL, domain, name, opset))
}

/// Whether classical models are made of this operator.
pub(super) fn is_classical(domain: &str, name: &str) -> bool {
    find_in(&CLASSICAL, domain, name, i64::MAX).is_some()
}

/// All rows.
#[cfg(test)]
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    CLASSICAL.iter().chain(&NEURAL).copied().flatten().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_are_of_one_operator_and_version() {
        let mut seen = std::collections::BTreeSet::new();
        for row in rows() {
            assert!(
                seen.insert((row.domain, row.name, row.since)),
                "{} {} {}",
                row.domain,
                row.name,
                row.since
            );
        }
    }

    #[test]
    fn the_documentation_names_every_operator_of_classical_models() {
        let page = include_str!("../../../../docs/onnx.md");
        let rows = CLASSICAL.iter().copied().flatten().copied().flatten();
        let missing: Vec<&str> =
            rows.map(|row| row.name).filter(|name| !page.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "docs/onnx.md does not name {missing:?}");
    }

    #[test]
    fn the_newest_row_that_a_model_may_mean_is_found() {
        assert_eq!(find("ai.onnx", "Identity", 7).map(|row| row.since), Some(1));
        assert!(find("com.example", "Identity", 7).is_none());
    }
}
