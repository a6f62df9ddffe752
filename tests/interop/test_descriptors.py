"""Our .proto files against the descriptors that clients hold, declaration by declaration.

Ours come from the file that `LONGSHORE_FDS` names (an encoded FileDescriptorSet), or else by
server reflection, from the address in `LONGSHORE_GRPC` or from the server that the fixture
`grpc_address` starts. Theirs come from `tensorflow-serving-api` and `tensorflow-cpu`; the
profiler's, which have no Python module, from inside the latter's shared library.
"""

import importlib
import mmap
import os
from pathlib import Path

import grpc
import pytest
import tensorflow
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

PROTO = Path(__file__).resolve().parents[2] / "proto"
# ONNX is a file format and no part of the API: the node tests hold it to its own library.
OUR_FILES = sorted(
    str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto") if path.relative_to(PROTO).parts[0] != "onnx"
)

# Files that no package publishes: they are read as text or kept inside the server, never sent.
UNPUBLISHED = {
    "tensorflow_serving/apis/internal/serialized_input.proto",
    "tensorflow_serving/config/monitoring_config.proto",
    "tensorflow_serving/config/ssl_config.proto",
    "tensorflow_serving/servables/tensorflow/saved_model_bundle_source_adapter.proto",
    "tensorflow_serving/servables/tensorflow/session_bundle_config.proto",
    "tensorflow_serving/servables/tensorflow/thread_pool_factory_config.proto",
    "tensorflow_serving/sources/storage_path/static_storage_path_source.proto",
}

# Declarations that may differ, each with its reason. None do: nothing is pruned.
ALLOWED: set[str] = set()

FIELD = descriptor_pb2.FieldDescriptorProto


def camel(name: str) -> str:
    """The JSON name that a field has unless it says otherwise."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def numbers(ranges, inclusive: bool) -> list[int]:
    return sorted(n for r in ranges for n in range(r.start, r.end + inclusive))


def of_enum(prefix, enum):
    yield prefix, ("enum", enum.options.allow_alias, enum.options.deprecated)
    yield f"{prefix} reserved", (numbers(enum.reserved_range, True), sorted(enum.reserved_name))
    for value in enum.value:
        yield f"{prefix}.{value.name}", (value.number, value.options.deprecated)


def of_message(prefix, message):
    options = message.options
    yield prefix, ("message", options.map_entry, options.deprecated)
    yield f"{prefix} reserved", (numbers(message.reserved_range, False), sorted(message.reserved_name))
    yield f"{prefix} extensions", numbers(message.extension_range, False)
    for field in message.field:
        oneof = None
        if field.HasField("oneof_index") and not field.proto3_optional:
            oneof = message.oneof_decl[field.oneof_index].name
        yield f"{prefix}.{field.name}", {
            "number": field.number,
            "type": FIELD.Type.Name(field.type),
            "type_name": field.type_name,
            "label": FIELD.Label.Name(field.label),
            "proto3_optional": field.proto3_optional,
            "oneof": oneof,
            "json_name": field.json_name or camel(field.name),
            "default": field.default_value,
            "packed": field.options.packed if field.options.HasField("packed") else None,
            "deprecated": field.options.deprecated,
        }
    for nested in message.nested_type:
        yield from of_message(f"{prefix}.{nested.name}", nested)
    for enum in message.enum_type:
        yield from of_enum(f"{prefix}.{enum.name}", enum)


def of_file(file):
    """Each declaration of a file by its name. The order of declarations is nobody's business."""
    yield "package", file.package
    yield "syntax", file.syntax or "proto2"
    yield "imports", sorted(file.dependency)
    yield "public imports", sorted(file.dependency[i] for i in file.public_dependency)
    for message in file.message_type:
        yield from of_message(f"{file.package}.{message.name}", message)
    for enum in file.enum_type:
        yield from of_enum(f"{file.package}.{enum.name}", enum)
    for service in file.service:
        yield f"{file.package}.{service.name}", "service"
        for method in service.method:
            yield f"{file.package}.{service.name}.{method.name}", (
                method.input_type,
                method.output_type,
                method.client_streaming,
                method.server_streaming,
            )


