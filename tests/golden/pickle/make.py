"""Writes the golden pickles and what each must read as.

    python make.py                     values and arrays, protocols 0 to 5, joblib in every compression
    python make.py older <tag>         the same values and arrays by an older Python and numpy, under that tag

The first needs Python 3.11, numpy 2.4, joblib 1.6, lz4 and scipy; the second anything from
Python 2.7 with numpy 1.16 on. `golden.json` and `golden-<tag>.json` hold `files`, the number of
the expectation of every pickle, and `expectations`, in which

    None, bool, str, int      are themselves
    {"int": "12"}             an int beyond 2^53 ({"bigint": ..} beyond 2^63, modulo 2^256)
    {"float": "3ff0000000000000"}  the bits of a double
    {"bytes": "00ff"}         bytes               {"dict": [[key, value], ...]}  in order
    [..] {"tuple": [..]}      lists and tuples    {"set": [..]}                  ordered by their JSON
    {"global": "mod.name"}    a class             {"dtype": "<f8"}
    {"object": "mod.name", "args": [..], "state": .., "items": [..], "entries": [..]}
    {"array": "<f8", "shape": [2, 3], "values": [..]}   values in C order; by field for records;
                              absent for complex numbers, dates and opaque bytes
"""
from __future__ import print_function

import collections
import functools
import io
import json
import os
import pickle
import struct
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
PY2 = sys.version_info[0] == 2


class Plain(object):
    def __init__(self):
        self.a = 1
        self.b = [1.5, None]


class Slotted(object):
    __slots__ = ("x", "__dict__")

    def __init__(self):
        self.x = 7
        self.y = 8


class WithArgs(object):
    def __new__(cls, first, **more):
        return object.__new__(cls)

    def __getnewargs_ex__(self):
        return (3,), {"k": "v"}


class ListLike(list):
    pass


class DictLike(dict):
    pass


# The names in the files are those of a module that nobody has.
for cls in (Plain, Slotted, WithArgs, ListLike, DictLike):
    cls.__module__ = "golden"
sys.modules["golden"] = sys.modules[__name__]


def bits(x):
    return "".join("%02x" % b for b in bytearray(struct.pack(">d", x)))


def hexed(b):
    return "".join("%02x" % c for c in bytearray(b))


def obj(name, args=(), state=None, items=(), entries=()):
    return {
        "object": name,
        "args": [expect(a) for a in args],
        "state": expect(state),
        "items": [expect(i) for i in items],
        "entries": [[expect(k), expect(v)] for k, v in entries],
    }


def array(a):
    # A scalar's dtype can be `<U0`, which no array has.
    out = {"array": dtype_str(a.dtype), "shape": list(a.shape)}
    a = np.asarray(a)
    if a.dtype.names:
        out["values"] = {n: array(a[n]) for n in a.dtype.names}
    elif a.dtype.kind == "b":
        out["values"] = [bool(v) for v in a.ravel(order="C")]
    elif a.dtype.kind in "iu":
        out["values"] = [str(int(v)) for v in a.ravel(order="C")]
    elif a.dtype.kind == "f" and a.dtype.itemsize <= 8:
        out["values"] = [bits(float(v)) for v in a.ravel(order="C")]
    elif a.dtype.kind == "U":
        out["values"] = [v for v in a.ravel(order="C").tolist()]
    elif a.dtype.kind == "S":
        out["values"] = [v.decode("utf-8") for v in a.ravel(order="C").tolist()]
    elif a.dtype.kind == "O":
        out["values"] = [expect(v) for v in a.ravel(order="C")]
    return out


def dtype_str(d):
    if d.names:
        return "|V%d (%s)" % (d.itemsize, ", ".join(d.names))
    if d.subdtype:
        return "|V%d" % d.itemsize
    if d.kind == "O":
        return "|O"
    if d.kind in "mM":
        return d.str[0] + "M8"
    return d.str


