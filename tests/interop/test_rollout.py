"""Versions come and go under traffic."""

import threading

import grpc
import joblib
import numpy as np
import pytest
from sklearn.datasets import make_regression
from sklearn.linear_model import LinearRegression

from serving import AVAILABLE, END, Client, eventually, joblib_bytes, publish

ROW = np.array([[0.3, -1.2, 0.7]])


def trained(version: int) -> LinearRegression:
    """A model whose answers no other version gives."""
    X, y = make_regression(50, 3, noise=1.0, bias=float(version), random_state=version)
    return LinearRegression().fit(X, y)


class Traffic:
    """Asks without a pause, on a channel of its own, and keeps what went wrong."""

    def __init__(self, address: str, name: str, answers: dict[int, float]):
        self._client = Client(address)
        self._name = name
        self._answers = answers
        self._stop = threading.Event()
        self.asked = 0
        self.latest = 0
        self.seen: list[int] = []
        self.wrong: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            try:
                response = self._client.predict(self._name, ROW)
            except grpc.RpcError as error:
                self.wrong.append(f"{error.code()}: {error.details()}")
                continue
            finally:
                self.asked += 1
            version = response.model_spec.version.value
            [answer] = response.outputs["predictions"].double_val
            want = self._answers[version]
            if abs(answer - want) > 1e-12 * abs(want):
                self.wrong.append(f"version {version} answered {answer!r}, which is not its {want!r}")
            if version != self.latest:
                self.latest = version
                self.seen.append(version)

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._client.close()


def test_new_versions_and_a_rollback_pass_under_traffic_without_one_failed_request(server):
    models = {version: trained(version) for version in range(1, 9)}
    answers = {version: float(model.predict(ROW)[0]) for version, model in models.items()}
    assert len(set(answers.values())) == len(answers)
    server.publish("prices", 1, models[1])
    server.client.wait_available("prices", 1)

    traffic = [Traffic(server.address, "prices", answers) for _ in range(4)]
    for version in range(2, 9):
        server.publish("prices", version, models[version])
        eventually(lambda: all(asker.latest == version and asker.asked >= 25 * version for asker in traffic))
    # The rollback: the newest folder goes, and the one before it serves again.
    newest = server.repository / "prices" / "8"
    newest.rename(server.repository / "prices" / ".removed-8")
    eventually(lambda: all(asker.latest == 7 for asker in traffic))
    for asker in traffic:
        asker.stop()

    for asker in traffic:
        assert asker.wrong == []
        assert asker.seen == [1, 2, 3, 4, 5, 6, 7, 8, 7], "each version took over once, in order"


def test_deleting_the_newest_version_in_place_rolls_back(server):
    for version in (1, 2):
        folder = server.publish("prices", version, trained(version))
        server.client.wait_available("prices", version)
    (folder / "model.pkl").unlink()
    folder.rmdir()
    eventually(lambda: server.client.predict("prices", ROW).model_spec.version.value == 1)
    same_as = trained(1).predict(ROW)
    np.testing.assert_allclose(server.client.arrays("prices", ROW)["predictions"], same_as, rtol=1e-12)
    eventually(lambda: server.client.status("prices")[2].state == END)


