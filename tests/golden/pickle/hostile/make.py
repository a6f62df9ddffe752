"""Writes the hostile pickles, and `hostile.json`: the words that the refusal of each must hold.

    python make.py          needs Python 3.11, numpy, joblib and lz4

A file whose words are null is harmless by design and must be read, quickly. Those that run code
do so in Python: this script lets them, in a process and a folder of their own, and insists that
each leaves its tripwire. DO NOT LOAD THESE FILES IN PYTHON yourself.
"""

import bz2
import gzip
import json
import lzma
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zlib

import lz4.frame

HERE = os.path.dirname(os.path.abspath(__file__))
TRIP = b"touch longshore-tripwire"
ALL = {}


def add(name, data, *words, runs=False, harmless=False):
    assert name not in ALL and (words or harmless)
    ALL[name] = None if harmless else list(words)
    path = os.path.join(HERE, name + ".pkl")
    with open(path, "wb") as f:
        f.write(data)
    if runs:
        with tempfile.TemporaryDirectory() as folder:
            code = "import sys, joblib; joblib.load(sys.argv[1])"
            subprocess.run([sys.executable, "-c", code, path], cwd=folder, capture_output=True)
            assert os.path.exists(os.path.join(folder, "longshore-tripwire")), name + " did not run"


def u(text):
    """SHORT_BINUNICODE or BINUNICODE."""
    raw = text if isinstance(text, bytes) else text.encode()
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else b"X" + struct.pack("<I", len(raw)) + raw


def by(raw):
    return b"B" + struct.pack("<I", len(raw)) + raw


def i(n):
    return b"J" + struct.pack("<i", n) if abs(n) < 2**31 else b"\x8a\x08" + struct.pack("<q", n)


def name(module, attr):
    return u(module) + u(attr) + b"\x93"


def tup(*items):
    return b"(" + b"".join(items) + b"t"


def call(function, *args):
    return function + tup(*args) + b"R"


P4 = b"\x80\x04"
COMMAND = u(TRIP)

# --- code execution, through every opcode that can ---------------------------------------------------
add("run-os-system", b"cos\nsystem\n(S'" + TRIP + b"'\ntR.", "os.system", "nothing in it was executed", runs=True)
add("run-posix-system", b"\x80\x02cposix\nsystem\nU\x18" + TRIP + b"\x85R.", "posix.system", runs=True)
add("run-nt-system", P4 + call(name("nt", "system"), COMMAND) + b".", "nt.system")
add("run-stack-global", P4 + call(name("os", "system"), COMMAND) + b".", "byte 43", "os.system", runs=True)
add("run-popen", P4 + call(name("subprocess", "Popen"), b"]" + u("touch") + b"a" + u("longshore-tripwire") + b"a") + b".",
    "subprocess.Popen", runs=True)
add("run-newobj", P4 + name("subprocess", "Popen") + tup(COMMAND) + b"\x81.", "subprocess.Popen")
add("run-newobj-ex", P4 + name("subprocess", "Popen") + tup(COMMAND) + b"}\x92.", "subprocess.Popen")
add("run-copyreg-newobj", P4 + call(name("copyreg", "__newobj__"), name("subprocess", "Popen"), COMMAND) + b".", "subprocess.Popen")
add("run-reconstructor", P4 + call(name("copyreg", "_reconstructor"), name("subprocess", "Popen"), name("builtins", "object"), b"N")
    + b".", "subprocess.Popen")
EVAL = u(b"__import__('os').system('" + TRIP + b"')")
add("run-eval", P4 + call(name("builtins", "eval"), EVAL) + b".", "builtins.eval", runs=True)
add("run-exec", P4 + call(name("builtins", "exec"), EVAL) + b".", "builtins.exec", runs=True)
add("run-python2-eval", b"c__builtin__\neval\n(V__import__('os').system('" + TRIP + b"')\ntR.", "__builtin__.eval", runs=True)
add("run-getattr-chain", P4 + call(call(name("builtins", "getattr"), call(name("builtins", "__import__"), u("os")), u("system")), COMMAND)
    + b".", "builtins.__import__", runs=True)
