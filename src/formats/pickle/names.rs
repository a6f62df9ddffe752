//! Names of classes and functions that mean something to the reader.

/// A name whose call is resolved while reading, or that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// `numpy.dtype(text, …)`.
    DType,
    /// `numpy.core.multiarray._reconstruct(class, (0,), b'b')`, an array before its state.
    Reconstruct,
    /// `numpy.core.numeric._frombuffer(buffer, dtype, shape, order)`, an array of protocol 5.
    FromBuffer,
    /// `numpy.core.multiarray.scalar(dtype, bytes)`.
    Scalar,
    /// `_codecs.encode(text, 'latin1')`: how protocols 0 to 2 write bytes.
    Encode,
    /// `copyreg._reconstructor(class, object, None)`: how protocols 0 and 1 write instances.
    Reconstructor,
    /// `copyreg.__newobj__(class, *args)`.
    NewObj,
    /// `copyreg.__newobj_ex__(class, args, kwargs)`.
    NewObjEx,
    /// `bytearray(bytes)`, or `bytearray(text, 'latin-1')`.
    ByteArray,
    /// `bytes()`: how protocols 0 to 2 write no bytes.
    Bytes,
    /// `set([…])` and `frozenset([…])`.
    Set,
    /// joblib's stand-in for an array whose bytes follow.
    ArrayWrapper,
    /// The one before joblib 0.10, whose bytes lie in other files.
    OldArrayWrapper,
}

impl Known {
    /// What the name means, if anything.
    pub(super) fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("numpy", "dtype") => Self::DType,
            // numpy 2 renamed `core`, and old names live on in old files.
            ("numpy.core.multiarray" | "numpy._core.multiarray" | "numpy.core._multiarray_umath", name) => {
                match name {
                    "_reconstruct" => Self::Reconstruct,
                    "scalar" => Self::Scalar,
                    _ => return None,
                }
            }
            ("numpy._core._multiarray_umath", "_reconstruct") => Self::Reconstruct,
            ("numpy._core._multiarray_umath", "scalar") => Self::Scalar,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("_codecs", "encode") => Self::Encode,
            ("copyreg" | "copy_reg", "_reconstructor") => Self::Reconstructor,
            ("copyreg" | "copy_reg", "__newobj__") => Self::NewObj,
            ("copyreg" | "copy_reg", "__newobj_ex__") => Self::NewObjEx,
            ("builtins" | "__builtin__", "bytearray") => Self::ByteArray,
            ("builtins" | "__builtin__", "bytes") => Self::Bytes,
            ("builtins" | "__builtin__", "set" | "frozenset") => Self::Set,
            // scikit-learn carried a copy of joblib until 0.21.
            ("joblib.numpy_pickle" | "sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper") => {
                Self::ArrayWrapper
            }
            (
                "joblib.numpy_pickle"
                | "joblib.numpy_pickle_compat"
                | "sklearn.externals.joblib.numpy_pickle"
                | "sklearn.externals.joblib.numpy_pickle_compat",
                "NDArrayWrapper" | "ZNDArrayWrapper",
            ) => Self::OldArrayWrapper,
            _ => return None,
        })
    }
}

/// Whether a pickle that calls this name is refused at once.
///
/// This is only politeness: it tells the owner of a file that the file is an
/// attack on Python. Safety does not rest on it but on the reader, which calls
/// nothing: a name that is missing from these tables is as inert as any other.
pub(super) fn is_dangerous(module: &str, name: &str) -> bool {
    let in_module = |module: &str| {
        let root = module.split('.').next().unwrap_or_default();
        MODULES.binary_search(&root).is_ok() || MODULES.binary_search(&module).is_ok()
    };
    if in_module(module) {
        return true;
    }
    // A dotted name walks from attribute to attribute: `joblib` `os.system`. No
    // class lies deep, and a long walk would cost more than the file paid for it.
    if name.bytes().filter(|&byte| byte == b'.').count() > 16 {
        return true;
    }
    let (path, last) = name.rsplit_once('.').unwrap_or(("", name));
    if path.split('.').any(|part| part.starts_with("__") || MODULES.binary_search(&part).is_ok()) {
        return true;
    }
    match module {
        "builtins" | "__builtin__" => {
            BUILTINS.binary_search(&path.split('.').next().filter(|p| !p.is_empty()).unwrap_or(last)).is_ok()
        }
        _ => FUNCTIONS.binary_search(&(module, last)).is_ok(),
    }
}

