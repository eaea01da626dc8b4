r"""An error estimate without a reference: residuals of the network, calibrated by its own earlier states.

With the residual norm at points that are not trained on,

$$ R(\theta,\varepsilon)^2 = \sum_r \operatorname{mean}\,|r(\theta; \varepsilon, t, x)|^2 , \qquad
   \kappa_j(\varepsilon) = \frac{\|\rho_{\theta_j} - \rho_\theta\|}{\|\rho_\theta\|\,R(\theta_j, \varepsilon)}, \qquad
   \eta(\varepsilon) = R(\theta,\varepsilon)\,\Big(\prod_{j=1}^n\kappa_j(\varepsilon)\Big)^{1/n} , $$

norms over all output times.  j runs over earlier looks at the same training whose residual was at least FACTOR times larger: to
those the network as it is now stands for the solution, so kappa_j is the error that a residual of that size made.  For a linear
problem with residuals that keep their shape eta is the error; a residual that turns to other frequencies changes kappa, and eta
is right up to a factor only, the effectivity eta / error (`tests/apnn/test_indicator.py`, `benchmarks/variants.py`).  Nothing
is known before the residual has fallen by FACTOR: NaN.

References: Ainsworth, Oden (2000), A Posteriori Error Estimation in Finite Element Analysis, DOI 10.1002/9781118032824 (residual
estimators, effectivity); Hillebrecht, Unger (2022), "Certified machine learning: a posteriori error estimation for
physics-informed neural networks", DOI 10.1109/IJCNN55064.2022.9892569 (residual to error for time-dependent networks).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .model import Model, fields
from .sampling import collocation

FACTOR = 3.0
POINTS = 128
CELLS = {1: 64, 2: 20}

Array = NDArray[np.float64]


class Estimator:
    """Looks at one training now and then; the error of rho for the case's Knudsen numbers and output times.

    fresh   mean over the Knudsen numbers of R^2 at the last look: the loss at points that are not trained on
    """

    def __init__(self, model: Model) -> None:
        self.model, case = model, model.case
        self.eps = list(case.knudsen.all)
        self.times = np.array(case.domain.output_times)
        intervals = [interval for interval in (case.domain.x, case.domain.y) if interval is not None]
        cells = (np.arange(CELLS[len(intervals)]) + 0.5) / CELLS[len(intervals)]
        self.space = [low + (high - low) * cells for low, high in intervals]
        eps = torch.tensor(self.eps, dtype=torch.float64)[:, None].expand(-1, POINTS).contiguous()
        steep = getattr(model.formulation, "stratify", None)
        seed = model.options.seed + 1_000  # points that no training of this seed draws
        _, *places = collocation(
            seed,
            0,
            len(self.eps),
            POINTS,
            case.knudsen.train,
            case.domain.t_end,
            *intervals,
            stratify=None if steep is None else lambda _, *unit: steep(eps, *unit),
        )
        self.batch = model.formulation.prepare(*(tensor.to(model.device) for tensor in (eps, *places)))
        self.seen: list[tuple[Array, Array]] = []
        self.fresh = float("nan")

    @torch.no_grad()
    def look(self, theta: Tensor) -> Array:
        """eta (eps,) of the free parameters; NaN where nothing is known yet."""
        rows = self.model.rows(theta, self.batch).values()
        squares = torch.stack([row.square().flatten(1).mean(dim=1) for row in rows]).sum(dim=0)
        self.fresh, R = float(squares.mean()), squares.sqrt().cpu().numpy()
        rho = fields(self.model, self.model.whole(theta), self.eps, self.times, *self.space)["rho"]
        rho = rho.reshape(len(self.eps), -1)
        logs, count = np.zeros(len(self.eps)), np.zeros(len(self.eps))
        for before, residual in self.seen:
            known = residual >= FACTOR * R
            made = np.linalg.norm(before - rho, axis=-1) / np.linalg.norm(rho, axis=-1) / residual
            logs[known] += np.log(made[known])
            count[known] += 1
        self.seen.append((rho, R))
        return np.where(count > 0, R * np.exp(logs / np.maximum(count, 1)), np.nan)


def worst(eta: Array) -> float:
    """The largest estimate, NaN as long as one Knudsen number has none."""
    return float(eta.max())