add("run-getattr", P4 + call(call(name("builtins", "getattr"), name("os", "path"), u("os")), COMMAND) + b".", "builtins.getattr")
add("run-result-of-a-call", P4 + call(call(name("functools", "partial"), name("os", "system"), COMMAND)) + b".",
    "the name of a class or a function", "functools.partial", runs=True)
add("run-dotted-name", P4 + call(name("logging", "os.system"), COMMAND) + b".", "logging.os.system", runs=True)
add("run-dotted-dunder", P4 + call(name("logging", "Logger.__init__.__globals__.get"), u("x")) + b".", "__globals__")
add("run-map", P4 + call(name("builtins", "list"), call(name("builtins", "map"), name("os", "system"), b"]" + COMMAND + b"a")) + b".",
    "builtins.map", runs=True)
add("run-inst", b"(S'" + TRIP + b"'\nios\nsystem\n.", "INST", runs=True)
add("run-obj", b"(cos\nsystem\nS'" + TRIP + b"'\no.", "OBJ", runs=True)
add("run-setstate", P4 + name("argparse", "Namespace") + b")\x81}" + u("__setstate__") + name("os", "system") + b"sb" + COMMAND + b"b.",
    "one state for an instance", runs=True)
add("run-pickle-loads", P4 + call(name("pickle", "loads"), by(b"cos\nsystem\n(S'" + TRIP + b"'\ntR.")) + b".", "pickle.loads", runs=True)
add("run-importlib", P4 + call(name("importlib", "import_module"), u("antigravity")) + b".", "importlib.import_module")
add("run-runpy", P4 + call(name("runpy", "run_path"), u("/tmp/x.py")) + b".", "runpy.run_path")
add("run-ctypes", P4 + call(name("ctypes", "CDLL"), u("libc.so.6")) + b".", "ctypes.CDLL")
add("run-webbrowser", P4 + call(name("webbrowser", "open"), u("http://localhost")) + b".", "webbrowser.open")
add("run-socket", P4 + call(name("socket", "create_connection"), tup(u("localhost"), i(1))) + b".", "socket.create_connection")
add("run-shutil", P4 + call(name("shutil", "rmtree"), u("longshore-nowhere")) + b".", "shutil.rmtree")
add("run-open", P4 + call(name("builtins", "open"), u("longshore-tripwire"), u("w")) + b".", "builtins.open", runs=True)
add("run-io-open", P4 + call(name("io", "open"), u("longshore-tripwire"), u("w")) + b".", "io.open", runs=True)
add("run-attrgetter", P4 + call(name("operator", "attrgetter"), u("system")) + b".", "operator.attrgetter")
add("run-compile", P4 + call(name("builtins", "compile"), u("1"), u("x"), u("eval")) + b".", "builtins.compile")
add("run-breakpoint", P4 + call(name("builtins", "breakpoint")) + b".", "builtins.breakpoint")
add("run-in-memoised-names", P4 + u("os") + b"\x94" + u("system") + b"\x94\x93\x940h\x00h\x01\x93" + tup(COMMAND) + b"R.", "os.system", runs=True)
add("run-in-zlib", zlib.compress(b"cos\nsystem\n(S'" + TRIP + b"'\ntR."), "zlib-compressed", "os.system", runs=True)


def wrapper(shape, dtype, order="C", align=b"N", extra=b""):
    attrs = {"subclass": name("numpy", "ndarray"), "shape": shape, "order": u(order), "dtype": dtype, "allow_mmap": b"\x89"}
    if align is not None:
        attrs["numpy_array_alignment_bytes"] = align
    state = b"}(" + b"".join(u(k) + v for k, v in attrs.items()) + extra + b"u"
    return name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81" + state + b"b"


def dtype(text, order="<", subdtype=b"N", names=b"N", fields=b"N", size=-1, version=3):
    made = name("numpy", "dtype") + tup(u(text), b"\x89", b"\x88") + b"R"
    return made + tup(i(version), u(order), subdtype, names, fields, i(size), i(-1), i(63 if text[:1] == "O" else 0)) + b"b"


def ndarray(shape, dt, data, fortran=b"\x89"):
    made = name("numpy.core.multiarray", "_reconstruct") + tup(name("numpy", "ndarray"), tup(i(0)), by(b"b")) + b"R"
    return made + tup(i(1), shape, dt, fortran, data) + b"b"


