r"""Does the velocity set hold the gas?  What is wrong with the states of a case, before anything runs.

A state (u, T) loses, outside of the interval [a, b], these shares of its mass and of its thermal energy:

$$ \sum_{z} Q(z), \qquad \sum_{z}\Big[Q(z)+z\,\frac{e^{-z^2/2}}{\sqrt{2\pi}}\Big], \qquad
   z = \frac{b-u}{\sqrt T},\ \frac{u-a}{\sqrt T}, \qquad Q(z) = \tfrac12\,\mathrm{erfc}\frac z{\sqrt2} , $$

and equidistant nodes integrate it with a relative error of about $e^{-2\pi^2T/\Delta v^2}$.  The states are those at t = 0, the
two in the middle of the Riemann problem between the ends, and those that enter at the ends.

Reference: Trefethen, Weideman (2014), SIAM Review 56, 385, DOI 10.1137/130932132.
"""

from collections.abc import Iterator
from math import erfc, exp, pi, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .equation import side_problems
from .riemann_states import middle_states

if TYPE_CHECKING:
    from .case import Case

#: largest share of mass or energy of a state that the nodes may lose
VELOCITY_LOSS = 1e-4
Problem = tuple[tuple[str, ...], str]


class NamedState(NamedTuple):
    """A state in words, its velocity and temperature."""

    name: str
    u: float
    T: float


def tail_loss(u: float, T: float, low: float, high: float) -> tuple[float, float]:
    """Shares of the mass and of the thermal energy of M(1, u, T) that lie outside [low, high] (dimensionless)."""
    mass = energy = 0.0
    for z in ((high - u) / sqrt(T), (u - low) / sqrt(T)):
        tail = 0.5 * erfc(z / sqrt(2.0))
        mass += tail
        energy += tail + z * exp(-0.5 * z * z) / sqrt(2.0 * pi)
    return mass, energy


def gas_problems(case: "Case") -> Iterator[Problem]:
    """Everything that is wrong with the data of a gas: numbers, signs, ends, velocity set."""
    x = case.sample_x()
    for eps in case.knudsen.evaluate:
        data = {name: getattr(case.initial, name)(x=x, eps=eps) for name in ("rho", "u", "T")}
        bad = [name for name, value in data.items() if not np.isfinite(value).all()]
        for name in bad:
            yield ("initial", name), f"is not finite at x = {x[~np.isfinite(data[name])][0]:.6g}"
        for name in ("rho", "T"):
            if name not in bad and (value := data[name]).min() <= 0.0:
                yield ("initial", name), f"must be positive, but is {value.min():.6g} at x = {x[value.argmin()]:.6g}"
                bad.append(name)
        wrong = list(side_problems(case.boundary, {"diffuse": ("T",), "inflow": ("rho", "u", "T")}))
        entering: list[NamedState] = []
        if not wrong:
            entering, wrong = entering_states(case, eps)
        yield from wrong
        if not bad:
            named = [
                NamedState(f"the state at x = {at:.4g}", u, T) for at, u, T in zip(x, data["u"], data["T"], strict=True)
            ]
            left, right = ((float(data["rho"][k]), float(data["u"][k]), float(data["T"][k])) for k in (0, -1))
            if left != right:
                gamma: float = case.equation.gamma  # type: ignore[attr-defined]
                for side, (_, u, T) in zip(("left", "right"), middle_states(left, right, gamma), strict=True):
                    hot = "hot " if max(left[2], right[2]) < T else ""
                    named.append(NamedState(f"the {hot}state {side} of the contact of the Riemann problem", u, T))
            yield from box_problems(case.velocity, named + entering)
        if bad or not any("eps" in getattr(case.initial, name).names for name in data):
            break


def entering_states(case: "Case", eps: float) -> tuple[list[NamedState], list[Problem]]:
    """The states at the ends that bring their own, over the whole time, and what is wrong with them."""
    t = np.linspace(0.0, case.domain.t_end, 101)
    states: list[NamedState] = []
    problems: list[Problem] = []
    for side in ("left", "right"):
        end = getattr(case.boundary, side)
        data = {
            key: getattr(end, key)(t=t, eps=eps) * np.ones_like(t) for key in ("rho", "u", "T") if getattr(end, key)
        }
        bad = False
        for key, value in data.items():
            if not np.isfinite(value).all():
                problems.append((("boundary", side), f"{key} is not finite at t = {t[~np.isfinite(value)][0]:.6g}"))
                bad = True
            elif key != "u" and value.min() <= 0.0:
                message = f"{key} must be positive, but is {value.min():.6g} at t = {t[value.argmin()]:.6g}"
                problems.append((("boundary", side), message))
                bad = True
        if "T" in data and not bad:
            u = data.get("u", np.zeros_like(t))
            states += [
                NamedState(f"what enters at the {side} end at t = {at:.4g}", *pair)
                for at, *pair in zip(t, u, data["T"], strict=True)
            ]
    return states, problems


def box_problems(velocity: Any, states: list[NamedState]) -> Iterator[Problem]:
    """States that the interval (the rectangle) or the distance of the nodes does not hold."""
    axes = [("range", "nodes", velocity.interval, velocity.nodes, 1.0)]
    if hasattr(velocity, "range2"):
        axes.append(("range2", "nodes2", velocity.range2, velocity.nodes2, 0.0))
    for key, nodes_key, (low, high), nodes, moving in axes:
        losses = [tail_loss(moving * state.u, state.T, low, high) for state in states]
        worst = int(np.argmax([energy for _, energy in losses]))
        mass, energy = losses[worst]
        if energy > VELOCITY_LOSS:
            name, u, T = states[worst]
            yield (
                ("velocity", key),
                f"[{low:g}, {high:g}] is too narrow: {name}, u = {u:.4g}, T = {T:.4g}, loses {mass:.2%} of its mass and "
                f"{energy:.2%} of its energy (at most {VELOCITY_LOSS:.2%} allowed); widen the interval",
            )
        if velocity.kind.startswith("trapezoid"):
            name, _, T = min(states, key=lambda state: state.T)
            error = float(np.exp(-2.0 * pi**2 * T * ((nodes - 1) / (high - low)) ** 2))
            if error > VELOCITY_LOSS:
                yield (
                    ("velocity", nodes_key),
                    f"{nodes} nodes on [{low:g}, {high:g}] are too few: {name}, T = {T:.4g}, is integrated with an error "
                    f"of {error:.2%} (at most {VELOCITY_LOSS:.2%} allowed)",
                )
