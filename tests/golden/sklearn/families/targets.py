"""Encoders of targets, and of categories by their targets."""

import numpy as np
from sklearn.preprocessing import LabelBinarizer, LabelEncoder, MultiLabelBinarizer

try:
    from sklearn.preprocessing import TargetEncoder  # since 1.3
except ImportError:
    TargetEncoder = None

rng = np.random.RandomState(3)
TEXTS = ["red", "green", "blue", "green", "naïve", "red"]
NUMBERS = np.array([3.0, -1.0, 3.0, 7.0, 2.5])
INTEGERS = np.array([3, -1, 3, 7])
PAIR = ["no", "yes", "no", "yes"]
INDICATORS = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]])
COLOURS = np.array([["a", "b", "c"][i] for i in rng.randint(3, size=40)], dtype=object)
TABLE = np.array([COLOURS, np.where(rng.uniform(size=40) < 0.5, "x", "y")], dtype=object).T
COUNTS = np.array([rng.randint(4, size=40), rng.randint(2, size=40)], dtype=float).T
NEW = np.array([["a", "x"], ["q", "y"], ["c", "z"]], dtype=object)


def cases(case, version):
    case("LabelEncoder of texts", LabelEncoder, TEXTS, core=True,
         refuses=[("transform", ["pink"])] if version < (1, 3) else ())  # later ones show numpy's types
    case("LabelEncoder of integers", LabelEncoder, INTEGERS, core=True)
    case("LabelEncoder of floats", LabelEncoder, NUMBERS)
    case("LabelBinarizer of texts", LabelBinarizer, TEXTS, core=True, ask=["green", "pink", "red"])
    case("LabelBinarizer of integers", LabelBinarizer, INTEGERS, core=True)
    case("LabelBinarizer of two", LabelBinarizer, PAIR, core=True)
    case("LabelBinarizer of one", LabelBinarizer, ["only", "only"])
    case("LabelBinarizer of other numbers", lambda: LabelBinarizer(neg_label=-1, pos_label=2), TEXTS)
    case("LabelBinarizer up to 0", lambda: LabelBinarizer(neg_label=-2, pos_label=0), PAIR)
    case("LabelBinarizer sparse", lambda: LabelBinarizer(sparse_output=True), TEXTS)
    case("LabelBinarizer of indicators", LabelBinarizer, INDICATORS, methods=("transform", "inverse_transform"))
    case("MultiLabelBinarizer", MultiLabelBinarizer, [["a", "b"], ["c"], []], core=True,
         methods=("transform", "inverse_transform"), ask=[["b", "b", "q"], [], ["c", "a"]],
         refuses=[("inverse_transform", np.array([[0, 1, 2], [0, 0, 1]]))])
    case("MultiLabelBinarizer of integers", MultiLabelBinarizer, [[1, 5], [2], []], methods=("transform", "inverse_transform"), ask=[[5, 9], [2, 1]])
    case("MultiLabelBinarizer sparse", lambda: MultiLabelBinarizer(classes=["z", "a"], sparse_output=True), [["a", "z"], ["a"]],
         methods=("transform", "inverse_transform"))
    if TargetEncoder:
        continuous = rng.normal(size=40)
        three = np.array(["u", "v", "w"], dtype=object)[rng.randint(3, size=40)]
        case("TargetEncoder", TargetEncoder, TABLE, continuous, ask=NEW, core=True)
        case("TargetEncoder of two classes", TargetEncoder, TABLE, rng.randint(2, size=40), ask=NEW, core=True)
        case("TargetEncoder of three classes", TargetEncoder, TABLE, three, ask=NEW, core=True)
        case("TargetEncoder of numbers", lambda: TargetEncoder(smooth=2.0), COUNTS, continuous, ask=np.array([[1.0, 0.0], [9.0, 1.0]]))