RUN = b"cos\nsystem\n(S'" + TRIP + b"'\ntR"
OBJ = dtype("O8", "|")
add("run-in-nested-stream", P4 + wrapper(tup(i(1)), OBJ) + P4 + RUN + b"..", "os.system", runs=True)
add("run-in-array-dtype", P4 + ndarray(tup(i(1)), RUN, by(b"x")) + b".", "os.system", runs=True)
add("run-in-array-shape", P4 + ndarray(RUN, dtype("f8"), by(b"x")) + b".", "os.system", runs=True)
add("run-in-object-array", P4 + ndarray(tup(i(1)), OBJ, b"]" + RUN + b"a") + b".", "os.system", runs=True)

# --- what refers outside of the file ----------------------------------------------------------------
for op, arg, word in [(b"\x82", b"\x01", "EXT1"), (b"\x83", b"\x01\x00", "EXT2"), (b"\x84", b"\x01\x00\x00\x00", "EXT4")]:
    add("outside-" + word.lower(), P4 + op + arg + b".", "byte 2", word, "extension codes")
add("outside-persid", b"Pid-1\n.", "PERSID", "persistent id")
add("outside-binpersid", P4 + u("id") + b"Q.", "BINPERSID", "persistent id")
add("outside-next-buffer", b"\x80\x05\x97.", "NEXT_BUFFER", "outside of the file")
add("outside-readonly-buffer", b"\x80\x05" + by(b"") + b"\x98.", "READONLY_BUFFER")
add("outside-ndarraywrapper", P4 + name("joblib.numpy_pickle", "NDArrayWrapper") + b")\x81}" + u("filename") + u("m.pkl_01.npy") + b"sb.",
    "joblib before 0.10")
add("outside-zndarraywrapper", P4 + name("joblib.numpy_pickle_compat", "ZNDArrayWrapper") + b")\x81.", "joblib before 0.10")

# --- declared lengths -------------------------------------------------------------------------------
ENDS = "the file ends here"
for label, data in {
    "short-binunicode": b"\x8c\xffab", "binunicode": b"X\xff\xff\xff\xffab", "binunicode8": b"\x8d" + b"\xff" * 8 + b"ab",
    "binunicode8-signed": b"\x8d" + struct.pack("<q", 2**63 - 1) + b"ab", "short-binbytes": b"C\xffab", "binbytes": b"B\xff\xff\xff\xffab",
    "binbytes8": b"\x8e" + b"\xff" * 8, "bytearray8": b"\x96" + struct.pack("<Q", 2**40), "short-binstring": b"U\xffab",
    "binstring": b"T\xff\xff\xff\x7fab", "long1": b"\x8a\xffab", "frame": b"\x95" + struct.pack("<Q", 2**62),
    "binint": b"J\x01\x02", "binfloat": b"G\x01\x02", "frame-length": b"\x95\x01", "proto": b"\x80\x04\x80", "binget": b"Nh",
}.items():  # fmt: skip
    add("length-" + label, (b"" if label == "proto" else P4) + data, ENDS)
add("length-nothing", P4, ENDS, "STOP")
add("length-no-stop", P4 + b"N", ENDS, "STOP")
add("length-binstring-negative", P4 + b"T\xff\xff\xff\xff.", "BINSTRING", "a length, found -1")
add("length-long4-negative", P4 + b"\x8b\xff\xff\xff\xff.", "LONG4", "a length, found -1")
add("length-long4-huge", P4 + b"\x8b\xff\xff\xff\x7f.", "an integer's length", "at most 1024")
add("length-long4-2000", P4 + b"\x8b" + struct.pack("<i", 2000) + b"x" * 2000 + b".", "an integer's length is 2000")
add("length-long-digits", b"L" + b"9" * 5000 + b"L\n.", "an integer's length")
add("length-int-digits", b"I" + b"9" * 5000 + b"\n.", "an integer's length")
for label, data in {"int": b"I12", "string": b"S'ab'", "unicode": b"Vab", "global": b"cos", "put": b"Np1", "get": b"g0"}.items():
    add("line-" + label, data, "a line that ends")

