"""SavedModels made at test time, and what TensorFlow itself answers with them."""

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

ROOT = Path(__file__).resolve().parents[2]
# The server's library: of the wheel that the tests themselves use, unless another is chosen.
LIBRARY = Path(
    os.environ.get("LONGSHORE_TENSORFLOW_LIBRARY")
    or Path(importlib.util.find_spec("tensorflow").origin).parent / "libtensorflow_cc.so.2"
)
# TensorFlow Serving's own test models, where somebody has them.
TESTDATA = Path(os.environ.get("LONGSHORE_TESTDATA", ROOT.parent / "shared" / "testdata"))

RNG = np.random.default_rng(11)


def floats(*shape) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@dataclass
class Case:
    """A model, and requests: signature and inputs. `rows`: whether the first dimension is the batch."""

    model: object
    asked: list
    rows: bool = True
    signatures: dict = field(default_factory=dict)

    def save(self, folder: Path):
        if isinstance(self.model, keras.Model) and not self.signatures:
            self.model.export(str(folder), verbose=False)
        else:
            tf.saved_model.save(self.model, str(folder), signatures=self.signatures or self.model.serve)


def module(function, signature, **attributes) -> tf.Module:
    made = tf.Module()
    for name, value in attributes.items():
        setattr(made, name, value)
    made.serve = tf.function(function, input_signature=signature)
    return made


def mlp():
    inputs = keras.Input((6,), name="features")
    hidden = keras.layers.Dense(16, activation="relu")(inputs)
    hidden = keras.layers.BatchNormalization()(hidden)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden))
    # Moving means that are not those of a new layer.
    model.layers[2].set_weights([floats(16), floats(16), floats(16), np.abs(floats(16)) + 0.1])
    return Case(model, [("", {"features": floats(n, 6)}) for n in (1, 5, 32)])


def cnn():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 12, 2), name="image"),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
        ]
    )
    return Case(model, [("", {"image": floats(n, 12, 12, 2)}) for n in (1, 4)])


def lstm():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="tokens"),
            layers.Embedding(30, 8),
            layers.Bidirectional(layers.LSTM(6)),
            layers.Dense(2),
        ]
    )
    asked = [("", {"tokens": RNG.integers(0, 30, size=(n, length)).astype(np.int32)}) for n, length in [(1, 3), (4, 9)]]
    return Case(model, asked)


def attention():
    layers = keras.layers
    inputs = keras.Input((7, 8), name="sequence")
    attended = layers.MultiHeadAttention(num_heads=2, key_dim=4)(inputs, inputs)
    normal = layers.LayerNormalization()(layers.Add()([inputs, attended]))
    model = keras.Model(inputs, layers.Dense(4)(layers.Flatten()(normal)))
    return Case(model, [("", {"sequence": floats(n, 7, 8)}) for n in (1, 3)])


def two_inputs_two_outputs():
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    both = keras.layers.Concatenate()([left, right])
    outputs = {"sum": keras.layers.Dense(1)(both), "more": keras.layers.Dense(4, activation="tanh")(both)}
    model = keras.Model({"left": left, "right": right}, outputs)
    return Case(model, [("", {"left": floats(4, 3), "right": floats(4, 2)})])


def two_signatures():
    spec = tf.TensorSpec([None, 2], tf.float32, name="x")
    model = tf.Module()
    model.weight = tf.Variable(floats(2, 3))
    model.project = tf.function(lambda x: {"projected": x @ model.weight}, input_signature=[spec])
    model.norm = tf.function(lambda x: {"norm": tf.norm(x @ model.weight, axis=1)}, input_signature=[spec])
    x = floats(5, 2)
    signatures = {"serving_default": model.project, "norm": model.norm}
    return Case(model, [("", {"x": x}), ("norm", {"x": x})], signatures=signatures)


def strings():
    """Short strings and long ones: TensorFlow keeps them in different ways."""
    spec = tf.TensorSpec([None], tf.string, name="text")

    def serve(text):
        upper = tf.strings.upper(text)
        return {"upper": upper, "joined": tf.strings.join([text, upper], "|"), "bytes": tf.strings.length(text)}

    text = np.array([b"", b"a", b"x" * 22, b"y" * 23, "größe".encode(), b"\x00\xff", b"z" * 5000], dtype=object)
    return Case(module(serve, [spec]), [("", {"text": text}), ("", {"text": text[:1]})])


def lookup(folder: Path):
    words = folder / "words.txt"
    words.write_text("alpha\nbeta\ngamma\n")
    initializer = tf.lookup.TextFileInitializer(
        str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    table = tf.lookup.StaticHashTable(initializer, -1)
    spec = tf.TensorSpec([None], tf.string, name="word")
    model = module(lambda word: {"id": table.lookup(word)}, [spec], table=table)
    return Case(model, [("", {"word": np.array([b"beta", b"alpha", b"nothing"], dtype=object)})])


def keras_lookup():
    inputs = keras.Input((1,), dtype="string", name="word")
    ids = keras.layers.StringLookup(vocabulary=["x", "y", "z"])(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Embedding(5, 2)(ids)))
    return Case(model, [("", {"word": np.array([[b"y"], [b"other"]], dtype=object)})])


