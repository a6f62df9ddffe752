"""Neighbours that are equally far: the tree that was fitted settles which of them are found.

Samples are whole numbers on a small grid, so that nearly every answer is one of several."""

import numpy as np
import pytest
from conftest import Server
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor

METRICS = {
    "kd_tree": ["euclidean", "manhattan", "chebyshev"],
    "ball_tree": ["euclidean", "manhattan", "chebyshev", "canberra", "hamming", "braycurtis"],
}
CASES = [(tree, metric) for tree, metrics in METRICS.items() for metric in metrics]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("neighbors"))
    yield server
    server.stop()


@pytest.mark.parametrize("leaf_size", [1, 30])
@pytest.mark.parametrize(("tree", "metric"), CASES, ids=["-".join(case) for case in CASES])
def test_of_equally_far_ones_the_same_are_found(server, tree, metric, leaf_size):
    rng = np.random.RandomState(leaf_size)
    samples, labels = rng.randint(0, 4, size=(700, 3)).astype(float), rng.randint(0, 3, size=700)
    asked = rng.randint(0, 4, size=(50, 3)).astype(float)
    name = f"{tree}_{metric}_{leaf_size}"
    how = {"n_neighbors": 5, "algorithm": tree, "metric": metric, "leaf_size": leaf_size}

    votes = KNeighborsClassifier(**how).fit(samples, labels)
    server.publish(name, 1, votes)
    server.client.wait_available(name, 1)
    found = server.client.arrays(name, {"inputs": asked}, "kneighbors")
    distances, places = votes.kneighbors(asked)
    assert found["indices"].tolist() == places.tolist()
    np.testing.assert_allclose(found["distances"], distances, rtol=1e-12)
    assert server.client.arrays(name, {"inputs": asked}, "predict")["outputs"].tolist() == votes.predict(asked).tolist()

    outliers = LocalOutlierFactor(novelty=True, **how).fit(samples)
    server.publish(f"{name}_outliers", 1, outliers)
    server.client.wait_available(f"{name}_outliers", 1)
    scores = server.client.arrays(f"{name}_outliers", {"inputs": asked}, "score_samples")["outputs"]
    np.testing.assert_allclose(scores, outliers.score_samples(asked), rtol=1e-9)


def order_outside(state):
    state[1][0] = 10_000


def order_with_one_twice(state):
    state[1][0] = state[1][1]


def node_of_too_many(state):
    state[2]["idx_end"][1] += 1


def last_nodes_with_children(state):
    state[2]["is_leaf"] = 0


def bounds_of_fewer(state):
    state[3] = state[3][:, :-1].copy()


@pytest.mark.parametrize("tree", METRICS)
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (order_outside, "_tree has no order of 700 samples"),
        (order_with_one_twice, "_tree has no order of 700 samples"),
        (node_of_too_many, "_tree has no node [1] of the samples 0 to 350"),
        (last_nodes_with_children, "_tree has no node ["),
        (bounds_of_fewer, "numbers as bounds of its nodes; expected"),
    ],
)
def test_a_tree_that_does_not_fit_its_samples_is_refused_at_load(server, tree, damage, says):
    rng = np.random.RandomState(3)
    model = KNeighborsClassifier(algorithm=tree).fit(rng.normal(size=(700, 3)), rng.randint(0, 3, size=700))
    state = [part.copy() if isinstance(part, np.ndarray) else part for part in model._tree.__getstate__()]
    damage(state)
    model._tree.__setstate__(tuple(state))
    name = f"{damage.__name__}_{tree}"
    server.publish(name, 1, model)
    assert says in server.client.wait_failed(name, 1).status.error_message
