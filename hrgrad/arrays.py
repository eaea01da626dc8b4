"""What the m-dimensional algebra is written in."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: zero counts as this in logarithms and quotients
TINY = 1e-300