def expect(v):
    if v is None or v is True or v is False:
        return v
    if isinstance(v, (np.ndarray, np.generic)):
        return array(v)
    if isinstance(v, np.dtype):
        return {"dtype": dtype_str(v)}
    if PY2 and isinstance(v, str):
        return v if all(ord(c) < 128 for c in v) else {"bytes": hexed(v)}
    if isinstance(v, type(u"")):
        return v
    if isinstance(v, (bytes, bytearray)):
        return {"bytes": hexed(v)}
    if isinstance(v, float):
        return {"float": bits(v)}
    if isinstance(v, int) or type(v).__name__ == "long":
        if not -(2**63) <= v < 2**63:
            return {"bigint": "%064x" % (v % 2**256)}
        return int(v) if abs(v) < 2**53 else {"int": "%d" % v}
    if isinstance(v, Plain):
        return obj("golden.Plain", state={"a": 1, "b": [1.5, None]})
    if isinstance(v, Slotted):
        return obj("golden.Slotted", state=({"y": 8}, {"x": 7}))
    if isinstance(v, WithArgs):
        return obj("golden.WithArgs", args=(3,))
    if isinstance(v, ListLike):
        return obj("golden.ListLike", state={} if PY2 else None, items=list(v))
    if isinstance(v, DictLike):
        return obj("golden.DictLike", state={} if PY2 else None, entries=list(v.items()))
    if isinstance(v, collections.OrderedDict):
        if PY2:
            return obj("collections.OrderedDict", args=([list(i) for i in v.items()],))
        return obj("collections.OrderedDict", entries=list(v.items()))
    if isinstance(v, slice):
        return obj("builtins.slice", args=(v.start, v.stop, v.step))
    if isinstance(v, list):
        return [expect(i) for i in v]
    if isinstance(v, tuple):
        return {"tuple": [expect(i) for i in v]}
    if isinstance(v, (set, frozenset)):
        return {"set": sorted((expect(i) for i in v), key=json.dumps)}
    if isinstance(v, dict):
        return {"dict": [[expect(k), expect(w)] for k, w in v.items()]}
    if isinstance(v, type):
        return {"global": "%s.%s" % (v.__module__, v.__name__)}
    raise TypeError(type(v))


def values(protocol):
    shared = ["shared"]
    out = [
        None, True, False, 0, 1, 255, 256, 65535, 65536, 2**31 - 1, -1, -128, -(2**31), 2**31, 2**62, -(2**63),
        2**63, -(2**63) - 1, 2**127 + 5, -(2**200), 0.0, -0.0, 1.5, float("inf"), -float("inf"), 1e-310, 0.1,
        u"", u"plain", u"back\\slash \\u0041", u"line\nbreak\r\x1a\x00end", u"\xe9\xff\u0153\u20ac", u"\U0001f600",
        u"long " * 60, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [[]], [1, [2, [3]]], {}, {u"a": 1, u"b": {}},
        {1: (None,), (2, 3): 4}, shared, shared, (shared, shared), Plain, Plain(), ListLike([1, 2, 3]),
        DictLike({u"k": 1}), collections.OrderedDict([(u"z", 1), (u"a", 2)]), 
        tuple(range(300)), float,
    ]  # fmt: skip
    if protocol in (1, 4):  # more than the 1000 items that one APPENDS or SETITEMS takes
        out += [list(range(1100)), {i: -i for i in range(1001)}]
    if not PY2:
        out += [b"", b"raw \x00\xff\n", b"x" * 300, bytearray(b"mutable\xfe"), bytearray(), {1}, set(), {u"s"},
                frozenset([u"f"]), frozenset(), slice(1, None, 2)]  # fmt: skip
        if protocol >= 2:
            out += [Slotted()]
        if protocol >= 4:
            out += [WithArgs(3)]
    else:
        out += ["native", "caf\xc3\xa9", "quote ' \" \\ \n \x01"]
        out.remove(float)  # its module has another name
    return out


def record(rows, *dtype, **more):
    """A record array whose padding holds zeros, so that every run writes the same file."""
    out = np.zeros(np.shape(rows)[:1], dtype=np.dtype(*dtype, **more))
    out[:] = rows
    return out


