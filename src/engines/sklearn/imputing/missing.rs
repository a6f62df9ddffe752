//! What an imputer takes for a missing value.

use bytes::Bytes;

use crate::engines::sklearn::ModelError;
use crate::engines::sklearn::samples::Column;
use crate::engines::sklearn::state::Part;
use crate::formats::pickle::View;

/// The constructor argument `missing_values`. In a column of text the text that Python
/// prints for a missing value stands for it.
#[derive(Debug, Clone)]
pub(super) enum Missing {
    Nan,
    /// Python's `None`.
    None,
    /// pandas' `NA`, for which it takes `None` and NaN too.
    Na,
    Number(f64),
    Text(Bytes),
}

impl Missing {
    pub(super) fn read(part: &Part<'_>) -> Result<Self, ModelError> {
        const NAME: &str = "missing_values";
        if !part.has(NAME) {
            return Ok(Self::Nan);
        }
        let value = part.fitted(NAME)?;
        if let Some(text) = value.to_str() {
            return Ok(Self::Text(Bytes::from(text.into_owned())));
        }
        match (value.view(), value.as_f64()) {
            (View::None, _) => Ok(Self::None),
            (View::Global(global), _) if global.name == "NA" => Ok(Self::Na),
            (View::Object(object), _) if object.class().name == "NAType" => Ok(Self::Na),
            (_, Some(number)) if number.is_nan() => Ok(Self::Nan),
            (_, Some(number)) => Ok(Self::Number(number)),
            _ => Err(part.unexpected(NAME, value, "a number, text, None or NaN")),
        }
    }

    /// Whether NaN is let through to be filled in, rather than refused.
    pub(super) fn takes_nan(&self) -> bool {
        matches!(self, Self::Nan | Self::Na)
    }

    /// Whether only columns of text can miss such values.
    pub(super) fn is_textual(&self) -> bool {
        matches!(self, Self::None | Self::Text(_))
    }

    pub(super) fn is(&self, value: f64) -> bool {
        match self {
            Self::Nan | Self::Na => value.is_nan(),
            Self::Number(number) => value == *number,
            Self::None | Self::Text(_) => false,
        }
    }

    pub(super) fn is_text(&self, text: &[u8]) -> bool {
        match self {
            Self::Nan => text == b"nan",
            Self::None => text == b"None",
            Self::Na => [&b"<NA>"[..], b"nan", b"None"].contains(&text),
            Self::Text(missing) => text == missing,
            Self::Number(_) => false,
        }
    }

    /// Which values of a column are missing.
    pub(super) fn mask(&self, column: &Column) -> Vec<bool> {
        match column {
            Column::Numbers(values) => values.iter().map(|&value| self.is(value)).collect(),
            Column::Texts(texts) => texts.iter().map(|text| self.is_text(text)).collect(),
        }
    }

    /// The number that stands for a missing one, where it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Nan => Some(f64::NAN),
            Self::Number(number) => Some(*number),
            Self::None | Self::Na | Self::Text(_) => None,
        }
    }
}
