//! Tensors of ours as the library's values, and its values as ours.

use std::ffi::c_void;

use bytes::Bytes;
use ort_sys as sys;
use ort_sys::ONNXTensorElementDataType as Kind;
use smallvec::SmallVec;

use super::library::{Failure, Library, Owned};
use crate::engines::onnx::backend::Value;
use crate::formats::onnx::dtype;
use crate::limits;
use crate::proto::onnx::tensor_proto::DataType;
use crate::tensor::{DType, Elements, Shape, Tensor};

/// A value of the library's.
pub(super) type Handle = Owned<sys::OrtValue>;

/// A value over the elements of `tensor`, which are copied only when they are strings.
/// The value may not outlive the tensor.
///
/// # Errors
/// [`Failure`], with the library's words.
pub(super) fn input(library: &Library, tensor: &Tensor) -> Result<Handle, Failure> {
    let api = library.api();
    let dims = dims(tensor.shape());
    if let Elements::Strings(strings) = tensor.elements() {
        let value = library.made(api.ReleaseValue, |out| {
            let kind = Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;
            // SAFETY: the dimensions are as many as is said.
            unsafe { (api.CreateTensorAsOrtValue)(library.allocator(), dims.as_ptr(), dims.len(), kind, out) }
        })?;
        for (at, string) in strings.iter().enumerate() {
            let mut place = std::ptr::null_mut();
            // SAFETY: the tensor has a string at this place, and is nobody else's yet.
            library.checked(unsafe {
                let resize = api.GetResizedStringTensorElementBuffer;
                resize(value.pointer(), at, string.len(), &raw mut place)
            })?;
            // SAFETY: the string was made just this long, and lies apart from ours.
            unsafe { std::ptr::copy_nonoverlapping(string.as_ptr(), place.cast::<u8>(), string.len()) };
        }
        return Ok(value);
    }
    let kind = kind(tensor.elements().dtype());
    let (start, bytes) = place(tensor.elements());
    library.made(api.ReleaseValue, |out| {
        // SAFETY: the elements lie there for as long as the tensor lives, in this many
        // bytes. The library writes to no input of a run: it counts the caller as a
        // user of it, so that no buffer of an input is used again for an output.
        unsafe {
            let create = api.CreateTensorWithDataAsOrtValue;
            create(library.memory(), start.cast_mut(), bytes, dims.as_ptr(), dims.len(), kind, out)
        }
    })
}

/// A tensor that the library owns, with a copy of `bytes`, its elements in the order of
/// this machine.
///
/// # Errors
/// [`Failure`]; also when the bytes are not as many as the shape and the dtype ask for.
pub(super) fn copied(
    library: &Library,
    shape: &Shape,
    dtype: DType,
    bytes: &[u8],
) -> Result<Handle, Failure> {
    let wanted = dtype.element_bytes().and_then(|size| shape.elements().checked_mul(size));
    if wanted != Some(bytes.len()) {
        let text = format!("{} bytes are no {dtype} tensor of shape {shape}", bytes.len());
        return Err(Failure { invalid_argument: true, text });
    }
    let (api, dims) = (library.api(), dims(shape));
    let value = library.made(api.ReleaseValue, |out| {
        // SAFETY: the dimensions are as many as is said.
        unsafe {
            let create = api.CreateTensorAsOrtValue;
            create(library.allocator(), dims.as_ptr(), dims.len(), kind(dtype), out)
        }
    })?;
    let mut start = std::ptr::null_mut();
    // SAFETY: the value is a tensor of numbers and alive, and `start` a place for the answer.
    library.checked(unsafe { (api.GetTensorMutableData)(value.pointer(), &raw mut start) })?;
    if !start.is_null() {
        // SAFETY: the tensor was made just so large, nobody else has it, and no bytes
        // are wrong for elements of these types.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.cast::<u8>(), bytes.len()) };
    }
    Ok(value)
}

fn dims(shape: &Shape) -> SmallVec<[i64; 4]> {
    shape.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect()
}

/// The library's word for a dtype.
fn kind(dtype: DType) -> Kind {
    match dtype.storage() {
        DType::Double => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        DType::Half => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        DType::BFloat16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        DType::Int8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        DType::Int16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        DType::Int32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        DType::Int64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        DType::UInt8 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        DType::UInt16 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        DType::UInt32 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        DType::UInt64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        DType::Bool => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        DType::Complex64 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64,
        DType::Complex128 => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX128,
        DType::String => Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
        // The quantised kinds have one of these as their storage.
        DType::Float | DType::QInt8 | DType::QUInt8 | DType::QInt32 | DType::QInt16 | DType::QUInt16 => {
            Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
        }
    }
}