def differences(path, ours, theirs):
    """Lines `<file>: <declaration>: <ours> / <theirs>`."""
    ours, theirs = dict(of_file(ours)), dict(of_file(theirs))
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name), theirs.get(name)
        if isinstance(mine, dict) and isinstance(other, dict):
            for fact in mine:
                if mine[fact] != other[fact]:
                    yield f"{path}: {name}: {fact} is {mine[fact]}, theirs {other[fact]}"
        elif mine != other:
            yield f"{path}: {name}: {mine}, theirs {other}"


def from_python(path):
    """A file's descriptor from the module generated from it; `None` when there is no such module."""
    stem = path.removesuffix(".proto").replace("/", ".") + "_pb2"
    # The wheel keeps what it takes from XLA under its own name.
    for module in (stem, f"tensorflow.{stem}", f"tensorflow.{stem.removeprefix('xla.')}"):
        try:
            importlib.import_module(module)
            break
        except ModuleNotFoundError:
            continue
    try:
        found = descriptor_pool.Default().FindFileByName(path)
    except KeyError:
        return None
    return descriptor_pb2.FileDescriptorProto.FromString(found.serialized_pb)


def from_library(path):
    """A file's descriptor from the shared library, where generated C++ keeps it encoded."""
    library = Path(tensorflow.__file__).parent / "libtensorflow_cc.so.2"
    start_mark = b"\x0a" + bytes([len(path)]) + path.encode()  # FileDescriptorProto.name
    end_mark = b"\x62\x06proto3"  # .syntax, its last field
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bytes_:
        start = bytes_.find(start_mark)
        while start >= 0:
            end = bytes_.find(end_mark, start, start + (1 << 20)) + len(end_mark)
            try:
                found = descriptor_pb2.FileDescriptorProto.FromString(bytes_[start:end])
                if found.package:
                    return found
            except DecodeError:
                pass  # The name alone, inside of something else.
            start = bytes_.find(start_mark, start + 1)
    return None


def reflected(address):
    """Our files as a server tells them to a client."""
    files = {}
    with grpc.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = (reflection_pb2.ServerReflectionRequest(file_by_filename=path) for path in OUR_FILES)
        for path, answer in zip(OUR_FILES, stub.ServerReflectionInfo(asked, timeout=60), strict=True):
            assert answer.HasField("file_descriptor_response"), f"{path}: {answer}"
            for raw in answer.file_descriptor_response.file_descriptor_proto:
                file = descriptor_pb2.FileDescriptorProto.FromString(raw)
                files[file.name] = file
    return files


@pytest.fixture
def ours(request):
    """Our files by path."""
    if path := os.environ.get("LONGSHORE_FDS"):
        fds = descriptor_pb2.FileDescriptorSet.FromString(Path(path).read_bytes())
        return {file.name: file for file in fds.file}
    address = os.environ.get("LONGSHORE_GRPC") or request.getfixturevalue("grpc_address")
    return reflected(address)


def test_every_declaration_is_the_one_that_clients_hold(ours):
    assert sorted(path for path in ours if not path.startswith("google/protobuf/")) == OUR_FILES
    compared, unpublished, found = 0, set(), []
    for path in OUR_FILES:
        theirs = from_python(path) or (from_library(path) if path.startswith("tsl/") else None)
        if theirs is None:
            unpublished.add(path)
            continue
        compared += sum(1 for _ in of_file(theirs))
        found += differences(path, ours[path], theirs)
    print(f"{compared} declarations of {len(OUR_FILES) - len(unpublished)} files compared")
    print("\n".join(found))
    assert unpublished == UNPUBLISHED
    assert set(found) == ALLOWED, "differences beyond the allowed ones, or allowed ones that are gone"
    assert compared > 1500