def test_a_corrupt_version_leaves_the_old_one_serving_and_says_what_is_wrong(server):
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    whole = joblib_bytes(trained(2))
    folder = server.publish("prices", 2, whole[: len(whole) // 2])
    bad = server.client.wait_failed("prices", 2)
    assert bad.status.error_message
    assert "model.pkl" in bad.status.error_message
    assert list(server.client.status("prices")) == [2, 1], "newest first"
    assert server.client.status("prices")[1].state == AVAILABLE
    assert server.client.predict("prices", ROW).model_spec.version.value == 1
    with pytest.raises(grpc.RpcError) as asked:
        server.client.predict("prices", ROW, version=2)
    assert "Servable not found for request: Specific(prices, 2)" in asked.value.details()
    # It is tried again when its files change.
    joblib.dump(trained(2), folder / ".incoming")
    (folder / ".incoming").rename(folder / "model.pkl")
    eventually(lambda: server.client.predict("prices", ROW).model_spec.version.value == 2)


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(server, tmp_path):
    trace = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (open, (str(trace), "w"))

    server.publish("hostile", 1, Hostile(), dump=joblib.dump)
    bad = server.client.wait_failed("hostile", 1)
    assert "open" in bad.status.error_message
    assert not trace.exists()


def test_an_estimator_that_is_not_known_is_named_in_the_error(server):
    from sklearn.cluster import DBSCAN

    # It has no answer for samples that it was not fitted on.
    server.publish("unknown", 1, DBSCAN().fit([[0.0], [1.0]]))
    bad = server.client.wait_failed("unknown", 1)
    assert "DBSCAN" in bad.status.error_message


def test_a_version_that_is_still_being_copied_is_not_loaded(start, tmp_path):
    server = start("--version_settle_ms=600")
    whole = joblib_bytes(trained(2))
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    # As `cp` does it: the folder first, the file in pieces, each piece sooner than it settles.
    folder = server.repository / "prices" / "2"
    folder.mkdir()
    with open(folder / "model.pkl", "wb", buffering=0) as file:
        step = len(whole) // 8 + 1
        for begin in range(0, len(whole), step):
            file.write(whole[begin : begin + step])
            threading.Event().wait(0.25)
            entry = server.client.status("prices").get(2)
            assert entry is None or entry.status.error_code == 0, entry
            assert server.client.predict("prices", ROW).model_spec.version.value == 1
    server.client.wait_available("prices", 2)
    np.testing.assert_allclose(
        server.client.arrays("prices", ROW)["predictions"], trained(2).predict(ROW), rtol=1e-12
    )


def test_a_model_folder_appears_and_goes_while_its_neighbour_serves(server):
    server.publish("first", 1, trained(1))
    server.client.wait_available("first", 1)
    server.publish("second", 3, trained(3))
    server.client.wait_available("second", 3)
    np.testing.assert_allclose(
        server.client.arrays("second", ROW)["predictions"], trained(3).predict(ROW), rtol=1e-12
    )
    (server.repository / "second").rename(server.repository / ".second")
    eventually(lambda: _not_served(server, "second"))
    assert server.client.predict("first", ROW).model_spec.version.value == 1


def _not_served(server, name):
    try:
        server.client.predict(name, ROW)
    except grpc.RpcError as error:
        return "Servable not found for request: Latest(second)" in error.details()
    return False


def test_a_version_policy_in_model_toml_keeps_two_versions(server):
    folder = server.repository / "prices"
    folder.mkdir()
    (folder / "model.toml").write_text("[version_policy]\nlatest = 2\n")
    for version in (1, 2, 3):
        publish(server.repository, "prices", version, trained(version))
    server.client.wait_available("prices", 2)
    server.client.wait_available("prices", 3)
    for version in (2, 3):
        response = server.client.predict("prices", ROW, version=version)
        assert response.model_spec.version.value == version
        want = trained(version).predict(ROW)[0]
        assert abs(response.outputs["predictions"].double_val[0] - want) <= 1e-12 * abs(want)
    with pytest.raises(grpc.RpcError) as asked:
        server.client.predict("prices", ROW, version=1)
    assert asked.value.details().startswith("Servable not found for request: Specific(prices, 1)")


def test_a_poll_finds_what_no_event_tells(start):
    """A repository behind a symbolic link swap, as a mounted volume changes."""
    server = start("--file_system_poll_wait_seconds=1")
    server.publish("prices", 1, trained(1))
    server.client.wait_available("prices", 1)
    server.publish("prices", 2, trained(2))
    server.client.wait_available("prices", 2, seconds=10)