def defaults():
    specs = [tf.TensorSpec([None], tf.float32, name="x"), tf.TensorSpec([1], tf.float32, name="scale")]

    def serve(x, scale=tf.constant([2.5])):
        return {"y": x * scale}

    asked = [("", {"x": floats(3), "scale": floats(1)})]
    return Case(module(serve, specs), asked, rows=False)


NUMBERS = ["float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64"]
NUMBERS += ["uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128"]


def dtypes():
    """Each dtype there and back, in every shape: a scalar, nothing, much."""
    model, signatures, asked = tf.Module(), {}, []
    for name in [*NUMBERS, "string"]:
        dtype = tf.as_dtype(name)
        spec = tf.TensorSpec(None, dtype, name="value")
        # A copy, so that the answer is not the tensor that was fed.
        function = tf.function(lambda value: {"same": tf.stack([value, value])[0]}, input_signature=[spec])
        setattr(model, name, function)
        signatures[name] = function
        for shape in [(), (0,), (3,), (2, 0, 2), (2, 3)]:
            if name == "string":
                value = np.array([b"some text %d" % i for i in range(int(np.prod(shape)))], dtype=object).reshape(shape)
            elif name == "bool":
                value = RNG.integers(0, 2, size=shape).astype(bool)
            else:
                value = np.asarray(RNG.integers(0, 100, size=shape)).astype(dtype.as_numpy_dtype)
            asked.append((name, {"value": value}))
    signatures["serving_default"] = signatures["float32"]
    return Case(model, asked, rows=False, signatures=signatures)


def examples():
    """Signatures for Classify and Regress, as estimators had them."""
    spec = tf.TensorSpec([None], tf.string, name="inputs")
    model = tf.Module()
    model.weight = tf.Variable([[1.0, -1.0, 0.5], [0.25, 2.0, -3.0]])
    names = tf.constant([b"low", b"mid", b"high"])

    def parsed(inputs):
        return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([2], tf.float32)})["x"]

    def classify(inputs):
        scores = tf.nn.softmax(parsed(inputs) @ model.weight)
        return {"classes": tf.tile(names[None], [tf.shape(scores)[0], 1]), "scores": scores}

    model.classify = tf.function(classify, input_signature=[spec])
    model.regress = tf.function(lambda inputs: {"outputs": tf.reduce_sum(parsed(inputs), 1)}, input_signature=[spec])
    model.narrow = tf.function(lambda inputs: {"outputs": parsed(inputs)}, input_signature=[spec])
    signatures = {"serving_default": model.classify, "regress": model.regress, "narrow": model.narrow}
    return Case(model, [], signatures=signatures)


def failing():
    """Runs that fail, with several of TensorFlow's codes."""
    spec = tf.TensorSpec([None, 2], tf.float32, name="x")
    model = tf.Module()
    model.weight = tf.Variable(floats(2, 2))

    def checked(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 100.0, message="too much")]):
            return {"y": x @ model.weight}

    def unready(x):
        table = tf.raw_ops.AnonymousHashTable(key_dtype=tf.int64, value_dtype=tf.int64)
        keys = tf.cast(x, tf.int64)
        ids = tf.raw_ops.LookupTableFindV2(table_handle=table, keys=keys, default_value=tf.constant(0, tf.int64))
        return {"y": ids}

    model.checked = tf.function(checked, input_signature=[spec])
    model.unready = tf.function(unready, input_signature=[spec])
    return Case(model, [], signatures={"serving_default": model.checked, "unready": model.unready})


def remembering():
    """A table that requests write to: what it keeps has to outlive them."""
    table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, default_value=-1)
    keys, values = tf.TensorSpec([None], tf.string, name="keys"), tf.TensorSpec([None], tf.int64, name="values")
    model = tf.Module()
    model.table = table

    def put(keys, values):
        with tf.control_dependencies([table.insert(keys, values)]):
            return {"size": table.size()}

    model.put = tf.function(put, input_signature=[keys, values])
    model.get = tf.function(lambda keys: {"values": table.lookup(keys)}, input_signature=[keys])
    model.all = tf.function(lambda: dict(zip(["keys", "values"], table.export(), strict=True)), input_signature=[])
    return Case(model, [], signatures={"serving_default": model.get, "put": model.put, "all": model.all})


def old_style(folder: Path):
    """A model of TensorFlow 1: ref variables, collections, and no signature called serving_default."""
    graph = tf.Graph()
    v1 = tf.compat.v1
    with graph.as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        weight = v1.get_variable("weight", initializer=[[2.0], [3.0]], use_resource=False)
        y = tf.matmul(x, weight, name="y")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def({"x": info(x)}, {"y": info(y)}, "own/method")
        builder.add_meta_graph_and_variables(session, ["serve", "cpu"], {"only": signature})
        builder.save()


def expected(folder: Path, signature: str, inputs: dict) -> dict:
    """TensorFlow's own answer."""
    loaded = LOADED.setdefault(folder, tf.saved_model.load(str(folder)) if folder not in LOADED else None)
    function = loaded.signatures[signature or "serving_default"]
    return {name: value.numpy() for name, value in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()}


LOADED: dict = {}