def arrays():
    base = np.arange(6).reshape(2, 3)
    out = {}
    for d in ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]:
        for order in "<>":
            for layout in "CF":
                a = np.asarray((base % 2 if d == "b1" else base * 37 % 120), dtype=order + d, order=layout)
                if d[0] == "i":
                    a = np.asarray(-a, order=layout)
                out["%s%s %s" % (order, d, layout)] = a.astype(order + d, order=layout)
    out.update({
        "0-d": np.array(2.5), "empty": np.zeros((0, 4)), "one": np.array([7]), "4-d": np.arange(24.0).reshape(2, 3, 2, 2),
        "4-d F": np.asfortranarray(np.arange(24.0).reshape(2, 3, 2, 2)),
        "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
        "strided": np.arange(12.0)[::3], "special": np.array([np.inf, -np.inf, -0.0, 1e-310]),
        "u64 max": np.array([2**63 - 1], "u8"), "i64 min": np.array([-(2**63)], "i8"),
        "text": np.array([u"a", u"\xe9t\xe9", u"\U0001f600", u""]), "text >": np.array([u"ab", u"c"]).astype(">U2"),
        "text F": np.asfortranarray(np.array([[u"a", u"b"], [u"c", u"d"]])),
        "bytes": np.array([b"a", b"bcd", b""]), "void": np.array([b"ab", b"cd"], "V2"),
        "dates": np.array(["2020-01-01", "NaT"], "M8[D]"), "spans": np.array([1, 2], "m8[s]"),
        "record": np.array([(1, 2.5, 3), (4, 5.5, 6)], dtype=[("a", "i8"), ("b", "f8"), ("c", "u1")]),
        "record aligned": record([(1, 2.5), (4, 5.5)], [("a", "u1"), ("b", "f8")], align=True),
        "record gaps": record([(1, 2)], {"names": ["x", "y"], "formats": ["<i2", ">i4"], "offsets": [3, 9], "itemsize": 20}),
        "record F": np.asfortranarray(np.array([[(1, 2.5), (4, 5.5)], [(7, 8.5), (9, 9.5)]], dtype=[("a", "i4"), ("b", ">f8")])),
        "objects": np.array([u"one", u"two", None, 3], dtype=object),
        "objects F": np.asfortranarray(np.array([[u"a", u"b"], [u"c", u"d"]], dtype=object)),
        "objects in objects": np.array([[np.arange(3.0), u"x"]], dtype=object),
        "matrix": np.matrix([[1.0, 2.0]]), "recarray": np.rec.array([(1, 2.0)], dtype=[("a", "i8"), ("b", "f8")]),
        "scalar f8": np.float64(1.25), "scalar f4": np.float32(1.25), "scalar i8": np.int64(-5), "scalar b1": np.bool_(True),
        "scalar U": np.array([u"hey"])[0], "scalar S": np.array([b"hey"])[0], "scalar empty": np.array([u""])[0],
        "dtype": np.dtype("<f4"), "dtype >": np.dtype(">i2"), "dtype text": np.dtype("U7"), "class": np.float64,
    })  # fmt: skip
    if not PY2:
        out["shared"] = [out["one"], out["one"]]
    return out


FILES = {}
EXPECTATIONS = []


def save(name, data, value):
    with open(os.path.join(HERE, name + ".pkl"), "wb") as f:
        f.write(data)
    text = json.dumps(expect(value), sort_keys=True, separators=(",", ":"))
    if text not in EXPECTATIONS:
        EXPECTATIONS.append(text)
    FILES[name + ".pkl"] = EXPECTATIONS.index(text)


def save_expectations(name):
    with io.open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
        files = json.dumps(FILES, indent=1, sort_keys=True)
        f.write(u'{"files": %s,\n"expectations": [\n%s\n]}\n' % (files, u",\n".join(EXPECTATIONS)))


def libraries():
    """Values that stay objects: what other libraries make of arrays. Read by name in the tests."""
    import joblib
    import scipy.sparse

    dense = np.array([[0.0, 1.5, 0.0], [2.5, 0.0, 3.5]])
    value = {
        "csr": scipy.sparse.csr_matrix(dense), "csc": scipy.sparse.csc_array(dense),
        "masked": np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False]), "generator": np.random.RandomState(0),
        "partial": functools.partial(max, 1), "range": range(2, 9, 3), "complex": 1 + 2j,
    }  # fmt: skip
    for protocol in (2, 5):
        with open(os.path.join(HERE, "libraries-p%d.pkl" % protocol), "wb") as f:
            pickle.dump(value, f, protocol)
    joblib.dump(value, os.path.join(HERE, "libraries-joblib.pkl"), compress=("zlib", 9))


def main():
    if sys.argv[1:2] == ["older"]:
        tag = sys.argv[2]
        a = arrays()
        for protocol in (0, 2) if PY2 else (2, 4, 5):
            save("%s-arrays-p%d" % (tag, protocol), pickle.dumps(a, protocol), a)
        if PY2:
            v = values(2)
            save("%s-values-p2" % tag, pickle.dumps(v, 2), v)
        else:
            import joblib

            path = os.path.join(HERE, "%s-joblib.pkl" % tag)
            joblib.dump(a, path)
            with open(path, "rb") as f:
                save("%s-joblib" % tag, f.read(), a)
        save_expectations("golden-%s.json" % tag)
        return
    import joblib

    for protocol in range(6):
        v = values(protocol)
        save("values-p%d" % protocol, pickle.dumps(v, protocol), v)
        a = arrays()
        save("arrays-p%d" % protocol, pickle.dumps(a, protocol), a)
    a = arrays()
    for compress in [0, ("zlib", 3), ("gzip", 3), ("bz2", 9), ("lzma", 6), ("xz", 6), ("lz4", 3)]:
        name = "joblib" + ("" if compress == 0 else "-" + compress[0])
        path = os.path.join(HERE, name + ".pkl")
        joblib.dump(a, path, compress=compress)
        with open(path, "rb") as f:
            save(name, f.read(), a)
    save_expectations("golden.json")
    libraries()


if __name__ == "__main__":
    main()
