"""Arrays that are kept between processes."""

import os

import numpy as np
import pytest

from apnn import stored as module
from apnn.stored import stored


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_an_array_is_made_once_for_a_key_and_comes_back_to_the_bit(folder):
    made = []

    def make():
        made.append(1)
        return np.random.default_rng(3).normal(size=(4, 5))

    first = stored("thing", ("a", 1.0), make)
    np.testing.assert_array_equal(stored("thing", ("a", 1.0), make), first)
    assert len(made) == 1
    stored("thing", ("a", 1.1), make)
    stored("other", ("a", 1.0), make)
    assert len(made) == 3
    assert len(list(folder.glob("thing-*.npy"))) == 2


def test_a_broken_file_or_one_with_a_pickle_is_made_anew(folder):
    stored("thing", 0, lambda: np.ones(3))
    (path,) = folder.glob("thing-*.npy")
    path.write_bytes(path.read_bytes()[:-4])
    np.testing.assert_array_equal(stored("thing", 0, lambda: np.full(3, 2.0)), np.full(3, 2.0))
    np.save(path, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    np.testing.assert_array_equal(stored("thing", 0, lambda: np.full(3, 4.0)), np.full(3, 4.0))
    path.write_bytes(b"")
    np.testing.assert_array_equal(stored("thing", 0, lambda: np.full(3, 5.0)), np.full(3, 5.0))


def test_only_the_newest_are_kept_and_a_folder_that_cannot_be_written_does_no_harm(folder, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    for k in range(4):
        stored("thing", k, lambda k=k: np.full(2, float(k)))
        for age, path in enumerate(sorted(folder.glob("thing-*.npy"), key=lambda p: p.stat().st_mtime, reverse=True)):
            os.utime(path, (1e9 - age, 1e9 - age))
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder / "absent"))
    np.testing.assert_array_equal(stored("thing", 9, lambda: np.ones(2)), np.ones(2))