/// Where the elements begin, and how many bytes they take. Strings lie nowhere in one.
fn place(elements: &Elements) -> (*const c_void, usize) {
    fn of<T>(values: &[T]) -> (*const c_void, usize) {
        (values.as_ptr().cast(), size_of_val(values))
    }
    match elements {
        Elements::F32(values) => of(values),
        Elements::F64(values) => of(values),
        Elements::F16(values) => of(values),
        Elements::BF16(values) => of(values),
        Elements::I8(values) => of(values),
        Elements::I16(values) => of(values),
        Elements::I32(values) => of(values),
        Elements::I64(values) => of(values),
        Elements::U8(values) | Elements::Bool(values) => of(values),
        Elements::U16(values) => of(values),
        Elements::U32(values) => of(values),
        Elements::U64(values) => of(values),
        Elements::C64(values) => of(values),
        Elements::C128(values) => of(values),
        Elements::Strings(_) => of::<u8>(&[]),
    }
}

/// What a run gave, copied. `depth` is how many values it lies in.
///
/// # Errors
/// What cannot be told: a kind of value that has no place in an answer.
pub(super) fn output(library: &Library, value: &Handle, depth: usize) -> Result<Value, String> {
    if depth > limits::ONNX_VALUE_DEPTH_MAX {
        return Err(format!("values lie more than {} deep in it", limits::ONNX_VALUE_DEPTH_MAX));
    }
    let api = library.api();
    let mut has = 1;
    // SAFETY: the value is alive, and `has` a place for the answer.
    library.checked(unsafe { (api.HasValue)(value.pointer(), &raw mut has) }).map_err(told)?;
    if has == 0 {
        return Ok(Value::Absent);
    }
    // An `i32`, since a newer library may have kinds that the enum has not.
    let mut kind = 0i32;
    // SAFETY: the enum is an `i32`.
    library.checked(unsafe { (api.GetValueType)(value.pointer(), (&raw mut kind).cast()) }).map_err(told)?;
    if kind == sys::ONNXType::ONNX_TYPE_TENSOR as i32 {
        return tensor(library, value).map(Value::Tensor);
    }
    let mut count = 0;
    // SAFETY: the value is alive, and `count` a place for the answer.
    let mut within = || {
        library.checked(unsafe { (api.GetValueCount)(value.pointer(), &raw mut count) }).map_err(told)?;
        Ok::<usize, String>(count)
    };
    let part = |at: usize| {
        let at = i32::try_from(at).map_err(|_| "it holds too many values".to_owned())?;
        let made = library.made(api.ReleaseValue, |out| {
            // SAFETY: the value is alive, and the library checks the position.
            unsafe { (api.GetValue)(value.pointer(), at, library.allocator(), out) }
        });
        made.map_err(told)
    };
    if kind == sys::ONNXType::ONNX_TYPE_SEQUENCE as i32 {
        let values = (0..within()?).map(|at| output(library, &part(at)?, depth + 1));
        return Ok(Value::Sequence(values.collect::<Result<_, String>>()?));
    }
    if kind == sys::ONNXType::ONNX_TYPE_MAP as i32 {
        // Keys and values are a vector each, in the order of the keys.
        let of = |at| Ok::<Elements, String>(tensor(library, &part(at)?)?.into_elements());
        return Ok(Value::Map { keys: of(0)?, values: of(1)? });
    }
    Err(format!("ONNX Runtime gave a value of kind {kind}; expected a tensor, a sequence or a map"))
}

fn told(failure: Failure) -> String {
    failure.text
}

/// A dense tensor, copied.
fn tensor(library: &Library, value: &Handle) -> Result<Tensor, String> {
    let api = library.api();
    let info = library
        // SAFETY: the value is a tensor and alive.
        .made(api.ReleaseTensorTypeAndShapeInfo, |out| unsafe {
            (api.GetTensorTypeAndShape)(value.pointer(), out)
        })
        .map_err(told)?;
    let (mut kind, mut rank) = (0i32, 0);
    // SAFETY: the enum is an `i32`, as above.
    library
        .checked(unsafe { (api.GetTensorElementType)(info.pointer(), (&raw mut kind).cast()) })
        .map_err(told)?;
    // SAFETY: `rank` is a place for the answer.
    library.checked(unsafe { (api.GetDimensionsCount)(info.pointer(), &raw mut rank) }).map_err(told)?;
    let mut dims = vec![0i64; rank];
    // SAFETY: there is room for as many dimensions as there are.
    library
        .checked(unsafe { (api.GetDimensions)(info.pointer(), dims.as_mut_ptr(), dims.len()) })
        .map_err(told)?;
    let wrong = || format!("ONNX Runtime gave a tensor of shape {dims:?}");
    let sizes: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let shape = Shape::new(sizes.ok_or_else(wrong)?).map_err(|_| wrong())?;
    let elements = elements(library, value, kind, shape.elements())?;
    Tensor::new(shape, elements).map_err(|error| error.to_string())
}

