//! numpy's own files: a header that is a literal of Python's, then the elements.
//!
//! After `numpy/lib/format.py`, versions 1.0 to 3.0.

use bytes::Bytes;

use super::error::Problem;
use crate::formats::pickle::{NumpyDType, build, clip};
use crate::limits;

/// What a `.npy` file says of its elements, and the elements.
pub(super) struct Npy {
    pub(super) dtype: NumpyDType,
    pub(super) shape: Vec<usize>,
    pub(super) fortran: bool,
    pub(super) data: Bytes,
}

/// Literals of literals: a shape in a field in a list in a dict is four.
const DEPTH_MAX: usize = 8;

/// A literal of Python's, as far as headers have them.
#[derive(Debug, Clone, PartialEq)]
enum Literal<'a> {
    Str(&'a str),
    Int(usize),
    Bool(bool),
    List(Vec<Literal<'a>>),
    Tuple(Vec<Literal<'a>>),
    Dict(Vec<(&'a str, Literal<'a>)>),
}

/// Reads a `.npy` file.
pub(super) fn read(file: &Bytes) -> Result<Npy, Problem> {
    let wrong = |found: &str| Problem::unexpected("a numpy array file (.npy)", found);
    let (len, start) = match file[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => (usize::from(u16::from_le_bytes([a, b])), 10),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => {
            (usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX), 12)
        }
        _ => return Err(wrong("other bytes")),
    };
    if len > limits::SKOPS_NPY_HEADER_BYTES_MAX {
        return Err(Problem::TooLarge {
            what: "the header of a numpy array file",
            found: len as u64,
            max: limits::SKOPS_NPY_HEADER_BYTES_MAX as u64,
            unit: "bytes",
        });
    }
    let header = file.get(start..start + len).and_then(|header| str::from_utf8(header).ok());
    let Some(header) = header else { return Err(wrong("one that ends in its header")) };
    let unread = || wrong(&format!("one whose header is '{}'", clip(header.trim_end())));
    let mut rest = header;
    let Some(Literal::Dict(entries)) = literal(&mut rest, DEPTH_MAX) else { return Err(unread()) };
    if !rest.trim().is_empty() {
        return Err(unread());
    }
    let get = |key: &str| entries.iter().rfind(|(name, _)| *name == key).map(|(_, value)| value);
    let (Some(descr), Some(&Literal::Bool(fortran)), Some(Literal::Tuple(dims))) =
        (get("descr"), get("fortran_order"), get("shape"))
    else {
        return Err(unread());
    };
    let shape =
        sizes(dims).filter(|shape| shape.len() <= limits::PICKLE_ARRAY_RANK_MAX).ok_or_else(unread)?;
    let dtype = dtype(descr).filter(|dtype| !dtype.has_object()).ok_or_else(unread)?;
    Ok(Npy { dtype, shape, fortran, data: file.slice(start + len..) })
}

/// Source: `descr_to_dtype`. What is in a record's record, and arrays in a record, are opaque.
fn dtype(descr: &Literal<'_>) -> Option<NumpyDType> {
    let fields = match descr {
        Literal::Str(text) => return build::dtype(text),
        Literal::List(fields) if fields.len() <= 2 * limits::PICKLE_DTYPE_FIELDS_MAX => fields,
        _ => return None,
    };
    let mut read = Vec::with_capacity(fields.len());
    let mut at = 0usize;
    for field in fields {
        let Literal::Tuple(parts) = field else { return None };
        let (name, of, dims) = match &parts[..] {
            [name, of] => (name, dtype(of)?, None),
            [name, of, Literal::Tuple(dims)] => (name, dtype(of)?, Some(sizes(dims)?)),
            _ => return None,
        };
        let name = match name {
            Literal::Str(name) => *name,
            // A title and a name.
            Literal::Tuple(names) => match names[..] {
                [_, Literal::Str(name)] => name,
                _ => return None,
            },
            _ => return None,
        };
        let of = match dims {
            Some(dims) => {
                build::void(dims.iter().try_fold(of.itemsize(), |size, &dim| size.checked_mul(dim))?)
            }
            None if of.has_object() => return None,
            None if of.fields().is_empty() => of,
            None => build::void(of.itemsize()),
        };
        let next = at.checked_add(of.itemsize()).filter(|&end| end <= limits::PICKLE_ITEM_BYTES_MAX)?;
        // What has no name is the padding between fields.
        if !name.is_empty() {
            read.push((name.to_owned(), of, at));
        }
        at = next;
    }
    (read.len() <= limits::PICKLE_DTYPE_FIELDS_MAX).then(|| build::record(read.into_iter(), at))
}

fn sizes(dims: &[Literal<'_>]) -> Option<Vec<usize>> {
    let size = |dim: &Literal<'_>| match dim {
        Literal::Int(size) => Some(*size),
        _ => None,
    };
    dims.iter().map(size).collect()
}

/// The literal that a text begins with; the text goes on after it.
fn literal<'a>(rest: &mut &'a str, depth: usize) -> Option<Literal<'a>> {
    let depth = depth.checked_sub(1)?;
    *rest = rest.trim_start();
    let first = rest.chars().next()?;
    match first {
        '\'' | '"' => quoted(rest).map(Literal::Str),
        '0'..='9' => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            *rest = after;
            digits.parse().ok().map(Literal::Int)
        }
        'T' | 'F' => {
            let (after, value) = match rest.strip_prefix("True") {
                Some(after) => (after, true),
                None => (rest.strip_prefix("False")?, false),
            };
            *rest = after;
            Some(Literal::Bool(value))
        }
        '(' | '[' => {
            let close = if first == '(' { ')' } else { ']' };
            let mut items = Vec::new();
            enter(rest);
            while !leave(rest, close) {
                items.push(literal(rest, depth)?);
                comma(rest, close)?;
            }
            Some(if first == '(' { Literal::Tuple(items) } else { Literal::List(items) })
        }
        '{' => {
            let mut entries = Vec::new();
            enter(rest);
            while !leave(rest, '}') {
                let key = quoted(rest)?;
                *rest = rest.trim_start().strip_prefix(':')?;
                entries.push((key, literal(rest, depth)?));
                comma(rest, '}')?;
            }
            Some(Literal::Dict(entries))
        }
        _ => None,
    }
}