# --- the stack, the marks and the memo --------------------------------------------------------------
POPS = {
    "append": b"a", "build": b"b", "reduce": b"R", "setitem": b"s", "pop": b"0", "dup": b"2", "tuple1": b"\x85", "tuple2": b"\x86",
    "tuple3": b"\x87", "newobj": b"\x81", "newobj-ex": b"\x92", "stack-global": b"\x93", "put": b"p0\n", "binput": b"q\x00",
    "long-binput": b"r\x00\x00\x00\x00", "memoize": b"\x94", "stop": b"",
}  # fmt: skip
for label, op in POPS.items():
    add("underflow-" + label, P4 + op + b".", "a value on the stack, found an empty stack")
for label, op in {"append": b"a", "setitem": b"s", "reduce": b"R", "build": b"b", "tuple2": b"\x86", "dup": b"2", "stop": b""}.items():
    add("underflow-mark-" + label, P4 + b"NN(" + op + b".", "found a MARK")
for label, op in {"tuple": b"t", "list": b"l", "dict": b"d", "appends": b"e", "setitems": b"u", "additems": b"\x90", "frozenset": b"\x91",
                  "pop-mark": b"1"}.items():  # fmt: skip
    add("no-mark-" + label, P4 + b"]" + op + b".", "a MARK on the stack, found none")
for label, op in {"appends": b"e", "setitems": b"u", "additems": b"\x90"}.items():
    add("no-target-" + label, P4 + b"(NN" + op + b".", "an empty stack")
add("leftovers", P4 + b"NNN.", "one value on the stack", "2 more")
add("memo-get", b"g7\n.", "GET", "number 7, which was not")
add("memo-binget", P4 + b"h\x07.", "BINGET", "number 7")
add("memo-long-binget", P4 + b"j\xff\xff\xff\xff.", "LONG_BINGET", "number 4294967295")
add("memo-negative", b"Np-1\n.", "PUT", "a memo number, found -1")
add("memo-words", b"Npx\n.", "PUT", "a memo number, found x")
add("type-append-to-int", P4 + b"K\x01Na.", "APPEND", "a list, found int 1")
add("type-setitem-on-list", P4 + b"]NNs.", "SETITEM", "a dict, found list of 0")
add("type-additems-on-list", P4 + b"](N\x90.", "ADDITEMS", "a set")
add("type-build-on-list", P4 + b"]}b.", "BUILD", "an instance to give a state to, found list of 0")
add("type-build-on-name", P4 + name("a", "b") + b"}b.", "BUILD", "the name a.b")
add("type-reduce-text", P4 + u("os.system") + b")R.", "the name of a class or a function, found str 'os.system'")
add("type-reduce-args", P4 + name("a", "b") + b"]R.", "a tuple of arguments, found list")
add("type-newobj-ex-kwargs", P4 + name("a", "b") + b"))\x92.", "a dict of arguments")
add("type-stack-global", P4 + b"K\x01K\x02\x93.", "STACK_GLOBAL", "a string, found int")
add("type-odd-setitems", P4 + b"}(NNNu.", "pairs of keys and values, found 3 items")
add("type-odd-dict", P4 + b"(Nd.", "pairs of keys and values")

# --- text -------------------------------------------------------------------------------------------
add("text-utf8", P4 + b"\x8c\x03a\xff\xfe.", "text in UTF-8", "after 1 bytes")
add("text-surrogate", P4 + u("\ud800".encode("utf-8", "surrogatepass")) + b".", "text in UTF-8")
add("text-global-utf8", b"c\xff\xff\nx\n.", "text in UTF-8")
add("text-escape", b"Vab\\u12\n.", "raw-unicode-escape")
add("text-escape-surrogate", b"V\\ud800\n.", "surrogate")
add("text-string-quotes", b"Sab\n.", "text in quotes")
add("text-string-escape", b"S'\\xzz'\n.", "hexadecimal")
add("text-float", b"Fnine\n.", "a decimal number, found nine")
add("text-int", b"I1x\n.", "a decimal integer, found 1x")
add("text-control-characters", P4 + call(name("a\n\x1b[31mb", "c" * 1000), b"N") + b"(N\x90.", "a\\n\\u{1b}[31mb", "…")
add("opcode-unknown", P4 + b"N\xee.", "byte 3", "0xee")
add("protocol-9", b"\x80\x09N.", "a pickle protocol from 0 to 5, found 9")

