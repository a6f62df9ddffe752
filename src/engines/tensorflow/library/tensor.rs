//! Tensors of ours as TensorFlow's, and back.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use bytemuck::Pod;
use bytes::Bytes;

use super::Failure;
use super::api::{Api, TF_Tensor};
use crate::tensor::{Buffer, DType, Elements, Shape, Tensor};

/// A string as TensorFlow keeps it: 24 bytes, whose two lowest bits say which of four
/// kinds it is. Source: `TF_TString` in ctstring_internal.h, for little-endian machines.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct TString([u64; 3]);

const SMALL: u64 = 0;
const LARGE: u64 = 1;
const OFFSET: u64 = 2;
/// Bytes that a small string holds itself, after the byte of its length.
const SMALL_BYTES_MAX: usize = 22;

impl TString {
    /// A string of these bytes: itself when they are few, else pointing at them.
    ///
    /// One that points is of the kind "large" and not "view", though it owns nothing. Who
    /// copies a view copies the pointer, and a graph that puts a request's string into a
    /// table would keep a pointer into the request; a large string is copied with its
    /// bytes. Nobody frees it, since the tensor that it lies in is not TensorFlow's own.
    fn new(bytes: &[u8]) -> Self {
        const { assert!(cfg!(target_endian = "little"), "where the kind is depends on the byte order") };
        let length = bytes.len() as u64;
        if bytes.len() <= SMALL_BYTES_MAX {
            let mut raw = [0u8; 24];
            raw[0] = (bytes.len() << 2) as u8;
            raw[1..=bytes.len()].copy_from_slice(bytes);
            return Self(bytemuck::cast(raw));
        }
        Self([length << 2 | LARGE, length, bytes.as_ptr() as u64])
    }

    /// The bytes of the string at `this`.
    ///
    /// # Safety
    /// `this` is a string that TensorFlow wrote, or [`TString::new`] made, at the place
    /// where it was written, and neither it nor its bytes are changed or freed during `'a`.
    unsafe fn bytes<'a>(this: *const Self) -> &'a [u8] {
        let start: *const u8 = this.cast();
        // SAFETY: the caller says that there is one.
        let [first, second, third] = unsafe { (*this).0 };
        let (start, length) = match first & 3 {
            // SAFETY: the bytes of a small string follow that of its length, in the string.
            SMALL => (unsafe { start.add(1) }, first >> 2 & 0x3f),
            LARGE => (third as *const u8, first >> 2),
            // SAFETY: an offset leads from the string itself to its bytes, in one allocation.
            OFFSET => (unsafe { start.add((first >> 32) as usize) }, (first & 0xffff_ffff) >> 2),
            _ => (second as *const u8, first >> 2),
        };
        if length == 0 {
            return &[];
        }
        // SAFETY: these are where TensorFlow says that the string's bytes are.
        unsafe { std::slice::from_raw_parts(start, length as usize) }
    }
}

/// What a tensor's data lie in for as long as TensorFlow needs them.
struct Held {
    elements: Elements,
    strings: Vec<TString>,
}

/// Frees what a tensor's data lay in. Called by TensorFlow, once, from any thread.
unsafe extern "C" fn release(_: *mut c_void, _: usize, held: *mut c_void) {
    // SAFETY: `held` is the box that was given up in `RawTensor::new`, and this is the
    // one call for it.
    drop(unsafe { Box::from_raw(held.cast::<Held>()) });
}

/// A `TF_Tensor`, deleted when dropped.
pub(super) struct RawTensor {
    api: &'static Api,
    raw: NonNull<TF_Tensor>,
}

impl Drop for RawTensor {
    fn drop(&mut self) {
        // SAFETY: it is a tensor that is ours to delete, and is not used after this.
        unsafe { (self.api.TF_DeleteTensor)(self.raw.as_ptr()) };
    }
}

impl RawTensor {
    /// Takes over a tensor that TensorFlow gave.
    ///
    /// # Safety
    /// It is alive and the caller's to delete.
    pub(super) unsafe fn from_raw(api: &'static Api, raw: *mut TF_Tensor) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self { api, raw })
    }

    pub(super) fn as_ptr(&self) -> *mut TF_Tensor {
        self.raw.as_ptr()
    }

