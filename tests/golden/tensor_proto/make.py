"""Writes cases.json: TensorProto messages, and what TensorFlow itself reads from each.

Every message goes through `tf.io.parse_tensor`, which is `Tensor::FromProto`, the code that
parses requests in TensorFlow Serving. Each case has the message in hex and either TensorFlow's
dtype, dimensions and elements (little-endian in hex; a list of strings in hex) or `refused`.
The messages also become the seeds of the fuzz target `tensor_proto`.

Made with Python 3.11 and tensorflow-cpu 2.21.0:  python tests/golden/tensor_proto/make.py
"""

import json
import os
import pathlib
import struct

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2  # noqa: E402

HERE = pathlib.Path(__file__).parent
SEEDS = HERE.parents[2] / "fuzz" / "corpus" / "tensor_proto"
CASES = {}


def message(dtype, dims=(), unknown_rank=False, **fields):
    """A TensorProto; `dims=None` leaves the shape out."""
    proto = tensor_pb2.TensorProto(dtype=dtype)
    if dims is not None:
        proto.tensor_shape.CopyFrom(
            tensor_shape_pb2.TensorShapeProto(
                dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=d) for d in dims],
                unknown_rank=unknown_rank,
            )
        )
    for name, value in fields.items():
        if name in ("tensor_content", "version_number"):
            setattr(proto, name, value)
        else:
            getattr(proto, name).extend(value)
    return proto


def case(name, proto):
    """Asks TensorFlow, and keeps its answer."""
    assert name not in CASES, name
    raw = proto if isinstance(proto, bytes) else proto.SerializeToString()
    number = tensor_pb2.TensorProto.FromString(raw).dtype
    # For a dtype that no tensor has, any one will do: the message is refused first.
    asked = tf.dtypes.as_dtype(number) if number in range(1, 24) else tf.float32
    entry = {"message": raw.hex()}
    try:
        tensor = tf.io.parse_tensor(raw, asked)
    except tf.errors.InvalidArgumentError:
        entry["refused"] = True
    else:
        entry["dtype"] = number
        entry["dims"] = tensor.shape.as_list()
        # numpy stops at 64 dimensions.
        array = (tensor if len(entry["dims"]) < 64 else tf.reshape(tensor, [-1])).numpy()
        if number == types_pb2.DT_STRING:
            entry["strings"] = [bytes(s).hex() for s in np.asarray(array, object).ravel()]
        else:
            entry["content"] = np.asarray(array).tobytes().hex()
    CASES[name] = entry


# Each dtype in both forms, as TensorFlow writes them.
NUMBERS = {
    "float": [1.5, -0.0, float("nan"), float("inf")],
    "double": [1.5, -0.0, float("nan"), 5e-324],
    "int32": [1, -2, 2**31 - 1, -(2**31)],
    "uint8": [0, 1, 200, 255],
    "int16": [1, -2, 2**15 - 1, -(2**15)],
    "int8": [1, -2, 127, -128],
    "complex64": [1 + 2j, -3.5j, 4, 0],
    "int64": [1, -2, 2**63 - 1, -(2**63)],
    "bool": [True, False, False, True],
    "bfloat16": [1.5, -0.0, float("nan"), 3e38],
    "uint16": [0, 1, 40000, 65535],
    "complex128": [1 + 2j, -3.5j, 4, 0],
    "half": [1.5, -0.0, float("nan"), 65504],
    "uint32": [0, 1, 2**31, 2**32 - 1],
    "uint64": [0, 1, 2**63, 2**64 - 1],
}
for name, values in NUMBERS.items():
    dtype = tf.dtypes.as_dtype(name)
    array = np.array(values, dtype.as_numpy_dtype).reshape(2, 2)
    case(f"{name}_made", tf.make_tensor_proto(array))
    case(f"{name}_one_value", tf.make_tensor_proto(array[0, 0]))
    case(f"{name}_repeated", tf.make_tensor_proto(values[0], dtype, shape=[2, 3]))
    # TensorFlow's own kernel writes content from a tensor it computed.
    case(f"{name}_serialized", tf.io.serialize_tensor(tf.constant(array)).numpy())
case("string_typed", tf.make_tensor_proto([[b"a", b""], [b"\xff\x00", "grün".encode()]]))
case("string_content", message(types_pb2.DT_STRING, [3], tensor_content=b"\x01\x00\x02abc"))
case("string_long_content", message(types_pb2.DT_STRING, [2], tensor_content=b"\xc8\x01\x01" + b"x" * 200 + b"y"))
for name, field in [("float", "float_val"), ("double", "double_val"), ("int32", "int_val"),
                    ("uint8", "int_val"), ("int16", "int_val"), ("int8", "int_val"), ("int64", "int64_val"),
                    ("uint16", "int_val"), ("uint32", "uint32_val"), ("uint64", "uint64_val"),
                    ("bool", "bool_val"), ("qint8", "int_val"), ("quint8", "int_val"),
                    ("qint32", "int_val"), ("qint16", "int_val"), ("quint16", "int_val")]:
    number = tf.dtypes.as_dtype(name).as_datatype_enum
    case(f"{name}_typed", message(number, [3], **{field: [1, 0, 1]}))
