//! UBJSON, as far as XGBoost writes it, for serde: the same structs read JSON and this.
//!
//! Numbers are big-endian. Containers may state their count (`#`) and, of numbers, their
//! type (`$`). Everything is read from where it lies, so that what is held is what the
//! structs hold; a stated length beyond the end of the bytes is found before anything is
//! allocated. Source: the specification of UBJSON, draft 12.

use std::fmt;

use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::limits;

/// Why bytes are no UBJSON, or not of the wanted form; with the offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why} at byte {at}")]
pub struct UbjsonError {
    why: String,
    at: usize,
}

impl de::Error for UbjsonError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { why: message.to_string(), at: usize::MAX }
    }
}

/// Reads one value, which is all of `bytes`.
///
/// # Errors
/// [`UbjsonError`], which says where.
pub(super) fn read<'de, T: de::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, UbjsonError> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader).map_err(|error| reader.placed(error))?;
    match reader.at == bytes.len() {
        true => Ok(value),
        false => Err(reader.wrong("expected the end of the file")),
    }
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

/// How a container says what it holds.
struct Container {
    /// The type of all its items.
    kind: Option<u8>,
    /// How many it has; else an end mark tells.
    left: Option<usize>,
    end: u8,
}

impl<'de> Reader<'de> {
    fn wrong(&self, why: impl Into<String>) -> UbjsonError {
        UbjsonError { why: why.into(), at: self.at }
    }

    /// An error of the structs' gets the place where it was found.
    fn placed(&self, error: UbjsonError) -> UbjsonError {
        if error.at == usize::MAX { UbjsonError { at: self.at, ..error } } else { error }
    }

    fn take(&mut self, many: usize) -> Result<&'de [u8], UbjsonError> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..many) else {
            return Err(self.wrong(format!("expected {many} more bytes, found {}", rest.len())));
        };
        self.at += many;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], UbjsonError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next type mark. `N` is one that means nothing.
    fn mark(&mut self) -> Result<u8, UbjsonError> {
        loop {
            let [mark] = self.array()?;
            if mark != b'N' {
                return Ok(mark);
            }
        }
    }

    fn integer(&mut self, mark: u8) -> Result<i64, UbjsonError> {
        Ok(match mark {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(self.wrong(format!("expected an integer, found type {}", shown(mark)))),
        })
    }

    fn length(&mut self) -> Result<usize, UbjsonError> {
        let mark = self.mark()?;
        let length = self.integer(mark)?;
        usize::try_from(length).map_err(|_| self.wrong(format!("expected a length, found {length}")))
    }

    /// A text without its type mark: a length and bytes.
    fn text(&mut self) -> Result<&'de str, UbjsonError> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("expected UTF-8 in the text that ends"))
    }

    /// What follows the mark of a container.
    fn container(&mut self, end: u8) -> Result<Container, UbjsonError> {
        self.depth += 1;
        if self.depth > limits::TREES_DEPTH_MAX {
            return Err(self.wrong(format!("more than {} values within each other", limits::TREES_DEPTH_MAX)));
        }
        let mut kind = None;
        if self.peek() == Some(b'$') {
            self.at += 1;
            let [mark] = self.array()?;
            // Items of other types may take no bytes, and there would be no end of them.
            if width(mark).is_none() {
                return Err(self.wrong(format!("a container of type {}; expected numbers", shown(mark))));
            }
            kind = Some(mark);
        }
        let mut left = None;
        if self.peek() == Some(b'#') {
            self.at += 1;
            let count = self.length()?;
            let bytes = kind.and_then(width).unwrap_or(1).checked_mul(count);
            if bytes.is_none_or(|bytes| bytes > self.bytes.len() - self.at) {
                return Err(self.wrong(format!("a container of {count} items, which the file does not have")));
            }
            left = Some(count);
        } else if kind.is_some() {
            return Err(self.wrong("expected a count after a container's type"));
        }
        Ok(Container { kind, left, end })
    }

    /// One value of this type.
    fn value<V: Visitor<'de>>(&mut self, mark: u8, visitor: V) -> Result<V::Value, UbjsonError> {
        match mark {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'C' => {
                let [byte] = self.array()?;
                visitor.visit_char(char::from(byte))
            }
            b'S' => visitor.visit_borrowed_str(self.text()?),
            b'[' => {
                let mut items = Items { container: self.container(b']')?, reader: self };
                let value = visitor.visit_seq(&mut items)?;
                items.finish()?;
                self.depth -= 1;
                Ok(value)
            }
            b'{' => {
                let mut items = Items { container: self.container(b'}')?, reader: self };
                let value = visitor.visit_map(&mut items)?;
                items.finish()?;
                self.depth -= 1;
                Ok(value)
            }
            _ => visitor.visit_i64(self.integer(mark)?),
        }
    }
}

/// Bytes of a number of this type.
fn width(mark: u8) -> Option<usize> {
    match mark {
        b'i' | b'U' => Some(1),
        b'I' => Some(2),
        b'l' | b'd' => Some(4),
        b'L' | b'D' => Some(8),
        _ => None,
    }
}