    /// The tensor as TensorFlow takes it. Nothing is copied here; TensorFlow copies
    /// numbers that are not aligned as it needs them.
    pub(super) fn new(api: &'static Api, tensor: Tensor) -> Result<Self, Failure> {
        let dtype = tensor.dtype().number();
        let dims: Vec<i64> = tensor.shape().iter().map(|&dim| dim as i64).collect();
        let elements = tensor.into_elements();
        let strings = match &elements {
            Elements::Strings(strings) => strings.iter().map(|string| TString::new(string)).collect(),
            _ => Vec::new(),
        };
        let held = Box::new(Held { elements, strings });
        let bytes = raw_bytes(&held);
        let (data, length) = (bytes.as_ptr().cast_mut().cast::<c_void>(), bytes.len());
        let held = Box::into_raw(held).cast::<c_void>();
        // SAFETY: the dimensions are as many as said, and the data as long as they say; both
        // are moved to the heap and stay there until `release` is called with `held`. The
        // data are only read: TensorFlow writes into a tensor that it was given only if it
        // owns its memory, which is not so of memory that came with a deallocator.
        let raw = unsafe {
            (api.TF_NewTensor)(dtype, dims.as_ptr(), dims.len() as c_int, data, length, release, held)
        };
        NonNull::new(raw)
            .map(|raw| Self { api, raw })
            .ok_or_else(|| Failure::internal("TensorFlow takes no tensor of this shape"))
    }

    /// A copy of the tensor as ours.
    pub(super) fn read(&self) -> Result<Tensor, Failure> {
        let (api, raw) = (self.api, self.as_ptr());
        // SAFETY: the tensor is alive, and these only look at it; each dimension that is
        // asked for is one that it has.
        let (number, rank) = unsafe { ((api.TF_TensorType)(raw), (api.TF_NumDims)(raw)) };
        let dims = (0..rank).map(|axis| unsafe { (api.TF_Dim)(raw, axis) });
        let dims = dims.map(|dim| usize::try_from(dim).unwrap_or(usize::MAX));
        let shape = Shape::new(dims).map_err(|error| Failure::internal(error.to_string()))?;
        let dtype = DType::from_number(number).ok_or_else(|| {
            Failure::internal(format!("the model gave a tensor of dtype {number}, which no answer carries"))
        })?;
        // SAFETY: as above.
        let (data, length) = unsafe { ((api.TF_TensorData)(raw), (api.TF_TensorByteSize)(raw)) };
        let count = shape.elements();
        let wanted = dtype.element_bytes().unwrap_or(size_of::<TString>()).checked_mul(count);
        if wanted.is_none_or(|wanted| wanted > length) || (data.is_null() && count > 0) {
            let text = format!("the model gave a {dtype} tensor of shape {shape} in {length} bytes");
            return Err(Failure::internal(text));
        }
        let elements = if count == 0 {
            elements(dtype, &[])
        } else if dtype == DType::String {
            // SAFETY: a tensor of strings is as many TF_TStrings as it has elements, which
            // its length was just checked to hold, aligned as all its tensors are. They
            // are not changed: a result belongs to whoever asked for it.
            let copy = |at| unsafe { Bytes::copy_from_slice(TString::bytes(data.cast::<TString>().add(at))) };
            Elements::Strings((0..count).map(copy).collect())
        } else {
            // SAFETY: the data are `length` bytes, and are not changed, likewise.
            elements(dtype, unsafe { std::slice::from_raw_parts(data.cast::<u8>(), wanted.unwrap_or(0)) })
        };
        Tensor::new(shape, elements)
            .ok()
            .and_then(|tensor| tensor.with_dtype(dtype))
            .ok_or_else(|| Failure::internal(format!("the model gave a {dtype} tensor that does not add up")))
    }
}