for name, size in [("qint8", 1), ("quint8", 1), ("qint16", 2), ("quint16", 2), ("qint32", 4)]:
    number = tf.dtypes.as_dtype(name).as_datatype_enum
    case(f"{name}_content", message(number, [2], tensor_content=bytes(range(250, 250 + 2)) * size))

F, D, S, B = types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_STRING, types_pb2.DT_BOOL
three = struct.pack("<3f", 1, 2, 3)
# Content.
case("content_wins_over_values", message(F, [3], tensor_content=three, float_val=[9, 9, 9]))
case("content_too_short", message(F, [4], tensor_content=three))
case("content_too_long", message(F, [2], tensor_content=three))
case("content_broken_element", message(F, [3], tensor_content=three[:-1]))
case("content_for_an_empty_tensor", message(F, [0], tensor_content=three))
case("content_bool_two", message(B, [3], tensor_content=b"\x00\x01\x02"))
case("content_bool", message(B, [3], tensor_content=b"\x00\x01\x01"))
case("content_string_truncated", message(S, [2], tensor_content=b"\x01\x05abc"))
case("content_string_surplus", message(S, [2], tensor_content=b"\x01\x01abc"))
case("content_string_lengths_missing", message(S, [4], tensor_content=b"\x01\x00"))
case("content_string_broken_varint", message(S, [1], tensor_content=b"\x80"))
# Typed values.
case("values_fewer", message(F, [2, 3], float_val=[1, 2]))
case("values_fewer_narrow", message(types_pb2.DT_INT8, [4], int_val=[1, 2]))
case("values_fewer_strings", message(S, [3], string_val=[b"a", b"b"]))
case("values_fewer_complex", message(types_pb2.DT_COMPLEX64, [3], scomplex_val=[1, 2, 3, 4]))
case("values_none", message(D, [3]))
case("values_none_strings", message(S, [2]))
case("values_none_bools", message(B, [2]))
case("values_more", message(F, [2], float_val=[1, 2, 3]))
case("values_more_strings", message(S, [1], string_val=[b"a", b"b"]))
case("values_in_the_wrong_field", message(F, [2], double_val=[1, 2]))
case("values_complex_odd", message(types_pb2.DT_COMPLEX64, [2], scomplex_val=[1, 2, 3]))
case("values_complex_half_a_value", message(types_pb2.DT_COMPLEX128, [2], dcomplex_val=[1]))
case("values_int8_wraps", message(types_pb2.DT_INT8, [3], int_val=[300, -129, 127]))
case("values_uint8_wraps", message(types_pb2.DT_UINT8, [3], int_val=[300, -1, 255]))
case("values_int16_wraps", message(types_pb2.DT_INT16, [2], int_val=[70000, -40000]))
case("values_uint16_wraps", message(types_pb2.DT_UINT16, [2], int_val=[70000, -1]))
case("values_half_high_bits", message(types_pb2.DT_HALF, [2], half_val=[0x3E00, 0x13E00]))
case("values_bfloat16", message(types_pb2.DT_BFLOAT16, [2], half_val=[0x3FC0, 0xBF80]))
# Shapes.
case("shape_absent", message(F, None, float_val=[7]))
case("shape_empty", message(F, [], float_val=[7]))
case("shape_unknown_rank", message(F, [], unknown_rank=True, float_val=[7]))
case("shape_unknown_rank_with_dims", message(F, [2], unknown_rank=True, float_val=[7]))
case("shape_zero", message(F, [0, 3]))
case("shape_zero_with_values", message(F, [3, 0], float_val=[1, 2]))
case("shape_zero_strings", message(S, [0]))
case("shape_negative", message(F, [-1], float_val=[1]))
case("shape_negative_beside_zero", message(F, [0, -1]))
case("shape_overflow", message(F, [2**40, 2**40], float_val=[1]))
case("shape_rank_254", message(F, [1] * 254, float_val=[1]))
case("shape_rank_255", message(F, [1] * 255, float_val=[1]))
# Dtypes.
case("dtype_invalid", message(types_pb2.DT_INVALID, [1], float_val=[1]))
case("dtype_reference", message(types_pb2.DT_FLOAT_REF, [1], float_val=[1]))
case("version_number_ignored", message(F, [1], float_val=[1], version_number=99))

(HERE / "cases.json").write_text(
    "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(CASES.items())) + "\n}\n"
)
SEEDS.mkdir(parents=True, exist_ok=True)
# One of a kind: the fuzzer finds the rest by itself.
ALIKE = ("_repeated", "_serialized", "_one_value", "_typed", "_wraps", "_strings", "_overflow")
SIMILAR_DTYPES = ("uint", "quint", "qint16", "qint32", "int64", "int16", "bfloat16", "complex64", "float_t", "double_t")
for name, entry in CASES.items():
    if not name.endswith(ALIKE) and not name.startswith(SIMILAR_DTYPES):
        (SEEDS / name).write_bytes(bytes.fromhex(entry["message"]))
