//! Labels of classes, keys of maps: integers or texts.

use bytes::Bytes;

use super::super::attributes::Attributes;
use crate::tensor::Elements;

/// A list of labels.
#[derive(Debug, Clone)]
pub(super) enum Labels {
    Ints(Vec<i64>),
    Strings(Vec<Bytes>),
}

impl Labels {
    /// Of two attributes of which one is there: that of integers and that of texts.
    pub(super) fn read(
        attributes: &Attributes<'_>,
        ints: &str,
        strings: &str,
    ) -> Result<Option<Self>, String> {
        let ints = attributes.ints(ints)?.filter(|list| !list.is_empty());
        let strings = attributes.strings(strings)?.filter(|list| !list.is_empty());
        match (ints, strings) {
            (Some(_), Some(_)) => {
                Err("it has labels of integers and of texts; expected one of the two".to_owned())
            }
            (Some(list), None) => Ok(Some(Self::Ints(list.to_vec()))),
            (None, Some(list)) => Ok(Some(Self::Strings(list.to_vec()))),
            (None, None) => Ok(None),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ints(list) => list.len(),
            Self::Strings(list) => list.len(),
        }
    }

    /// The labels at these places.
    pub(super) fn at(&self, places: impl Iterator<Item = usize>) -> Elements {
        match self {
            Self::Ints(list) => places.map(|at| list[at]).collect::<Vec<i64>>().into(),
            Self::Strings(list) => places.map(|at| list[at].clone()).collect::<Vec<Bytes>>().into(),
        }
    }

    /// All of them.
    pub(super) fn elements(&self) -> Elements {
        match self {
            Self::Ints(list) => list.clone().into(),
            Self::Strings(list) => list.clone().into(),
        }
    }
}
