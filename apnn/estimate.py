r"""An error estimate without a reference: residuals of the network, calibrated by its own earlier states.

With the norms of the residuals at points that are not trained on, row by row (mass, momentum, ..., as the formulation names them),

$$ R_r(\theta,\varepsilon)^2 = \operatorname{mean}\,|r(\theta; \varepsilon, t, x)|^2 , \qquad
   q_j(\varepsilon) = \max_r \frac{R_r(\theta,\varepsilon)}{R_r(\theta_j,\varepsilon)} , \qquad
   \eta(\varepsilon) = \Big(\prod_{j=1}^n\frac{q_j}{1-q_j}
   \frac{\|\rho_{\theta_j} - \rho_\theta\|}{\|\rho_\theta\|}\Big)^{1/n} , $$

norms over all output times.  j runs over the earlier looks at the same training since which every row has fallen by FALLEN.  Why:
if every row adds to the error in proportion to its size, $e_j \approx \sum_r K_rR_r(\theta_j)$, then $e \le q_je_j$ whatever
the K_r are, since the row that fell least decides; and $e_j \le \|\rho_{\theta_j}-\rho_\theta\| + e$, so
$e \le q_j/(1-q_j)\,\|\rho_{\theta_j}-\rho_\theta\|$ (saturation assumption).  The sum over the rows alone would be decided by
the largest: behind a strong shock the kinetic row falls tenfold while the conservation laws, and with them the error, stay.
K_r changes where a residual turns to other frequencies or moves, so eta is right up to a factor only, the effectivity eta / error
(`tests/apnn/test_indicator.py`, `benchmarks/effectivity.py`).  Where a row has not fallen by FALLEN nothing is known: NaN.

References: Ainsworth, Oden (2000), A Posteriori Error Estimation in Finite Element Analysis, DOI 10.1002/9781118032824 (residual
estimators, effectivity); Hillebrecht, Unger (2022), "Certified machine learning: a posteriori error estimation for
physics-informed neural networks", DOI 10.1109/IJCNN55064.2022.9892569 (residual to error for time-dependent networks);
Bank, Weiser (1985), Math. Comp. 44, 283, DOI 10.1090/S0025-5718-1985-0777265-X (saturation assumption).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .model import Model, fields
from .sampling import collocation

#: from here on q/(1-q) < 1: the network has moved by more than it still has to
FALLEN = 0.5
#: a row is taken to be at least so large a share of all: rows are scaled to the same size, and some vanish by construction
LEAST = 1e-3
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
        squares = torch.stack([row.square().flatten(1).mean(dim=1) for row in rows])
        self.fresh, R = float(squares.sum(dim=0).mean()), squares.sqrt().cpu().numpy()
        rho = fields(self.model, self.model.whole(theta), self.eps, self.times, *self.space)["rho"]
        rho = rho.reshape(len(self.eps), -1)
        logs, count = np.zeros(len(self.eps)), np.zeros(len(self.eps))
        for before, earlier in self.seen:
            q = (R / np.maximum(earlier, LEAST * np.linalg.norm(earlier, axis=0))).max(axis=0)
            known, moved = q <= FALLEN, np.linalg.norm(before - rho, axis=-1) / np.linalg.norm(rho, axis=-1)
            logs[known] += np.log(moved[known] * q[known] / (1.0 - q[known]))
            count[known] += 1
        self.seen.append((rho, R))
        return np.where(count > 0, np.exp(logs / np.maximum(count, 1)), np.nan)


def worst(eta: Array) -> float:
    """The largest estimate, NaN as long as one Knudsen number has none."""
    return float(eta.max())
