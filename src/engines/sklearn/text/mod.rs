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

fn no_text(class: &str) -> RunError {
    RunError::InvalidInput(format!("{class} is given numbers; it expects one text for each sample"))
}
