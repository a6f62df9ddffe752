//! Text and records as sparse rows: vectorisers that know their words, and those that hash them.

mod analyzer;
mod count;
mod hashing;
mod pattern;
mod records;
mod weighing;

use std::borrow::Cow;

use bytes::Bytes;

use super::registry::Row;
use super::samples::{Column, Samples};
use crate::servable::RunError;

const TEXT: &str = "sklearn.feature_extraction.text";
const EXTRACTION: &str = "sklearn.feature_extraction";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(TEXT, "CountVectorizer", &[], count::build_count),
    Row::new(EXTRACTION, "DictVectorizer", &["_dict_vectorizer", "dict_vectorizer"], records::build_dict),
    Row::new(EXTRACTION, "FeatureHasher", &["_hash", "hashing"], records::build_hasher),
    Row::new(TEXT, "HashingVectorizer", &[], hashing::build),
    Row::new(TEXT, "TfidfTransformer", &[], weighing::build),
    Row::new(TEXT, "TfidfVectorizer", &[], count::build_tfidf),
];

/// The one column of text that the samples are.
fn texts<'a>(x: &Samples<'a>, class: &str) -> Result<Cow<'a, [Bytes]>, RunError> {
    match *x {
        Samples::Texts(texts) => Ok(Cow::Borrowed(texts)),
        Samples::Table(table) => match table.columns() {
            [Column::Texts(texts)] => Ok(Cow::Borrowed(texts)),
            _ => Err(no_text(class)),
        },
        Samples::Dense(_) | Samples::Sparse(_) => Err(no_text(class)),
    }
}

/// The entries of each row that are not 0, by column: what an inverse is asked with.
fn entries_of(x: Samples<'_>) -> Result<Vec<Vec<(usize, f64)>>, RunError> {
    let (rows, width) = (x.rows(), x.width());
    let mut all = vec![Vec::new(); rows];
    let mut add = |row: usize, column: usize, value: f64| {
        if !value.is_finite() {
            // scikit-learn's words; it does not name the input here.
            let what =
                if value.is_nan() { "NaN" } else { "infinity or a value too large for dtype('float64')" };
            return Err(RunError::InvalidInput(format!("Input contains {what}.")));
        }
        if value != 0.0 {
            all[row].push((column, value));
        }
        Ok(())
    };
    match x {
        Samples::Dense(x) => x.indexed_iter().try_for_each(|((row, column), &value)| add(row, column, value)),
        Samples::Sparse(x) => (0..rows).try_for_each(|row| {
            let (columns, values) = x.row(row);
            columns.iter().zip(values).try_for_each(|(&column, &value)| add(row, column as usize, value))
        }),
        Samples::Texts(_) | Samples::Table(_) => {
            Err(RunError::Internal(format!("an inverse is given text of width {width}")))
        }
    }?;
    Ok(all)
}

fn no_text(class: &str) -> RunError {
    RunError::InvalidInput(format!("{class} is given numbers; it expects one text for each sample"))
}
