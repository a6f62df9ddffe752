//! Terms whose column is their hash: no vocabulary, and some that share a column.

use super::analyzer::Analyzer;
use super::texts;
use super::weighing::Weighing;
use crate::engines::sklearn::attributes::Answers;
use crate::engines::sklearn::samples::{Csr, Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// Where terms go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hasher {
    width: u32,
    /// Half of the terms count negative, so that those that share a column cancel.
    alternates: bool,
}

impl Hasher {
    pub(super) fn read(part: &Part<'_>) -> Result<Self, ModelError> {
        const NAME: &str = "n_features";
        let width = part.count(NAME)?;
        let fits = i32::try_from(width).ok().filter(|&width| width > 0);
        let Some(width) = fits.and_then(|width| u32::try_from(width).ok()) else {
            return Err(part.refuse(NAME, format!("is {width}; expected a number from 1 to {}", i32::MAX)));
        };
        Ok(Self { width, alternates: part.flag("alternate_sign", true)? })
    }

    pub(super) fn width(self) -> usize {
        self.width as usize
    }

    /// The column of a term, and its value there. Source: `_hashing_fast.transform`.
    pub(super) fn place(self, term: &[u8], value: f64) -> (u32, f64) {
        let hash = murmur3(term, 0).cast_signed();
        let value = if self.alternates && hash < 0 { -value } else { value };
        (hash.unsigned_abs() % self.width, value)
    }

    /// A row of these entries: those that share a column are added up, and stay when they cancel.
    pub(super) fn push_row(rows: &mut Csr, entries: &mut [(u32, f64)]) {
        entries.sort_by_key(|(column, _)| *column);
        let sum = |run: &[(u32, f64)]| (run[0].0, run.iter().map(|(_, value)| value).sum());
        rows.push_row(entries.chunk_by(|a, b| a.0 == b.0).map(sum));
    }
}

/// MurmurHash3, the 32-bit one for x86. Source: Austin Appleby's public description.
fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = seed;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        hash ^= mix(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = words.remainder().iter().rev().fold(0, |rest, &byte| rest << 8 | u32::from(byte));
    if !words.remainder().is_empty() {
        hash ^= mix(rest);
    }
    // The length modulo 2^32, as the description has it.
    #[allow(clippy::cast_possible_truncation, reason = "documented")]
    let length = bytes.len() as u32;
    hash ^= length;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[derive(Debug)]
struct HashingVectorizer {
    facts: Facts,
    analyzer: Analyzer,
    hasher: Hasher,
    binary: bool,
    weighing: Weighing,
}

/// Source: `sklearn.feature_extraction.text.HashingVectorizer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (analyzer, hasher) = (Analyzer::read(part)?, Hasher::read(part)?);
    let weighing = Weighing::of_norm(part, part.is_single("dtype"))?;
    let methods = vec![Spec::new(Method::Transform, Answers::Floats.dtype(), Gives::Columns(hasher.width()))];
    let facts = Facts::new(part, 1, Check::Width, methods)?.taking(Input::Texts);
    Ok(Box::new(HashingVectorizer { facts, analyzer, hasher, binary: part.flag("binary", false)?, weighing }))
}

impl Estimator for HashingVectorizer {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for _ in wanted {
            answers.push(self.transform(x)?.into_tensor(self.facts.class)?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let mut rows = Csr::new(self.hasher.width());
        let mut entries = Vec::new();
        for document in &*texts(&x, self.facts.class)? {
            entries.clear();
            self.analyzer.terms(document, |term| entries.push(self.hasher.place(term.as_bytes(), 1.0)))?;
            Hasher::push_row(&mut rows, &mut entries);
        }
        if self.binary {
            rows.values_mut().fill(1.0);
        }
        self.weighing.weigh(&mut rows);
        Ok(Frame::Sparse(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `sklearn.utils.murmurhash3_32`.
    #[test]
    fn hashes_are_scikit_learns() {
        for (text, seed, hash) in HASHES {
            assert_eq!(murmur3(text.as_bytes(), seed).cast_signed(), hash, "{text}");
        }
    }

    const HASHES: [(&str, u32, i32); 8] = [
        ("", 0, 0),
        ("a", 0, 1009084850),
        ("ab", 0, -1681926305),
        ("foo", 0, -156908512),
        ("word", 0, -968174432),
        ("words", 42, 1784566072),
        ("naïve", 0, 992511445),
        ("a longer text of words", 7, -1019309189),
    ];
}