add("text-long-module", P4 + name("m" * 1025, "x") + b".", "the length of a name is 1025; at most 1024")
add("text-long-name", P4 + name("m", "x." * 1000) + b".", "the length of a name is 2000")
add("text-long-global", b"cos\n" + b"y" * 5000 + b"\n.", "the length of a name is 5000")

# --- numpy ------------------------------------------------------------------------------------------
F8 = dtype("f8")
BIG = i(2**62)
add("array-shape-huge", P4 + ndarray(tup(i(1000000), i(1000000)), F8, by(b"\0" * 8)) + b".", "data that fit the shape", "(1000000, 1000000)")
add("array-shape-overflow", P4 + ndarray(tup(BIG, BIG), F8, by(b"\0" * 8)) + b".", "more elements than can be counted")
add("array-bytes-overflow", P4 + ndarray(tup(i(2**61 + 1)), F8, by(b"\0" * 8)) + b".", "more bytes than can be counted")
add("array-shape-negative", P4 + ndarray(tup(i(-1)), F8, by(b"\0" * 8)) + b".", "dimensions that are not negative, found int -1")
add("array-shape-float", P4 + ndarray(tup(b"G" + struct.pack(">d", 2.0)), F8, by(b"\0" * 8)) + b".", "dimensions", "float 2")
add("array-shape-none", P4 + ndarray(b"N", F8, by(b"\0" * 8)) + b".", "a shape, found None")
add("array-empty-huge", P4 + ndarray(tup(i(0), BIG), F8, by(b"")) + b".", "not credible")
add("array-rank", P4 + ndarray(tup(*[i(1)] * 65), F8, by(b"\0" * 8)) + b".", "the rank of a numpy array is 65; at most 64")
add("array-too-short", P4 + ndarray(tup(i(2)), F8, by(b"\0" * 15)) + b".", "15 bytes of data for shape (2,)")
add("array-too-long", P4 + ndarray(tup(i(2)), F8, by(b"\0" * 17)) + b".", "17 bytes of data for shape (2,)")
add("array-no-dtype", P4 + ndarray(tup(i(1)), u("f8"), by(b"\0" * 8)) + b".", "a numpy dtype, found str 'f8'")
add("array-no-bytes", P4 + ndarray(tup(i(1)), F8, b"]") + b".", "bytes, found list of 0")
add("array-state-short", P4 + name("numpy.core.multiarray", "_reconstruct") + tup(name("numpy", "ndarray"), tup(i(0)), by(b"b"))
    + b"R" + tup(i(1)) + b"b.", "a tuple of 5")
add("array-objects-in-bytes", P4 + ndarray(tup(i(1)), OBJ, by(b"\0" * 8)) + b".", "a list of objects")
add("array-objects-too-few", P4 + ndarray(tup(i(3)), OBJ, b"]Na") + b".", "3 objects", "1 objects")
add("array-objects-appended", P4 + tup(b"]\x94Na0" + ndarray(tup(i(1)), OBJ, b"h\x00"), b"h\x00Na") + b".", "1 objects")
add("array-item-0", P4 + ndarray(tup(i(2**40)), dtype("V0", "|", size=0), by(b"")) + b".", "elements of 0 bytes")
add("array-frombuffer-order", P4 + call(name("numpy.core.numeric", "_frombuffer"), by(b"\0" * 8), F8, tup(i(1)), u("X")) + b".", "the order C, F or K")
add("array-frombuffer-axes", P4 + call(name("numpy.core.numeric", "_frombuffer"), by(b"\0" * 8), F8, tup(i(1), i(1)), u("K"), tup(i(0), i(0))) + b".",
    "axes (0, 0)")
add("array-frombuffer-args", P4 + call(name("numpy.core.numeric", "_frombuffer"), by(b"\0" * 8)) + b".", "data, dtype, shape and order")
add("scalar-short", P4 + call(name("numpy.core.multiarray", "scalar"), F8, by(b"\0" * 7)) + b".", "the bytes of one element")
add("scalar-object", P4 + call(name("numpy.core.multiarray", "scalar"), OBJ, by(b"\0" * 8)) + b".", "a dtype without objects")
for text in ["q8", "f7", "i3", "b2", "U-1", "", "f8,f8", "U99999999999999999999", "\xff8"]:
    label = "dtype-text-%d" % len([n for n in ALL if n.startswith("dtype-text")])
    add(label, P4 + dtype(text) + b".", "a dtype such as 'f8'")
