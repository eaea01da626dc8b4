r"""Symmetries of BGK and ES-BGK: what looks different to another observer is the same flow.

* mirror $x\to-x,\ v\to-v$: the mirrored data give the mirrored solution, to round-off;
* units of velocity $v\to2v,\ t\to t/2,\ \varepsilon\to\varepsilon/2,\ T\to4T$ and of mass $f\to8f$ (powers of two, so that the
  digits stay): the same solution, to round-off; for `imex` to the threshold 1e-14 of its WENO weights, which has a unit;
* Galilei $x\to x+Wt,\ v\to v+W$: the same solution carried along, to the truncation error of the scheme, whose grid does not
  move (`fourier_exponential`: to round-off, since the shift is whole cells and the modes are exact).

Reference: Cercignani (1988), The Boltzmann Equation and Its Applications, DOI 10.1007/978-1-4612-1039-9, section II.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..problem.check import Check as AbstractCheck
from ..problem.check import Outcome
from ..problem.scheme import Array
from ._gas import WAVES, centres, distance, make_case, march

END, EPS = 0.1, 0.05
CELLS = 60
SPEED = 0.5  # W; W END is whole cells
BGK1, BGK3 = ({"kind": "bgk", "velocity_dimension": d} for d in (1, 3))
ELLIPSOIDAL = {"kind": "esbgk", "nu": -0.5}
ROUND_OFF = 1e-12
#: equation, scheme, settings, tolerance of the Galilei shift, tolerance of the change of units
RUNS: tuple[tuple[dict[str, Any], str, dict[str, int], float, float], ...] = (
    (BGK1, "fourier_exponential", {"steps": 40}, ROUND_OFF, ROUND_OFF),
    (BGK1, "imex", {}, 1e-4, 5e-6),
    (BGK3, "imex", {}, 1e-4, 5e-6),
    (BGK1, "dugks", {}, 5e-3, ROUND_OFF),
    (ELLIPSOIDAL, "imex_esbgk", {}, 1e-4, 5e-6),
)
V = 10.0


class Check(AbstractCheck):
    """All gas schemes at eps = 0.05."""

    verifies = ("fourier_exponential", "imex", "dugks", "imex_esbgk")
    seconds = 4.0

    def run(self) -> Iterator[Outcome]:
        for equation, name, settings, truncation, unit in RUNS:

            def fields(
                data: dict[str, str], v: tuple[float, float] = (-V, V), slower: float = 1.0,
                equation: Any = equation, name: Any = name, settings: Any = settings,
            ) -> dict[str, Array]:  # fmt: skip
                case = make_case(equation, data, (END * slower,), v=v)
                return dict(march(name, case, EPS * slower, cells=CELLS, **settings)[-1].fields)

            label = f"{name}, {equation['kind']} {equation.get('velocity_dimension', 2)}V"
            plain = fields(WAVES)
            case = make_case(equation, WAVES, (END,))
            x = centres(name, case, cells=CELLS)
            mirror = fields({key: text.replace("x", "(-x)") for key, text in WAVES.items()})
            for key, sign in (("T", 1.0), ("q", -1.0)):
                yield Outcome(
                    f"{label}: mirror, {key}", distance(sign * mirror[key][::-1], plain[key]), ROUND_OFF,
                    "x", x, sign * mirror[key][::-1], plain[key],
                )  # fmt: skip
            moved = fields(WAVES | {"u": f"{SPEED}"}, (-V + SPEED, V + SPEED))
            shift = round(SPEED * END * CELLS)
            for key in ("rho", "T", "q"):
                found = np.roll(moved[key], -shift)
                error = distance(found, plain[key])
                yield Outcome(f"{label}: Galilei, {key}", error, truncation, "x", x, found, plain[key])
            units = {"rho": f"8*({WAVES['rho']})", "u": "0", "T": f"4*({WAVES['T']})"}
            if equation["kind"] == "bgk":  # the box across of ES-BGK is fixed
                larger = fields(units, (-2.0 * V, 2.0 * V), 0.5)
                for key, factor in (("rho", 8.0), ("T", 4.0), ("q", 64.0)):
                    yield Outcome(f"{label}: units, {key}", distance(larger[key] / factor, plain[key]), unit)