/// A string without escapes, which names of fields hardly have.
fn quoted<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (text, after) = rest[1..].split_once(quote)?;
    *rest = after;
    (!text.contains('\\')).then_some(text)
}

fn enter(rest: &mut &str) {
    *rest = rest[1..].trim_start();
}

/// Steps over a closing bracket, if one is next.
fn leave(rest: &mut &str, close: char) -> bool {
    *rest = rest.trim_start();
    match rest.strip_prefix(close) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

/// Steps over a comma, which only the last item may be without.
fn comma(rest: &mut &str, close: char) -> Option<()> {
    *rest = rest.trim_start();
    match rest.strip_prefix(',') {
        Some(after) => *rest = after.trim_start(),
        None if rest.starts_with(close) => {}
        None => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Bytes {
        let len = u16::try_from(header.len()).unwrap().to_le_bytes();
        [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), data].concat().into()
    }

    #[test]
    fn padding_has_no_name_and_takes_room() {
        let header = "{'descr': [('a', '|u1'), ('', '|V7'), ('b', '<f8')], 'fortran_order': False, 'shape': (3,), } \n";
        let npy = read(&file(header, &[0; 48])).unwrap();
        let fields: Vec<_> = npy.dtype.fields().iter().map(|f| (f.name(), f.offset())).collect();
        assert_eq!((fields, npy.dtype.itemsize()), (vec![("a", 0), ("b", 8)], 16));
        assert_eq!((npy.shape, npy.fortran, npy.data.len()), (vec![3], false, 48));
    }

    #[test]
    fn other_headers_are_refused() {
        for header in [
            "",
            "{",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}",
            "{'descr': '|O', 'fortran_order': False, 'shape': (3,)}",
            "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (3,)}",
            "{'descr': [('a', '<f8', (99999999999,))], 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} + f()",
            "{'descr': [[[[[[[[[[]]]]]]]]]], 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '<f8' 'fortran_order': False, 'shape': (3,)}",
        ] {
            assert!(read(&file(header, &[])).is_err(), "{header}");
        }
    }
}