add("dtype-order", P4 + dtype("f8", "x") + b".", "a byte order", "str 'x'")
add("dtype-order-none", P4 + dtype("f8", "|") + b".", "a byte order that fits")
add("dtype-version", P4 + dtype("f8", version=99) + b".", "version 3 or 4, found int 99")
add("dtype-state", P4 + name("numpy", "dtype") + tup(u("f8")) + b"RNb.", "a tuple of 8 or 9, found None")
add("dtype-item-huge", P4 + dtype("U999999999") + b".", "one element of a numpy array", "at most 1048576 bytes")
add("dtype-item-state-huge", P4 + dtype("V8", "|", size=2**30) + b".", "one element of a numpy array")
add("dtype-item-negative", P4 + dtype("V8", "|", size=-8) + b".", "the bytes of one element, found int -8")
add("dtype-item-broken", P4 + dtype("U2", "<", size=7) + b".", "the bytes of one element, found int 7")


def fields(*named):
    return b"}(" + b"".join(u(n) + tup(d, i(o)) for n, d, o in named) + b"u"


def record(size, *named, **more):
    names = more.get("names") or [n for n, _, _ in named]
    return dtype("V%d" % size, "|", names=tup(*map(u, names)), fields=fields(*named), size=size)


add("dtype-field-outside", P4 + record(16, ("a", F8, 9)) + b".", "fields within the record", "offset 9 of a record of 16")
add("dtype-field-negative", P4 + record(16, ("a", F8, -8)) + b".", "an offset within the record, found int -8")
add("dtype-field-overflow", P4 + record(16, ("a", F8, 2**63 - 1)) + b".", "fields within the record")
add("dtype-field-unnamed", P4 + record(16, ("a", F8, 0), names=["a", "b"]) + b".", "every name among the fields")
add("dtype-field-shrunk", P4 + dtype("V16", "|", names=tup(u("a")), fields=fields(("a", F8, 8)), size=4) + b".", "fields within the record")
add("dtype-fields-many", P4 + record(8, *[("f%d" % n, dtype("u1", "|"), 0) for n in range(300)]) + b".", "the number of fields")
add("dtype-fields-on-float", P4 + dtype("f8", names=tup(u("a")), fields=fields(("a", F8, 0))) + b".", "no fields in a plain dtype")
add("dtype-fields-none", P4 + dtype("V8", "|", names=tup(u("a")), size=8) + b".", "a dict of fields")
add("dtype-subarray", P4 + dtype("V8", "|", subdtype=tup(OBJ, tup(i(1))), size=8) + b".", "a sub-array of numbers or text")