fn shown(mark: u8) -> String {
    if mark.is_ascii_graphic() { format!("`{}`", char::from(mark)) } else { format!("0x{mark:02x}") }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjsonError> {
        let mark = self.mark()?;
        self.value(mark, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjsonError> {
        if self.peek() == Some(b'Z') {
            self.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, UbjsonError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The items of a container, one after the other.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    container: Container,
}

impl<'de> Items<'_, 'de> {
    /// Whether another item follows; an end mark is passed over.
    fn more(&mut self) -> Result<bool, UbjsonError> {
        if let Some(left) = &mut self.container.left {
            let more = *left > 0;
            *left = left.saturating_sub(1);
            return Ok(more);
        }
        while self.reader.peek() == Some(b'N') {
            self.reader.at += 1;
        }
        match self.reader.peek() {
            None => Err(self.reader.wrong(format!("expected {}", shown(self.container.end)))),
            Some(mark) if mark == self.container.end => {
                self.reader.at += 1;
                self.container.left = Some(0);
                Ok(false)
            }
            Some(_) => Ok(true),
        }
    }

    /// Nothing is left over.
    fn finish(&mut self) -> Result<(), UbjsonError> {
        match self.more()? {
            false => Ok(()),
            true => Err(self.reader.wrong("a container has more items than expected")),
        }
    }

    fn item<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, UbjsonError> {
        match self.container.kind {
            Some(mark) => seed.deserialize(Typed { reader: self.reader, mark }),
            None => seed.deserialize(&mut *self.reader),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = UbjsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, UbjsonError> {
        if self.more()? { self.item(seed).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        // Held against the bytes that are left. serde reserves a mebibyte at most on its word.
        self.container.left
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = UbjsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, UbjsonError> {
        if !self.more()? {
            return Ok(None);
        }
        let key = self.reader.text()?;
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, UbjsonError> {
        self.item(seed)
    }
}

/// A value whose type the container has told.
struct Typed<'a, 'de> {
    reader: &'a mut Reader<'de>,
    mark: u8,
}

impl<'de> de::Deserializer<'de> for Typed<'_, 'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjsonError> {
        self.reader.value(self.mark, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Thing {
        values: Vec<f32>,
        name: String,
        #[serde(default)]
        flags: Vec<bool>,
    }

    fn text(text: &str) -> Vec<u8> {
        [&[b'U', u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    fn thing(values: &[u8]) -> Vec<u8> {
        let mut bytes = b"{".to_vec();
        bytes.extend(text("values"));
        bytes.extend(values);
        bytes.extend(text("unknown"));
        bytes.extend(b"[{}[#U\x02TZ]");
        bytes.extend(text("flags"));
        bytes.extend(b"[NTF]");
        bytes.extend(text("name"));
        bytes.push(b'S');
        bytes.extend(text("\u{e4}"));
        bytes.push(b'}');
        bytes
    }

    #[test]
    fn typed_counted_and_ended_containers_are_read() {
        let want = Thing { values: vec![1.5, -2.0], name: "\u{e4}".to_owned(), flags: vec![true, false] };
        let typed = [b"[$d#L\0\0\0\0\0\0\0\x02".as_slice(), &1.5f32.to_be_bytes(), &(-2f32).to_be_bytes()];
        let counted = [b"[#i\x02D".as_slice(), &1.5f64.to_be_bytes(), b"i\xfe"];
        let ended = [b"[d".as_slice(), &1.5f32.to_be_bytes(), b"l\xff\xff\xff\xfe]"];
        for values in [typed.concat(), counted.concat(), ended.concat()] {
            assert_eq!(read::<Thing>(&thing(&values)), Ok(Thing { ..clone(&want) }), "{values:?}");
        }
        let integers = read::<BTreeMap<String, i64>>(b"{$I#U\x02U\x01a\x01\x00U\x01b\xff\xff");
        assert_eq!(integers.unwrap().into_values().collect::<Vec<_>>(), [256, -1]);
    }

    fn clone(thing: &Thing) -> Thing {
        Thing { values: thing.values.clone(), name: thing.name.clone(), flags: thing.flags.clone() }
    }

    #[test]
    fn what_cannot_be_is_refused_where_it_stands() {
        let refused = |bytes: &[u8]| read::<Vec<f32>>(bytes).unwrap_err().to_string();
        assert_eq!(refused(b""), "expected 1 more bytes, found 0 at byte 0");
        assert_eq!(
            refused(b"[$d#L\x7f\0\0\0\0\0\0\0"),
            "a container of 9151314442816847872 items, which the file does not have at byte 13"
        );
        assert_eq!(refused(b"[$T#U\xff"), "a container of type `T`; expected numbers at byte 3");
        assert_eq!(refused(b"[$d]"), "expected a count after a container's type at byte 3");
        assert_eq!(refused(b"[#i\xff"), "expected a length, found -1 at byte 4");
        assert_eq!(refused(b"[d\0\0"), "expected 4 more bytes, found 2 at byte 2");
        assert_eq!(refused(b"[i\x01"), "expected `]` at byte 3");
        assert_eq!(refused(b"[]]"), "expected the end of the file at byte 2");
        assert_eq!(refused(b"[Q"), "expected an integer, found type `Q` at byte 2");
        assert_eq!(refused(b"[\x01"), "expected an integer, found type 0x01 at byte 2");
        let deep = vec![b'['; 10_000];
        let deep = read::<de::IgnoredAny>(&deep).unwrap_err().to_string();
        assert_eq!(deep, "more than 128 values within each other at byte 129");
        let missing = read::<Thing>(b"{}").unwrap_err().to_string();
        assert_eq!(missing, "missing field `values` at byte 2");
        assert_eq!(
            read::<String>(b"SU\x01\xff").unwrap_err().to_string(),
            "expected UTF-8 in the text that ends at byte 4"
        );
    }
}