/// Modules, with all that is below those of one name, in order. Modules that real
/// models keep harmless values of (`inspect`, `platform`, `urllib.parse`) are not here.
const MODULES: &[&str] = &[
    "_ctypes",
    "_io",
    "_pickle",
    "_posixsubprocess",
    "_thread",
    "aifc",
    "asyncio",
    "atexit",
    "bdb",
    "cPickle",
    "cProfile",
    "code",
    "codeop",
    "commands",
    "ctypes",
    "dill",
    "distutils.file_util",
    "distutils.spawn",
    "doctest",
    "ensurepip",
    "ftplib",
    "gc",
    "http.client",
    "http.server",
    "imaplib",
    "imp",
    "importlib",
    "lib2to3",
    "marshal",
    "multiprocessing",
    "nt",
    "ntpath",
    "os",
    "pdb",
    "pickle",
    "pip",
    "pkgutil",
    "popen2",
    "posix",
    "posixpath",
    "profile",
    "pty",
    "pydoc",
    "requests",
    "runpy",
    "shelve",
    "shutil",
    "signal",
    "site",
    "smtplib",
    "socket",
    "socketserver",
    "subprocess",
    "sys",
    "telnetlib",
    "tempfile",
    "threading",
    "urllib.request",
    "webbrowser",
    "zipimport",
];

/// Functions of Python itself, in order.
const BUILTINS: &[&str] = &[
    "__build_class__",
    "__import__",
    "apply",
    "breakpoint",
    "compile",
    "delattr",
    "dir",
    "eval",
    "exec",
    "execfile",
    "exit",
    "file",
    "filter",
    "getattr",
    "globals",
    "hasattr",
    "help",
    "input",
    "locals",
    "map",
    "open",
    "quit",
    "setattr",
    "vars",
];

/// Functions of other modules, in order.
const FUNCTIONS: &[(&str, &str)] = &[
    ("_operator", "attrgetter"),
    ("_operator", "call"),
    ("_operator", "methodcaller"),
    ("codecs", "open"),
    ("io", "FileIO"),
    ("io", "open"),
    ("joblib", "load"),
    ("joblib.numpy_pickle", "load"),
    ("numpy", "load"),
    ("numpy.f2py", "compile"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.testing.utils", "runstring"),
    ("operator", "attrgetter"),
    ("operator", "call"),
    ("operator", "methodcaller"),
    ("pandas", "read_pickle"),
    ("pandas.core.computation.eval", "eval"),
    ("timeit", "repeat"),
    ("timeit", "timeit"),
    ("torch", "load"),
    ("torch.serialization", "load"),
    ("types", "FunctionType"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order() {
        assert!(MODULES.is_sorted() && BUILTINS.is_sorted() && FUNCTIONS.is_sorted());
    }

    #[test]
    fn attacks_are_named_and_models_are_not() {
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("nt", "system"),
            ("os.path", "join"),
            ("subprocess", "Popen"),
            ("builtins", "eval"),
            ("__builtin__", "getattr"),
            ("builtins", "getattr.__self__"),
            ("joblib", "os.system"),
            ("sklearn.base", "warnings.sys.modules"),
            ("sklearn.base", "BaseEstimator.__init__.__globals__.get"),
            ("operator", "attrgetter"),
            ("mine", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r"),
            ("pickle", "loads"),
            ("importlib", "import_module"),
        ] {
            assert!(is_dangerous(module, name), "{module}.{name}");
        }
        for (module, name) in [
            ("builtins", "slice"),
            ("builtins", "set"),
            ("builtins", "complex"),
            ("collections", "OrderedDict"),
            ("numpy", "dtype"),
            ("sklearn.svm._classes", "SVC"),
            ("sklearn._loss._loss", "__pyx_unpickle_CyHalfMultinomialLoss"),
            ("_loss", "__pyx_unpickle_CyHalfMultinomialLoss"),
            ("functools", "partial"),
            ("numpy.random._pickle", "__randomstate_ctor"),
            ("sklearn.neighbors._kd_tree", "newObj"),
            ("mine.models", "Outer.Inner"),
            ("oslo", "Thing"),
        ] {
            assert!(!is_dangerous(module, name), "{module}.{name}");
        }
    }
}
