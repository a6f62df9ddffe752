"""Makes models for Classify and Regress, examples as TensorFlow serializes them, and
what scikit-learn answers to the numbers in them.

Run with scikit-learn 1.9.1, joblib 1.6.0, pandas 3.1.1 and tensorflow 2.21.0:
python make.py
With --corpus FOLDER it also writes the examples as seeds for the fuzz target.
"""

import base64
import io
import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import sklearn
import tensorflow as tf
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

here = Path(__file__).parent
random = np.random.default_rng(20)


def floats(*values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def ints(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(**features) -> bytes:
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def saved(model) -> str:
    file = io.BytesIO()
    joblib.dump(model, file)
    return text(file.getvalue())


def case(model, x, examples, context=b""):
    """`x` is what the examples, each with the context, say in double precision."""
    made = {"file": saved(model), "examples": [text(e) for e in examples], "context": text(context)}
    if hasattr(model, "predict_proba"):
        made["labels"] = [str(label) for label in model.classes_.tolist()]
        made["scores"] = model.predict_proba(x).tolist()
    elif hasattr(model, "classes_"):
        made["labels"] = [str(label) for label in model.predict(x).tolist()]
    else:
        made["values"] = np.asarray(model.predict(x)).ravel().tolist()
    return made


def single(x):
    """The numbers that a float list carries."""
    return x.astype(np.float32).astype(np.float64)


X = random.normal(size=(90, 3))
THREE = np.digitize(X @ [1.0, -2.0, 0.5] + random.normal(size=90) * 0.3, [-1.0, 1.0])
WORDS = np.array(["low", "mittel", "höher"])[THREE]
ASKED = single(random.normal(size=(5, 3)))
rows = [example(inputs=floats(*row)) for row in ASKED]

FRAME = pd.DataFrame(
    {"age": random.uniform(0, 90, 80), "rooms": random.integers(1, 9, 80).astype(float), "größe": random.normal(size=80)}
)
PRICE = FRAME["age"] * -0.5 + FRAME["rooms"] * 20 + FRAME["größe"] * 3 + random.normal(size=80)
ASKED_FRAME = pd.DataFrame(
    {"age": single(random.uniform(0, 90, 4)), "rooms": [3.0, 1.0, 5.0, 2.0], "größe": single(random.normal(size=4))}
)
by_name = [
    example(age=floats(row.age), rooms=ints(int(row.rooms)), größe=floats(row.größe))
    for row in ASKED_FRAME.itertuples(index=False)
]
# The context says 3 rooms; the last example knows better.
SHARED = ASKED_FRAME.assign(rooms=[3.0, 3.0, 3.0, 7.0])
with_context = [example(age=floats(row.age), größe=floats(row.größe)) for row in SHARED.itertuples(index=False)]
with_context[3] = example(age=floats(SHARED.age[3]), größe=floats(SHARED.größe[3]), rooms=floats(7.0))

expensive = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, PRICE > PRICE.median())
ridge = Ridge().fit(FRAME, PRICE)
cases = {
    "words": case(LogisticRegression().fit(X, WORDS), ASKED, rows),
    "two": case(LogisticRegression().fit(X, (THREE > 0).astype(int)), ASKED, rows),
    "no_probabilities": case(LinearSVC().fit(X, THREE - 1.0), ASKED, rows),
    "frame": case(expensive, ASKED_FRAME, by_name),
    "frame_context": case(expensive, SHARED, with_context, example(rooms=ints(3))),
    "frame_rows": case(expensive, ASKED_FRAME, [example(inputs=floats(*row)) for row in ASKED_FRAME.to_numpy()]),
    "ridge": case(ridge, ASKED_FRAME, by_name),
    "ridge_context": case(ridge, SHARED, with_context, example(rooms=ints(3))),
    "one_column_target": case(LinearRegression().fit(X, (X @ [1.0, 2.0, 3.0]).reshape(-1, 1)), ASKED, rows),
}
provenance = {"scikit-learn": sklearn.__version__, "tensorflow": tf.__version__}
golden = {"provenance": provenance, "cases": cases}
(here / "golden.json").write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")

if "--corpus" in sys.argv:
    corpus = Path(sys.argv[sys.argv.index("--corpus") + 1])
    corpus.mkdir(parents=True, exist_ok=True)
    words = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a", b"", "é".encode()]))
    seeds = {
        "row": rows[0],
        "by_name": by_name[0],
        "merged": example(rooms=ints(3)) + with_context[3],
        "every_kind": example(f=floats(1.0, -2.5), i=ints(-1, 2**62), b=words, none=tf.train.Feature()),
        "empty_lists": example(f=floats(), i=ints()),
    }
    for name, data in seeds.items():
        (corpus / name).write_bytes(data)
