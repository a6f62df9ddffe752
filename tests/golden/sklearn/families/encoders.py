"""Encoders of categories: of text, of numbers and of both, with missing, unknown and rare ones."""

import numpy as np
import pandas as pd
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

NAN = float("nan")
COLOURS = ["red", "green", "blue", "red", "green", "red", "grey", "red", "naïve"]
SIZES = ["S", "M", "L", "M", "M", "S", "XL", "S", "M"]
COUNTS = [1.0, 2.5, 2.5, 1.0, 4.0, 1.0, 1.0, 2.5, -3.0]
TEXTS = np.array([COLOURS, SIZES], dtype=object).T
NUMBERS = np.array([COUNTS, [3, 3, 5, 7, 5, 3, 3, 5, 3]]).T
FRAME = pd.DataFrame({"colour": pd.Series(COLOURS, dtype=object), "count": COUNTS})
MISSING = np.array([["a", "b", "a", NAN, "c", NAN, "a"], ["x", "x", "y", "z", "y", "x", "x"]], dtype=object).T
NONE = np.array([["a", None, "b", "a"], ["x", "y", "y", "x"]], dtype=object).T
GAPS = np.array([[1.0, NAN, 2.0, 1.0, NAN], [0.0, 5.0, 5.0, 0.0, 0.0]]).T
NEW = np.array([["red", "M"], ["pink", "S"], ["green", "XXL"]], dtype=object)
BOTH = np.array([["Male", 1], ["Female", 3], ["Female", 2]], dtype=object)


def cases(case, version):
    dense = {"sparse_output" if version >= (1, 2) else "sparse": False}
    one_hot(case, version, dense)
    ordinal(case, version)


def one_hot(case, version, dense):
    unknown = [("transform", NEW[1:2]), ("transform", NEW[2:])]
    case("OneHotEncoder of texts", OneHotEncoder, TEXTS, core=True, refuses=unknown)
    case("OneHotEncoder of numbers", lambda: OneHotEncoder(**dense), NUMBERS, core=True)
    case("OneHotEncoder of unicode", OneHotEncoder, np.array(TEXTS, dtype=str), ask=TEXTS[:4])
    case("OneHotEncoder of integers", lambda: OneHotEncoder(dtype=int), NUMBERS[:, 1:].astype(int), core=True)
    case("OneHotEncoder of booleans", OneHotEncoder, NUMBERS[:, 1:] > 3)
    if version >= (1, 0):  # 0.24 kept no names
        case("OneHotEncoder of a frame", lambda: OneHotEncoder(handle_unknown="ignore"), FRAME, core=True)
    case("OneHotEncoder ignoring", lambda: OneHotEncoder(handle_unknown="ignore", **dense), TEXTS, ask=NEW, core=True)
    case("OneHotEncoder of numbers ignoring", lambda: OneHotEncoder(handle_unknown="ignore"), NUMBERS,
         ask=np.array([[1.0, 3.0], [9.0, 5.0]]), inverse=np.array([[0.0, 1, 0, 0, 0, 0, 1]]))
    case("OneHotEncoder of missing texts", OneHotEncoder, MISSING, core=True)
    case("OneHotEncoder of None", OneHotEncoder, NONE)
    case("OneHotEncoder of missing numbers", OneHotEncoder, GAPS, core=True)
    case("OneHotEncoder of text and numbers", OneHotEncoder, BOTH, core=True)
    case("OneHotEncoder of given categories", lambda: OneHotEncoder(categories=[["red", "pink"], ["L", "M", "S"]],
         handle_unknown="ignore"), TEXTS, ask=NEW)
    case("OneHotEncoder dropping first", lambda: OneHotEncoder(drop="first"), TEXTS, core=True)
    case("OneHotEncoder dropping of pairs", lambda: OneHotEncoder(drop="if_binary"), GAPS[[0, 2, 3]], core=True)
    case("OneHotEncoder dropping these", lambda: OneHotEncoder(drop=["blue", "M"]), TEXTS)
    case("OneHotEncoder dropping the only one", lambda: OneHotEncoder(drop="first"), TEXTS[[0, 3]])
    case("OneHotEncoder dropping and ignoring", lambda: OneHotEncoder(drop="first", handle_unknown="ignore"), TEXTS, ask=NEW)
    case("OneHotEncoder of the frequent", lambda: OneHotEncoder(min_frequency=2), TEXTS, core=True)
    case("OneHotEncoder of the most frequent", lambda: OneHotEncoder(max_categories=2,
         handle_unknown="infrequent_if_exist", **dense), TEXTS, ask=NEW, core=True)
    case("OneHotEncoder of frequent numbers", lambda: OneHotEncoder(min_frequency=0.2, handle_unknown="ignore"), NUMBERS,
         ask=np.array([[1.0, 3.0], [9.0, 5.0]]))
    case("OneHotEncoder of the frequent ignoring", lambda: OneHotEncoder(min_frequency=3, handle_unknown="ignore"), TEXTS, ask=NEW)
    case("OneHotEncoder of some frequent", lambda: OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist"),
         np.array([["a", "a", "b", "c"], ["x", "x", "y", "y"]], dtype=object).T,
         ask=np.array([["b", "y"], ["d", "z"]], dtype=object))
    case("OneHotEncoder of the frequent dropping", lambda: OneHotEncoder(min_frequency=2, drop="first"), TEXTS)
    case("OneHotEncoder of the frequent dropping these", lambda: OneHotEncoder(max_categories=3, drop=["red", "S"],
         handle_unknown="infrequent_if_exist"), TEXTS, ask=NEW, core=True)
    case("OneHotEncoder warning", lambda: OneHotEncoder(max_categories=3, handle_unknown="warn"), TEXTS, ask=NEW)