# --- joblib -----------------------------------------------------------------------------------------
add("joblib-shape-huge", P4 + wrapper(tup(i(10**9), i(10)), F8) + b"\0" * 64, "array data needs 80000000000 more bytes")
add("joblib-shape-overflow", P4 + wrapper(tup(BIG, BIG), F8) + b"\0" * 64, "more elements than can be counted")
add("joblib-shape-negative", P4 + wrapper(tup(i(-5)), F8) + b"\0" * 64, "dimensions that are not negative")
add("joblib-order", P4 + wrapper(tup(i(1)), F8, order="Z") + b"\0" * 64, "the order C or F, found str 'Z'")
add("joblib-dtype", P4 + wrapper(tup(i(1)), u("f8")) + b"\0" * 64, "a numpy dtype, found str 'f8'")
add("joblib-attributes", P4 + name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}b.", "the attributes shape, order and dtype")
add("joblib-state", P4 + name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81Nb.", "a dict of attributes")
add("joblib-attributes-many", P4 + wrapper(tup(i(1)), F8, extra=b"".join(u("a%d" % n) + b"N" for n in range(40))) + b"\0" * 64,
    "the attributes of an array, found dict of 46")
add("joblib-padding", P4 + wrapper(tup(i(1)), F8, align=i(16)) + b"\xff\xff\xff", "the padding before array data")
add("joblib-no-padding", P4 + wrapper(tup(i(1)), F8, align=i(16)), "the padding before array data")
add("joblib-nested-nothing", P4 + wrapper(tup(i(1)), OBJ), ENDS)
add("joblib-nested-int", P4 + wrapper(tup(i(1)), OBJ) + P4 + b"K\x01..", "the pickle of an object array, found int 1")
add("joblib-nested-wrapper", P4 + wrapper(tup(i(1)), OBJ) + P4 + wrapper(tup(i(1)), OBJ) + P4 + b"N...", "a plain pickle")
add("joblib-nested-deep", P4 + (wrapper(tup(i(1)), OBJ) + P4) * 100 + b"N.", "a plain pickle")
add("joblib-nested-stack", P4 + b"N" + wrapper(tup(i(1)), OBJ) + P4 + b"0.", "an empty stack")

# --- what is small in the file and large in memory --------------------------------------------------
MEMORY = "the memory that the values of this file take"
encode = name("_codecs", "encode") + b"\x94" + tup(u("\xe9" * 2000), u("latin1")) + b"\x94]"
add("bomb-encode", P4 + encode + b"h\x00h\x01Ra" * 1500 + b".", MEMORY)
sets = name("builtins", "set") + b"\x94]" + b"(" + b"N" * 2000 + b"e\x85\x94]"
add("bomb-sets", P4 + sets + b"h\x00h\x01Ra" * 1500 + b".", MEMORY)
newobj = name("copyreg", "__newobj__") + b"\x94" + tup(name("a", "b"), b"N" * 2000) + b"\x94]"
add("bomb-newobj", P4 + newobj + b"h\x00h\x01Ra" * 1500 + b".", MEMORY)
made = name("numpy", "dtype") + tup(u("V8")) + b"R"
state = tup(i(3), u("|"), b"N", tup(*[u("f%d" % n) for n in range(250)]), b"}(" + b"".join(
    u("f%d" % n) + b"h\x00" for n in range(250)) + b"u", i(8), i(1), i(0))  # fmt: skip
add("bomb-dtypes", P4 + tup(dtype("u1", "|"), i(0)) + b"\x94" + state + b"\x94" + made + b"h\x01b" * 1500 + b".", MEMORY)
ZEROS = b"\x80\x04" + b"\x8e" + struct.pack("<Q", 16 << 20) + b"\0" * (16 << 20) + b"."
add("bomb-zlib", zlib.compress(ZEROS, 9), "the zlib file of", "expands to more than 16777216")
add("bomb-gzip", gzip.compress(ZEROS, 9, mtime=0), "the gzip file of", "expands to more than")
add("bomb-gzip-members", gzip.compress(b"\x80\x04N" + b"N0" * 500000, 9, mtime=0) * 24, "the gzip file of", "expands to more than")
add("bomb-bz2", bz2.compress(ZEROS, 9), "the bzip2 file of", "expands to more than")
add("bomb-lzma", lzma.compress(ZEROS, format=lzma.FORMAT_ALONE), "the lzma file of", "expands to more than")
add("bomb-xz", lzma.compress(ZEROS, format=lzma.FORMAT_XZ), "the xz file of", "expands to more than")
add("bomb-lz4", lz4.frame.compress(ZEROS, compression_level=9, store_size=False), "the lz4 file of", "expands to more than")
alone = lzma.compress(b"\x80\x04N.", format=lzma.FORMAT_ALONE)
add("bomb-lzma-dictionary", alone[:1] + b"\0\0\0\xf0" + alone[5:], "cannot decompress the lzma file", "memory")
xz = lzma.compress(b"\x80\x04N.", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 3 << 29}])
add("bomb-xz-dictionary", xz, "cannot decompress the xz file", "memory")
add("bomb-frozen-marks", zlib.compress(P4 + b"(" * 1000000 + b"."), "found a MARK")
for label, packed in {"zlib": zlib.compress(b"\x80\x04N."), "gzip": gzip.compress(b"\x80\x04N.", mtime=0), "bzip2": bz2.compress(b"\x80\x04N."),
                      "lzma": alone, "xz": lzma.compress(b"\x80\x04N."), "lz4": lz4.frame.compress(b"\x80\x04N.")}.items():  # fmt: skip
    # An lz4 frame that ends after a block looks like one that goes on later: the pickle notices.
    words = [ENDS, "lz4-compressed"] if label == "lz4" else ["cannot decompress the %s file" % label]
    add("broken-%s-cut" % label, packed[: len(packed) * 2 // 3], *words)
    flipped = bytearray(packed)
    flipped[len(packed) * 2 // 3] ^= 0x55
    if label not in ("lzma", "lz4"):  # which have no checksum there
        add("broken-%s-flip" % label, bytes(flipped), "cannot decompress the %s file" % label)
add("broken-zlib-twice", zlib.compress(zlib.compress(b"\x80\x04N.")), "begins no pickle")

# --- other files ------------------------------------------------------------------------------------
add("foreign-empty", b"", "no pickle", "empty")
add("foreign-zip", b"PK\x03\x04rest", "zip archive")
add("foreign-hdf5", b"\x89HDF\r\n\x1a\n", "HDF5")
add("foreign-npy", b"\x93NUMPY\x01\x00", ".npy")
add("foreign-lfs", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer")
add("foreign-json", b'{"a": 1}', "JSON")
add("foreign-old-joblib", b"ZF0x123            ", "joblib before 0.10")
add("foreign-html", b"<!DOCTYPE html>", "0x3c, which begins no pickle")

# --- harmless by design: read, and quickly ----------------------------------------------------------
laugh = P4 + b"]\x94(" + u("ha") * 10 + b"e"
for level in range(40):
    laugh += b"0]\x94(" + (b"h" + bytes([level])) * 10 + b"e"
add("harmless-billion-laughs", laugh + b".", harmless=True)
laugh = P4 + u("ha") + b"\x94"
for level in range(60):
    laugh += b"0(" + (b"h" + bytes([level])) * 10 + b"t\x94"
add("harmless-billion-tuples", laugh + b".", harmless=True)
add("harmless-cycle-list", P4 + b"]\x94h\x00a.", harmless=True)
add("harmless-cycle-dict", P4 + b"}\x94" + u("me") + b"h\x00s.", harmless=True)
add("harmless-cycle-tuple", P4 + b"]\x94h\x00\x85a.", harmless=True)
add("harmless-cycle-state", P4 + name("mine", "Thing") + b")\x81\x94}" + u("me") + b"h\x00sb.", harmless=True)
add("harmless-cycle-state-is-self", P4 + name("mine", "Thing") + b")\x81\x94h\x00b.", harmless=True)
made = name("numpy.core.multiarray", "_reconstruct") + tup(name("numpy", "ndarray"), tup(i(0)), by(b"b")) + b"R\x94"
add("harmless-cycle-array", P4 + made + tup(i(1), b")", OBJ, b"\x89", b"]h\x00a") + b"b.", harmless=True)
add("harmless-deep-lists", zlib.compress(P4 + b"]" * 1000000 + b"a" * 999999 + b".", 9), harmless=True)
add("harmless-deep-tuples", zlib.compress(P4 + b")" + b"\x85" * 1000000 + b".", 9), harmless=True)
add("harmless-deep-dicts", zlib.compress(P4 + b"}N" * 1000000 + b"}" + b"s" * 1000000 + b".", 9), harmless=True)
huge = b"](" + u("long " * 400000) + b"\x94" + b"h\x00" * 1000000 + b"e"
add("harmless-long-string-often", zlib.compress(P4 + huge + b".", 9), harmless=True)
add("harmless-memo-sparse", P4 + b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.", harmless=True)
add("harmless-name-of-os-system", P4 + name("os", "system") + b".", harmless=True)
add("harmless-partial-of-os-system", P4 + call(name("functools", "partial"), name("os", "system")) + b".", harmless=True)
add("harmless-fields-overlap", P4 + ndarray(tup(i(1)), record(8, ("a", F8, 0), ("b", F8, 0)), by(b"\0" * 8)) + b".", harmless=True)
add("harmless-after-stop", P4 + b"N." + RUN + b".", harmless=True)

with open(os.path.join(HERE, "hostile.json"), "w", encoding="utf-8") as f:
    json.dump(ALL, f, indent=1, sort_keys=True, ensure_ascii=False)
    f.write("\n")
print(len(ALL), "files", sum(os.path.getsize(os.path.join(HERE, n + ".pkl")) for n in ALL), "bytes")
