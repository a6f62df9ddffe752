"""Writes SavedModels with TensorFlow and keeps their `saved_model.pb`: seeds for the fuzz
target `saved_model`, and graphs as TensorFlow writes them for the judge of operations.

Made with tensorflow-cpu 2.21.0 and keras 3.15.1:

    python tests/golden/saved_model/make.py fuzz/corpus/saved_model

Files named `refused_…` touch files when they are asked or loaded; the others do not. Names
of nodes and sizes may differ from run to run, what they are judged as may not.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

SPEC = tf.TensorSpec([None, 2], tf.float32, name="x")
TEXT = tf.TensorSpec([None], tf.string, name="text")


def module(function, signature, **attributes):
    """A module with one traced function."""
    made = tf.Module()
    for name, value in attributes.items():
        setattr(made, name, value)
    made.serve = tf.function(function, input_signature=signature)
    return made


def vocabulary(folder: Path, lines=("a", "b", "c")) -> str:
    path = folder / "vocabulary.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def table(path: str):
    initializer = tf.lookup.TextFileInitializer(
        path,
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    return tf.lookup.StaticHashTable(initializer, -1)


def old_style(folder: Path, out: Path):
    """A model of TensorFlow 1, with a table that is filled from an asset."""
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session() as session:
        text = tf.compat.v1.placeholder(tf.string, [None], name="text")
        weight = tf.compat.v1.get_variable("weight", initializer=2)
        found = table(vocabulary(folder)).lookup(text)
        answer = tf.identity(found * tf.cast(weight, tf.int64), name="answer")
        session.run([tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()])
        tf.compat.v1.saved_model.simple_save(
            session, str(out), {"text": text}, {"answer": answer}, tf.compat.v1.tables_initializer()
        )


def models(folder: Path):
    """Name and how it is written."""
    weight = tf.Variable([[1.0], [2.0]])
    yield "linear", module(lambda x: {"y": x @ weight}, [SPEC], weight=weight)

    lookup = table(vocabulary(folder))
    yield "table_from_asset", module(lambda text: {"id": lookup.lookup(text)}, [TEXT], lookup=lookup)

    names = tf.Variable(["a", "b"])
    yield "text_variable", module(lambda x: {"names": names[: tf.shape(x)[0]]}, [SPEC], names=names)

    yield "print", module(lambda x: (tf.print(x), {"y": x})[1], [SPEC])
    loop = module(
        lambda x: {"y": tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), (0, x))[1]}, [SPEC]
    )
    yield "loop", loop
    parse = module(
        lambda text: {"outputs": tf.io.parse_example(text, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]},
        [TEXT],
    )
    yield "parse_example", parse

    inputs = keras.Input((4,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(3, activation="relu")(inputs))
    yield "keras_mlp", keras.Model(inputs, keras.layers.Dense(1)(hidden))
    inputs = keras.Input((1,), dtype="string")
    ids = keras.layers.StringLookup(vocabulary=["x", "y"])(inputs)
    yield "keras_lookup", keras.Model(inputs, keras.layers.Flatten()(keras.layers.Embedding(4, 2)(ids)))

    yield "refused_read_file", module(lambda text: {"content": tf.map_fn(tf.io.read_file, text)}, [TEXT])
    write = module(lambda text: (tf.io.write_file("/tmp/x", text[0]), {"y": text})[1], [TEXT])
    yield "refused_write_file", write
    yield "refused_print_to_file", module(lambda x: (tf.print(x, output_stream="file:///tmp/x"), {"y": x})[1], [SPEC])
    listed = module(lambda text: {"files": tf.io.matching_files(text)}, [TEXT])
    yield "refused_matching_files", listed

    def count(text):
        lines = tf.data.TextLineDataset(text)
        return {"lines": tf.reshape(lines.reduce(tf.constant(0), lambda n, _: n + 1), [1])}

    yield "refused_dataset", module(count, [TEXT])
    two = table(vocabulary(folder))
    mixed = module(lambda text: {"id": two.lookup(text), "n": tf.strings.length(tf.io.read_file(text[0]))}, [TEXT], two=two)
    yield "refused_table_and_file", mixed


def main(out: Path):
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        made = Path(made)
        for name, model in models(made):
            folder = made / name
            if isinstance(model, keras.Model):
                model.export(str(folder), verbose=False)
            else:
                tf.saved_model.save(model, str(folder), signatures=model.serve)
            (out / f"{name}.pb").write_bytes((folder / "saved_model.pb").read_bytes())
        old_style(made, made / "old_style")
        (out / "old_style.pb").write_bytes((made / "old_style" / "saved_model.pb").read_bytes())
    print(sum(path.stat().st_size for path in out.glob("*.pb")), "bytes")


main(Path(sys.argv[1]))