/// The `count` elements of a tensor.
fn elements(library: &Library, value: &Handle, kind: i32, count: usize) -> Result<Elements, String> {
    if kind == Kind::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING as i32 {
        return strings(library, value, count).map(Elements::Strings).map_err(told);
    }
    let mut start = std::ptr::null_mut();
    // SAFETY: the value is a tensor of numbers and alive, and `start` a place for the answer.
    let data = unsafe { (library.api().GetTensorMutableData)(value.pointer(), &raw mut start) };
    library.checked(data).map_err(told)?;
    /// # Safety
    /// `start` is null, or `count` elements begin there.
    unsafe fn read<T: bytemuck::Pod>(start: *const c_void, count: usize) -> Vec<T> {
        if start.is_null() {
            return Vec::new();
        }
        let mut values: Vec<T> = Vec::with_capacity(count);
        // SAFETY: the caller says what lies there, and there is room for it. It goes by
        // bytes, which need no alignment, and all bytes are elements of a plain type.
        unsafe {
            let place = values.as_mut_ptr().cast::<u8>();
            std::ptr::copy_nonoverlapping(start.cast::<u8>(), place, count * size_of::<T>());
            values.set_len(count);
        }
        values
    }
    // The library's numbers are those of the file format.
    let dtype = DataType::try_from(kind).ok().and_then(dtype);
    // SAFETY: the library says that the tensor has these elements, and this many.
    Ok(unsafe {
        match dtype {
            Some(DType::Float) => read::<f32>(start, count).into(),
            Some(DType::Double) => read::<f64>(start, count).into(),
            Some(DType::Half) => read::<half::f16>(start, count).into(),
            Some(DType::BFloat16) => read::<half::bf16>(start, count).into(),
            Some(DType::Int8) => read::<i8>(start, count).into(),
            Some(DType::Int16) => read::<i16>(start, count).into(),
            Some(DType::Int32) => read::<i32>(start, count).into(),
            Some(DType::Int64) => read::<i64>(start, count).into(),
            Some(DType::UInt8) => read::<u8>(start, count).into(),
            Some(DType::UInt16) => read::<u16>(start, count).into(),
            Some(DType::UInt32) => read::<u32>(start, count).into(),
            Some(DType::UInt64) => read::<u64>(start, count).into(),
            Some(DType::Complex64) => read::<[f32; 2]>(start, count).into(),
            Some(DType::Complex128) => read::<[f64; 2]>(start, count).into(),
            // A bool of ours is 0 or 1, whatever kernels write.
            Some(DType::Bool) => {
                read::<u8>(start, count).into_iter().map(|byte| byte != 0).collect::<Vec<bool>>().into()
            }
            _ => return Err(format!("ONNX Runtime gave elements of kind {kind}, which are not served")),
        }
    })
}

/// The `count` strings of a tensor.
fn strings(library: &Library, value: &Handle, count: usize) -> Result<Vec<Bytes>, Failure> {
    let api = library.api();
    let mut length = 0;
    // SAFETY: the value is a tensor of strings and alive, and `length` a place for the answer.
    library.checked(unsafe { (api.GetStringTensorDataLength)(value.pointer(), &raw mut length) })?;
    if count == 0 {
        return Ok(Vec::new());
    }
    // It refuses a place of no bytes.
    let (mut bytes, mut starts) = (vec![0u8; length.max(1)], vec![0usize; count]);
    // SAFETY: there is room for all strings, one after another, and for where each begins.
    library.checked(unsafe {
        let content = api.GetStringTensorContent;
        content(value.pointer(), bytes.as_mut_ptr().cast(), bytes.len(), starts.as_mut_ptr(), starts.len())
    })?;
    let bytes = Bytes::from(bytes);
    let ends = starts.iter().skip(1).copied().chain([length]);
    let within = |(start, end): (&usize, usize)| {
        let start = (*start).min(length);
        bytes.slice(start..end.clamp(start, length))
    };
    Ok(starts.iter().zip(ends).map(within).collect())
}
