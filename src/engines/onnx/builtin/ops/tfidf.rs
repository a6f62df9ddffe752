//! `TfIdfVectorizer`: counts of n-grams, weighted.

use std::collections::HashMap;

use bytes::Bytes;
use smallvec::SmallVec;

use super::super::op::{Built, Node, ints, made, one, op, shape, size};
use super::super::registry::{Row, row};
use super::text::texts;
use crate::tensor::Elements;

pub(super) const ROWS: &[Row] = &[row("TfIdfVectorizer", 9, vectorizer)];

/// What is looked for: tokens by number, n-grams by the numbers of their tokens.
#[derive(Default)]
struct Grams {
    words: HashMap<Bytes, u32>,
    numbers: HashMap<i64, u32>,
    columns: HashMap<SmallVec<[u32; 4]>, Vec<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Tf,
    Idf,
    TfIdf,
}

fn vectorizer(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let number = |name: &str| size(node.required(name, attributes.int(name))?, name);
    let (longest, shortest) = (number("max_gram_length")?, number("min_gram_length")?);
    let skips = number("max_skip_count")?;
    let mode = match node.required("mode", attributes.text("mode"))? {
        "TF" => Mode::Tf,
        "IDF" => Mode::Idf,
        "TFIDF" => Mode::TfIdf,
        other => return Err(format!("mode {other:?} is none that is known")),
    };
    let counts = node.required("ngram_counts", attributes.ints("ngram_counts"))?;
    let indexes = node.required("ngram_indexes", attributes.ints("ngram_indexes"))?;
    let weights = attributes.floats("weights")?.unwrap_or_default().to_vec();
    let words = attributes.strings("pool_strings")?.filter(|pool| !pool.is_empty());
    let numbers = attributes.ints("pool_int64s")?.filter(|pool| !pool.is_empty());
    if shortest == 0 || longest < shortest || longest > counts.len() {
        return Err(format!(
            "n-grams of {shortest} to {longest} tokens; the pool has them up to {}",
            counts.len()
        ));
    }
    let mut grams = Grams::default();
    let pool: Vec<u32> = match (words, numbers) {
        (Some(pool), None) => pool.iter().map(|word| grams.word(word)).collect(),
        (None, Some(pool)) => pool.iter().map(|number| grams.number(*number)).collect(),
        _ => return Err("expected a pool of texts or of integers, and not both".to_owned()),
    };
    let width = indexes.iter().copied().max().map_or(0, |most| most.saturating_add(1));
    let width = size(width, "ngram_indexes")?;
    shape([width])?;
    if !weights.is_empty() && weights.len() < width {
        return Err(format!("it has {} weights for {width} columns", weights.len()));
    }
    let mut columns = indexes.iter();
    for (at, &start) in counts.iter().enumerate() {
        let start = size(start, "ngram_counts")?;
        let end = counts.get(at + 1).map_or(Ok(pool.len()), |&end| size(end, "ngram_counts"))?;
        let part = pool.get(start..end).ok_or_else(|| format!("ngram_counts {counts:?} leave the pool"))?;
        if part.len() % (at + 1) != 0 {
            return Err(format!("the pool's part of {}-grams has {} tokens", at + 1, part.len()));
        }
        for gram in part.chunks_exact(at + 1) {
            let column = columns.next().ok_or("there are fewer ngram_indexes than n-grams")?;
            let column = size(*column, "ngram_indexes")?;
            if (shortest..=longest).contains(&(at + 1)) {
                grams.columns.entry(SmallVec::from_slice(gram)).or_default().push(column);
            }
        }
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let (rows, length, is_matrix) = match **x.shape() {
            [length] => (1, length, false),
            [rows, length] => (rows, length, true),
            _ => return Err(format!("input 0 has shape {}; expected a vector or a matrix", x.shape())),
        };
        // Tokens that no n-gram has stand in none.
        let tokens: Vec<Option<u32>> = match x.elements() {
            Elements::Strings(_) => texts(x)?.iter().map(|word| grams.words.get(word).copied()).collect(),
            _ => ints(x)?.iter().map(|number| grams.numbers.get(number).copied()).collect(),
        };
        let whole = shape([rows, width])?;
        let mut found = vec![0f32; whole.elements()];
        for row in 0..rows {
            let counts = &mut found[row * width..][..width];
            grams.count(&tokens[row * length..][..length], (shortest, longest), skips, counts);
            for (column, count) in counts.iter_mut().enumerate() {
                let weight = weights.get(column).copied().unwrap_or(1.0);
                *count = match mode {
                    Mode::Tf => *count,
                    Mode::Idf if *count > 0.0 => weight,
                    Mode::Idf => 0.0,
                    Mode::TfIdf => *count * weight,
                };
            }
        }
        if is_matrix { one(made([rows, width], found)?) } else { one(made([width], found)?) }
    })
}

impl Grams {
    fn word(&mut self, word: &Bytes) -> u32 {
        let next = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        *self.words.entry(word.clone()).or_insert(next)
    }

    fn number(&mut self, number: i64) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(number).or_insert(next)
    }

    /// Adds up the n-grams of a row: tokens that follow each other, and such that
    /// stand equally far from each other, with up to `skips` between.
    fn count(
        &self,
        tokens: &[Option<u32>],
        (shortest, longest): (usize, usize),
        skips: usize,
        counts: &mut [f32],
    ) {
        let mut shortest = shortest;
        for distance in 1..=skips.min(tokens.len()).saturating_add(1) {
            for start in 0..tokens.len() {
                let mut gram: SmallVec<[u32; 4]> = SmallVec::new();
                let mut at = start;
                while gram.len() < longest {
                    let Some(Some(token)) = tokens.get(at) else { break };
                    gram.push(*token);
                    at += distance;
                    if gram.len() >= shortest {
                        for &column in self.columns.get(&gram).into_iter().flatten() {
                            counts[column] += 1.0;
                        }
                    }
                }
            }
            // Single tokens have no distance: they are counted once.
            if shortest == 1 {
                shortest = 2;
            }
            if shortest > longest {
                break;
            }
        }
    }
}
