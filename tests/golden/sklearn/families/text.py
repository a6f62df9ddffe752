"""Text vectorisers, alone and before linear models, and vectorisers of records."""

import numpy as np
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier, SGDClassifier, SGDRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, Normalizer, StandardScaler
from sklearn.svm import LinearSVC

TEXTS = [
    "The ship sails out to sea, and the sea is calm.",
    "A calm harbour: no ship sails today!",
    "Storm at sea -- the ship's crew is worried",
    "Café au lait in the harbour café, naïve prices",
    "ÜBER die See, über das Meer; Straße ans Meer",
    "   spaces\t\tand\n\nlines \u00a0 everywhere   ",
    "",
    "x y z 1 22 333 test_case ½ x² 日本語 हिन्दी",
]
LABELS = ["good", "good", "bad", "good", "neither", "bad", "neither", "bad"]
VALUES = np.array([1.5, 2.0, -1.0, 0.5, 3.0, -0.5, 0.0, 1.0])
ASK = ["The SEA is calm, the harbour is calm", "ΜΕΓΑΣ storm über naïve cafe\u0301 ΣΑΣ", "", "unseen words only",
       "a b", "İstanbul test_case 22 22 22  x²", "1\u001c2 \u2003 sea\u2028sails"]
COUNTS = np.array([[3, 0, 1], [0, 2, 0], [1, 1, 1], [0, 0, 0]], dtype=float)
RECORDS = [{"city": "Oslo", "rooms": 3, "new": True}, {"city": "Bergen", "rooms": 2.5}, {"rooms": 1, "tags": ["a", "b"]}]
ASKED = [{"city": "Oslo", "rooms": 7}, {"city": "Paris", "tags": ["b", "c", "b"]}, {}, {"rooms": -0.5, "new": False}]
ONLY = ("transform",)
BOTH = ("transform", "inverse_transform")


def cases(case, version):
    count = {
        "": {}, " of bigrams": {"ngram_range": (1, 2)}, " of two and three": {"ngram_range": (2, 3)},
        " of letters": {"analyzer": "char", "ngram_range": (1, 3)}, " of words' letters": {"analyzer": "char_wb", "ngram_range": (2, 4)},
        " of long words' letters": {"analyzer": "char_wb", "ngram_range": (6, 7)},
        " binary": {"binary": True}, " without stop words": {"stop_words": "english"},
        " without these": {"stop_words": ["sea", "the", "ship"]}, " in cases": {"lowercase": False},
        " without accents": {"strip_accents": "unicode"}, " of ASCII": {"strip_accents": "ascii"},
        " of all words": {"token_pattern": r"(?u)\b\w+\b"}, " of long words": {"token_pattern": r"\b\w\w\w+\b"},
        " of Latin words": {"token_pattern": r"[a-zA-Z'-]+"}, " of a group": {"token_pattern": r"\b(\w)\w*"},
        " of what is no digit": {"token_pattern": r"[^\W\d]+(?=\W|$)"}, " of spaces": {"token_pattern": r"\S+"},
        " of a vocabulary": {"vocabulary": ["sea", "ship", "calm"]}, " of floats": {"dtype": np.float64},
        " of some": {"max_features": 5, "min_df": 1},
    }
    core = {"", " of bigrams", " of words' letters", " without stop words", " without accents"}
    for name, how in count.items():
        case("CountVectorizer" + name, lambda: CountVectorizer(**how), TEXTS, ask=ASK, methods=BOTH, core=name in core)
    for name, how in {
        "": {}, " sublinear": {"sublinear_tf": True}, " of l1": {"norm": "l1"}, " unnormed": {"norm": None, "smooth_idf": False},
        " without idf": {"use_idf": False}, " of bigrams": {"ngram_range": (1, 2), "binary": True},
    }.items():
        case("TfidfVectorizer" + name, lambda: TfidfVectorizer(**how), TEXTS, ask=ASK, methods=BOTH, core=name in ("", " sublinear"))
    case("TfidfVectorizer single", lambda: TfidfVectorizer(dtype=np.float32, sublinear_tf=True), TEXTS, ask=ASK, methods=BOTH,
         tolerance=3e-7)
    case("TfidfTransformer", TfidfTransformer, COUNTS, core=True)
    case("TfidfTransformer of counts", lambda: make_pipeline(CountVectorizer(), TfidfTransformer(norm="l1", sublinear_tf=True)),
         TEXTS, ask=ASK, methods=ONLY, core=True)
    for name, how in {
        "": {}, " signless": {"alternate_sign": False, "norm": "l1"}, " binary": {"binary": True, "norm": None},
        " of letters": {"analyzer": "char_wb", "ngram_range": (2, 3)},
    }.items():
        case("HashingVectorizer" + name, lambda: HashingVectorizer(n_features=37, **how), TEXTS, ask=ASK, methods=ONLY, core=not name)
    models(case)
    records(case)
    case("an inverse through a scaler", lambda: make_pipeline(CountVectorizer(), MaxAbsScaler()), TEXTS, ask=ASK, methods=BOTH)


def models(case):
    tfidf = lambda: TfidfVectorizer(ngram_range=(1, 2))
    for name, model, y in [
        ("LogisticRegression", LogisticRegression(), LABELS),
        ("SGDClassifier", SGDClassifier(loss="modified_huber", random_state=0), LABELS),
        ("LinearSVC", LinearSVC(random_state=0), LABELS),
        ("RidgeClassifier", RidgeClassifier(), LABELS),
        ("Ridge", Ridge(), VALUES),
        ("SGDRegressor", SGDRegressor(random_state=0), VALUES),
    ]:
        case(f"text before {name}", lambda: make_pipeline(tfidf(), model), TEXTS, y, ask=ASK, core=name in ("LogisticRegression", "Ridge"))
    hashed = lambda: HashingVectorizer(n_features=2**12)
    case("hashed text before LogisticRegression", lambda: make_pipeline(hashed(), LogisticRegression()), TEXTS,
         [label == "good" for label in LABELS], ask=ASK)
    for scaler in (MaxAbsScaler(), StandardScaler(with_mean=False), Normalizer("l1")):
        case(f"text before {type(scaler).__name__}", lambda: make_pipeline(CountVectorizer(), scaler, Ridge()), TEXTS, VALUES, ask=ASK)


def records(case):
    for name, how in {"": {}, " dense and unsorted": {"sparse": False, "sort": False}, " separated": {"separator": " is "}}.items():
        case("DictVectorizer" + name, lambda: DictVectorizer(**how), RECORDS, ask=ASKED, methods=BOTH, core=not name)
    for name, how, ask in [
        ("", {}, [{"a": 1, "b": "x"}, {"c": -2.5, "a": 0}, {}]),
        (" signless", {"alternate_sign": False}, [{"a": 1, "b": "x"}, {"c": -2.5, "d": 1}]),
        (" of pairs", {"input_type": "pair"}, [[["a", 1], ["a", 2.5]], [["b", "x"]]]),
        (" of names", {"input_type": "string"}, [["a", "b", "a"], ["c"]]),
    ]:
        case("FeatureHasher" + name, lambda: FeatureHasher(n_features=7, **how), ask, methods=ONLY, core=not name)