def ordinal(case, version):
    case("OrdinalEncoder of texts", OrdinalEncoder, TEXTS, core=True, refuses=[("transform", NEW[1:2])])
    case("OrdinalEncoder of numbers", OrdinalEncoder, NUMBERS, core=True)
    case("OrdinalEncoder of integers", lambda: OrdinalEncoder(dtype=np.int32), TEXTS, core=True)
    if version >= (1, 0):
        case("OrdinalEncoder of a frame", OrdinalEncoder, FRAME, core=True)
    case("OrdinalEncoder of given categories", lambda: OrdinalEncoder(categories=[["grey", "red", "green", "blue", "naïve"],
         ["S", "M", "L", "XL"]]), TEXTS)
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    case("OrdinalEncoder of unknown", lambda: OrdinalEncoder(**unknown), TEXTS, ask=NEW, core=True)
    case("OrdinalEncoder of unknown numbers", lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=NAN),
         NUMBERS, ask=np.array([[1.0, 3.0], [9.0, 5.0]]))
    if version >= (1, 0):
        case("OrdinalEncoder of missing texts", OrdinalEncoder, MISSING, core=True)
        case("OrdinalEncoder of missing numbers", OrdinalEncoder, GAPS, core=True)
        case("OrdinalEncoder of missing and unknown", lambda: OrdinalEncoder(**unknown), MISSING,
             ask=np.array([["a", "x"], [NAN, "y"], ["q", "z"]], dtype=object))
    case("OrdinalEncoder of encoded missing", lambda: OrdinalEncoder(encoded_missing_value=-7, dtype=int), MISSING, core=True)
    case("OrdinalEncoder of the frequent", lambda: OrdinalEncoder(min_frequency=2), TEXTS, core=True)
    case("OrdinalEncoder of the most frequent", lambda: OrdinalEncoder(max_categories=2, **unknown), TEXTS, ask=NEW)
    case("OrdinalEncoder of frequent numbers", lambda: OrdinalEncoder(max_categories=2), NUMBERS)
    case("OrdinalEncoder of the frequent and missing", lambda: OrdinalEncoder(max_categories=2, encoded_missing_value=-1,
         **{**unknown, "unknown_value": -2}), MISSING, inverse=np.array([[0.0, 0.0], [-2.0, 1.0], [2.0, 1.0]]))
