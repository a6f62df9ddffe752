//! The labels that classifiers answer with.

use std::borrow::Cow;

use bytes::Bytes;

use crate::tensor::{DType, Elements};

/// One label per class, in the order of the classifier's scores. Source: the
/// attribute `classes_`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Labels {
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
    Texts(Vec<Bytes>),
}

impl Labels {
    pub(super) fn texts<'a>(texts: impl Iterator<Item = Cow<'a, str>>) -> Self {
        Self::Texts(texts.map(|text| Bytes::from(text.into_owned())).collect())
    }

    /// How many classes there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ints(labels) => labels.len(),
            Self::Floats(labels) => labels.len(),
            Self::Bools(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    /// What a tensor of labels holds.
    pub(super) fn dtype(&self) -> DType {
        match self {
            Self::Ints(_) => DType::Int64,
            Self::Floats(_) => DType::Double,
            Self::Bools(_) => DType::Bool,
            Self::Texts(_) => DType::String,
        }
    }

    /// The labels at these places, each below [`Labels::len`].
    pub(super) fn take(&self, places: impl Iterator<Item = usize>) -> Elements {
        match self {
            Self::Ints(labels) => places.map(|i| labels[i]).collect::<Vec<_>>().into(),
            Self::Floats(labels) => places.map(|i| labels[i]).collect::<Vec<_>>().into(),
            Self::Bools(labels) => places.map(|i| labels[i]).collect::<Vec<_>>().into(),
            Self::Texts(labels) => places.map(|i| labels[i].clone()).collect::<Vec<_>>().into(),
        }
    }
}
