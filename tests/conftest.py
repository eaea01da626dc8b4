"""Strict numerics for every test."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _strict_numerics():
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield
