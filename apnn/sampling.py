r"""Collocation points: eps stratified log-uniform with a persistent task identity, (t, x) low-discrepancy over all tasks.

Task k draws $\ln\varepsilon$ uniformly in the k-th of m equal bins of $[\ln\varepsilon_{min}, \ln\varepsilon_{max}]$, so bin k IS
the task (problems.md 1.1, (37)-(41)); with a knee $\varepsilon_0$, below which the solution hardly changes any more, the same of
$\ln(\varepsilon+\varepsilon_0)$.  A fit is worst at the ends of its interval; bins between Chebyshev's points weigh them as a
nearly uniform error asks for.  t = t_end s^{3/2} with s from a scrambled Sobol sequence leaves more points near the
start.  Each task has a run of consecutive Sobol points, so each task and all of them together cover the domain evenly (every
m-th point would not: with m = 8 these lie in an eighth of the square; and with (t, x) shared by the tasks, fronts were
over-fitted on the Sod case).  The points live in GROUPS groups, of which one is
drawn anew at every refresh; a group's numbers depend only on (seed, group, generation), so any step can be rebuilt without a
stored state.

References: Sobol (1967), USSR Comput. Math. Math. Phys. 7, 86, DOI 10.1016/0041-5553(67)90144-9; Cohen, Migliorati (2017), "Optimal
weighted least-squares methods", SMAI J. Comput. Math. 3, 181, DOI 10.5802/smai-jcm.24 (arcsine law of the samples).
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

GROUPS = 7
TIME_POWER = 1.5
#: no point at t = 0 exactly: the scaled residuals there are limits
EARLIEST = 1e-6


def bins(knudsen: tuple[float, float], tasks: int, knee: float, spacing: str = "even") -> Tensor:
    """Edges in eps of the tasks' bins, (tasks + 1,), equal in ln(eps + knee) or Chebyshev's points of it."""
    first, last = (math.log(eps + knee) for eps in knudsen)
    if spacing == "even":
        return torch.linspace(first, last, tasks + 1, dtype=torch.float64).exp() - knee
    angles = torch.linspace(math.pi, 0.0, tasks + 1, dtype=torch.float64)
    return (0.5 * (first + last) + 0.5 * (last - first) * angles.cos()).exp() - knee


def times(s: Tensor, t_end: float, late: float = 1.0, early: float = 1.0) -> Tensor:
    """t of s in [0, 1): a share `late` like s^{3/2}, the rest logarithmic from the share `early` of t_end on."""
    t = t_end * (EARLIEST + (1.0 - EARLIEST) * (s / late).clamp_max(1.0) ** TIME_POWER)
    if late == 1.0:
        return t
    return torch.where(s < late, t, t_end * early ** (1.0 - (s - late) / (1.0 - late)))


def crowded_times(t: Tensor, t_end: float, late: float, early: float) -> Tensor:
    """How many times denser `times` draws at t than it would with late = 1."""
    share = t / t_end
    logarithmic = (share >= early).to(t) / (-share * math.log(early))
    return late + (1.0 - late) * logarithmic * TIME_POWER * share ** (1.0 - 1.0 / TIME_POWER)


def collocation(
    seed: int,
    refresh: int,
    tasks: int,
    points: int,
    knudsen: tuple[float, float],
    t_end: float,
    *space: tuple[float, float],
    stratify: Callable[..., tuple[Tensor, ...]] | None = None,
    knee: float = 0.0,
    spacing: str = "even",
) -> tuple[Tensor, ...]:
    """eps, t, x[, y], each (m, B), after `refresh` refreshes; `space` holds the intervals of x[, y].

    stratify   t, x[, y] from eps and a point of the unit cube, where a formulation knows where the solution is steep
    knee, spacing   of the bins
    """
    eps_parts, place_parts = [], []
    for group, part in enumerate(group_slices(points)):
        size = part.stop - part.start
        generation = (refresh - group - 1) // GROUPS + 1 if refresh > group else 0
        key = (seed * 1_000_003 + group) * 1_000_003 + generation
        sobol = torch.quasirandom.SobolEngine(1 + len(space), scramble=True, seed=key % (2**31))
        place_parts.append(sobol.draw(size * tasks, dtype=torch.float64).view(tasks, size, 1 + len(space)))
        generator = torch.Generator().manual_seed(key)
        eps_parts.append(torch.rand(tasks, size, generator=generator, dtype=torch.float64))
    place, share = torch.cat(place_parts, dim=1), torch.cat(eps_parts, dim=1)
    edges = (bins(knudsen, tasks, knee, spacing) + knee).log().unsqueeze(-1)
    eps = torch.exp(edges[:-1] + (edges[1:] - edges[:-1]) * share) - knee
    if stratify is not None:
        return eps, *stratify(eps, *place.unbind(-1))
    t = times(place[..., 0], t_end)
    return eps, t, *(low + (high - low) * place[..., 1 + k] for k, (low, high) in enumerate(space))


def group_slices(points: int) -> list[slice]:
    """Where the groups lie among the points of a task."""
    ends = [0, *itertools.accumulate(points // GROUPS + (group < points % GROUPS) for group in range(GROUPS))]
    return [slice(*pair) for pair in itertools.pairwise(ends)]
