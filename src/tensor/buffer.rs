//! Elements that are owned, or lie aligned in a message that is kept alive.

use std::fmt;
use std::ops::Deref;

use bytemuck::Pod;
use bytes::Bytes;

/// A run of numbers: our own, or a slice of a received message.
///
/// A message's payload starts wherever the wire put it, so it is borrowed only
/// when it happens to be aligned for `T`, and copied once otherwise.
#[derive(Clone)]
pub struct Buffer<T>(Storage<T>);

#[derive(Clone)]
enum Storage<T> {
    Owned(Vec<T>),
    /// Checked at construction: aligned for `T`, a whole number of elements.
    Shared(Bytes),
}

impl<T: Pod> Buffer<T> {
    /// Takes little-endian `bytes` as elements; `None` unless they are a whole
    /// number of them. Copies only what is misaligned.
    #[must_use]
    pub fn from_le_bytes(bytes: Bytes) -> Option<Self> {
        // All targets Longshore is built for are little-endian, like the wire.
        const { assert!(cfg!(target_endian = "little")) };
        let size = size_of::<T>();
        if size == 0 || !bytes.len().is_multiple_of(size) {
            return None;
        }
        if bytemuck::try_cast_slice::<u8, T>(&bytes).is_ok() {
            return Some(Self(Storage::Shared(bytes)));
        }
        let mut owned = vec![T::zeroed(); bytes.len() / size];
        bytemuck::cast_slice_mut::<T, u8>(&mut owned).copy_from_slice(&bytes);
        Some(Self(Storage::Owned(owned)))
    }

    /// The elements as a vector: moved out when owned, copied when shared.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        match self.0 {
            Storage::Owned(values) => values,
            Storage::Shared(bytes) => bytemuck::cast_slice(&bytes).to_vec(),
        }
    }

    /// The elements as little-endian bytes, without copying them.
    #[must_use]
    pub fn into_le_bytes(self) -> Bytes
    where
        T: Send,
    {
        struct Owner<T>(Vec<T>);
        impl<T: Pod> AsRef<[u8]> for Owner<T> {
            fn as_ref(&self) -> &[u8] {
                bytemuck::cast_slice(&self.0)
            }
        }
        match self.0 {
            Storage::Owned(values) if values.is_empty() => Bytes::new(),
            Storage::Owned(values) => Bytes::from_owner(Owner(values)),
            Storage::Shared(bytes) => bytes,
        }
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Storage::Owned(values) => values,
            Storage::Shared(bytes) => bytemuck::cast_slice(bytes),
        }
    }
}

impl<T> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Storage::Owned(values))
    }
}

impl<T: Pod + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_bytes_are_shared_and_misaligned_ones_copied() {
        let mut raw = vec![0u8; 64];
        for (i, b) in raw.iter_mut().enumerate() {
            *b = u8::try_from(i).unwrap();
        }
        let message = Bytes::from(raw);
        let start = message.as_ptr().align_offset(8);
        for offset in start..start + 8 {
            let slice = message.slice(offset..offset + 24);
            let buffer = Buffer::<f64>::from_le_bytes(slice.clone()).unwrap();
            let want: Vec<f64> = slice.chunks(8).map(|c| f64::from_le_bytes(c.try_into().unwrap())).collect();
            assert_eq!(&*buffer, &want[..]);
            let shared = std::ptr::eq(buffer.as_ptr().cast::<u8>(), slice.as_ptr());
            assert_eq!(shared, offset == start, "offset {offset}");
        }
    }

    #[test]
    fn bytes_go_out_without_a_copy() {
        let values = vec![1.5f64, -2.0, f64::NAN];
        let (start, raw) = (values.as_ptr().cast::<u8>(), bytemuck::cast_slice::<f64, u8>(&values).to_vec());
        let bytes = Buffer::from(values).into_le_bytes();
        assert_eq!(bytes, raw);
        assert!(std::ptr::eq(bytes.as_ptr(), start));
        // What came from a message goes out as the same slice of it.
        let again = Buffer::<f64>::from_le_bytes(bytes.clone()).unwrap().into_le_bytes();
        assert!(std::ptr::eq(again.as_ptr(), start));
        assert!(Buffer::<f64>::from(vec![]).into_le_bytes().is_empty());
    }

    #[test]
    fn a_broken_element_is_refused() {
        assert!(Buffer::<f32>::from_le_bytes(Bytes::from_static(&[1, 2, 3])).is_none());
    }
}
