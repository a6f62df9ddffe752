"""Naive Bayes."""

import numpy as np
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB

rng = np.random.RandomState(5)
X = rng.normal(size=(30, 4)) * [1.0, 2.0, 0.5, 10.0]
counts = rng.poisson(1.5, size=(30, 5)).astype(float)
categories = np.column_stack([rng.randint(0, n, 30) for n in (2, 3, 5)]).astype(float)
categories[:5, 2] = range(5)
two = np.where(X[:, 0] > 0.2, "spam", "ham")
three = np.digitize(X[:, 1], [-1.0, 1.0]) + 1


def joint(model, x):
    log = model.predict_joint_log_proba(x) if hasattr(model, "predict_joint_log_proba") else (
        model._joint_log_likelihood(model._check_X(x)))
    return {"outputs": log}


def cases(case, version):
    def bayes(name, make, x, y, **how):
        case(name, make, x, y, also={"predict_joint_log_proba": joint}, **how)

    narrow = [("predict", X[:2, :2])] if version >= (1, 1) else ()
    for name, y in [("two", two), ("three", three)]:
        bayes(f"GaussianNB of {name}", GaussianNB, X, y, core=True, refuses=narrow)
        bayes(f"MultinomialNB of {name}", MultinomialNB, counts, y, core=True)
        bayes(f"ComplementNB of {name}", ComplementNB, counts, y, core=True)
        bayes(f"BernoulliNB of {name}", BernoulliNB, X, y, core=True)
        bayes(f"CategoricalNB of {name}", CategoricalNB, categories, y, core=True)
    bayes("GaussianNB with priors", lambda: GaussianNB(priors=[0.2, 0.5, 0.3], var_smoothing=1e-3), X, three)
    bayes("MultinomialNB, alpha", lambda: MultinomialNB(alpha=0.1, fit_prior=False), counts, three)
    bayes("MultinomialNB, never seen", lambda: MultinomialNB(alpha=1e-10), counts * (counts > 2), three, ask=counts[:6])
    bayes("ComplementNB, norm", lambda: ComplementNB(norm=True, alpha=0.5), counts, three)
    bayes("ComplementNB of one", ComplementNB, counts, np.ones(30))
    bayes("BernoulliNB, threshold", lambda: BernoulliNB(binarize=1.0, alpha=0.3), counts, three)
    bayes("BernoulliNB, none", lambda: BernoulliNB(binarize=None), (counts > 1).astype(float), two)
    bayes("CategoricalNB, more categories", lambda: CategoricalNB(min_categories=7, alpha=0.5), categories, three,
          ask=categories[:5] + 1.75, refuses=[("predict", categories[:2] - 1)])