/// Where the elements lie.
fn raw_bytes(held: &Held) -> &[u8] {
    match &held.elements {
        Elements::F32(values) => bytemuck::cast_slice(values),
        Elements::F64(values) => bytemuck::cast_slice(values),
        Elements::F16(values) => bytemuck::cast_slice(values),
        Elements::BF16(values) => bytemuck::cast_slice(values),
        Elements::I8(values) => bytemuck::cast_slice(values),
        Elements::I16(values) => bytemuck::cast_slice(values),
        Elements::I32(values) => bytemuck::cast_slice(values),
        Elements::I64(values) => bytemuck::cast_slice(values),
        Elements::U8(values) | Elements::Bool(values) => values,
        Elements::U16(values) => bytemuck::cast_slice(values),
        Elements::U32(values) => bytemuck::cast_slice(values),
        Elements::U64(values) => bytemuck::cast_slice(values),
        Elements::C64(values) => bytemuck::cast_slice(values),
        Elements::C128(values) => bytemuck::cast_slice(values),
        Elements::Strings(_) => {
            let (start, length) = (held.strings.as_ptr(), size_of_val(&held.strings[..]));
            // SAFETY: the strings are as long as they are, and all of their bytes are set.
            unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) }
        }
    }
}

/// A copy of a whole number of elements, wherever they start.
fn elements(dtype: DType, bytes: &[u8]) -> Elements {
    fn copied<T: Pod>(bytes: &[u8]) -> Buffer<T> {
        let mut values = vec![T::zeroed(); bytes.len() / size_of::<T>()];
        bytemuck::cast_slice_mut::<T, u8>(&mut values).copy_from_slice(bytes);
        values.into()
    }
    match dtype {
        DType::Float => Elements::F32(copied(bytes)),
        DType::Double => Elements::F64(copied(bytes)),
        DType::Half => Elements::F16(copied(bytes)),
        DType::BFloat16 => Elements::BF16(copied(bytes)),
        DType::Int8 | DType::QInt8 => Elements::I8(copied(bytes)),
        DType::Int16 | DType::QInt16 => Elements::I16(copied(bytes)),
        DType::Int32 | DType::QInt32 => Elements::I32(copied(bytes)),
        DType::Int64 => Elements::I64(copied(bytes)),
        DType::UInt8 | DType::QUInt8 => Elements::U8(copied(bytes)),
        DType::UInt16 | DType::QUInt16 => Elements::U16(copied(bytes)),
        DType::UInt32 => Elements::U32(copied(bytes)),
        DType::UInt64 => Elements::U64(copied(bytes)),
        DType::Bool => Elements::Bool(copied(bytes)),
        DType::Complex64 => Elements::C64(copied(bytes)),
        DType::Complex128 => Elements::C128(copied(bytes)),
        DType::String => Elements::Strings(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_back_as_they_were_made() {
        for length in [0, 1, 21, 22, 23, 100, 70_000] {
            let text: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let string = TString::new(&text);
            // SAFETY: it was just made, and its bytes are still there.
            assert_eq!(unsafe { TString::bytes(&raw const string) }, text, "{length} bytes");
            assert_eq!(string.0[0] & 3, if length <= 22 { SMALL } else { LARGE });
        }
    }

    #[test]
    fn the_kinds_that_only_tensorflow_makes_are_read_too() {
        let text = b"a text of some length that lies elsewhere";
        let view = TString([(text.len() as u64) << 2 | 3, text.as_ptr() as u64, 0]);
        // SAFETY: it points at a text that is there.
        assert_eq!(unsafe { TString::bytes(&raw const view) }, text);
        // An offset: the bytes lie behind the string, in one allocation.
        let mut both = [TString([0; 3]); 2];
        both[0].0[0] = 24 << 32 | 5 << 2 | OFFSET;
        both[1].0[0] = u64::from_le_bytes(*b"hello\0\0\0");
        // SAFETY: the offset leads to the next element of the array that both lie in.
        assert_eq!(unsafe { TString::bytes(both.as_ptr()) }, b"hello");
    }

    #[test]
    fn numbers_are_copied_from_wherever_they_lie() {
        let raw = [9u8, 1, 0, 2, 0, 3, 0];
        assert_eq!(elements(DType::UInt16, &raw[1..]), Elements::U16(vec![1u16, 2, 3].into()));
        for dtype in DType::ALL {
            assert_eq!(elements(dtype, &[]).len(), 0);
            assert_eq!(elements(dtype, &[]).dtype(), dtype.storage());
        }
    }
}
