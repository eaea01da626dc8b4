r"""Boltzmann-Poisson, micro-macro in Hermite modes: density, correction, field and potential, on top of `apnn/carriers.py`.

With the normalised Hermite functions $\psi_n = He_n(v/\sqrt\theta)M/\sqrt{n!}$, $f = \rho M + \varepsilon\sum_{n=1}^{N-1}g_n\psi_n$:
<g> = 0, the parities and the decay in v are exact, and nothing is integrated.

$$ R_{\rm macro} = \partial_t\rho + \sqrt\theta\,\partial_xg_1, \qquad
   R_{\rm ampere} = \beta\,\partial_tE + I - \sqrt\theta\,g_1, \qquad R_{\rm current} = \partial_xI, $$
$$ R_{\rm flux} = \varepsilon^2\partial_tg_1 + \sqrt\theta\Big(\partial_x + \frac E\theta\Big)\rho
   + \varepsilon\sqrt{2\theta}\,\partial_xg_2 + g_1, $$
$$ R_{\rm micro,\,n\ge2} = \varepsilon^2\partial_tg_n + \varepsilon\sqrt{n\theta}\Big(\partial_x + \frac E\theta\Big)g_{n-1}
   + \varepsilon\sqrt{(n+1)\theta}\,\partial_xg_{n+1} + r_ng_n, \quad
   r_n = 1 + \varepsilon\kappa\sqrt\theta\Big(\frac n{N-1}\Big)^8, $$
$$ R_{\rm charge} = \beta\,\partial_xE + \rho - c, \qquad R_{\rm field} = E + \partial_x\Phi, \qquad
   R_{\rm left,\,right} = \rho - c + \varepsilon\sum_ng_n\frac{He_n}{\sqrt{n!}}\ \text{at nodes that enter}. $$

$$ \rho = \rho_be^{AR}, \quad g_n = g_{n,b} + h\lambda^{\min(n-1,3)}G_n, \quad I = h\hat I, \quad E = E_b + A\hat E, \quad
   \Phi = \Phi_b + x(1-x)\hat\Phi, \quad h = 1-e^{-t/\varepsilon^2}, \quad \lambda = \frac{20\,\varepsilon}{1+20\,\varepsilon}, $$

so initial data, potentials at the contacts and rho > 0 are exact.  The absorption kappa in r_n (n >= 2) stops waves from
returning from the truncated end of the series, as in `solvers/schemes/hermite_parity.py`.  For eps -> 0 the flux row gives
J = -(theta d_x rho + rho E) and the macro row drift-diffusion: asymptotic-preserving.  rho obeys Poisson's equation through E
as an unknown of its own, so that first derivatives do.  The total current I = J - beta d_t E of Ampere's law is the same
everywhere: mass and charge together, but without their amplification of long waves by 1/(beta k), which is what remains of an
error where the plasma swings.  $R_{\rm field}$ weighs as much as they do: its mean is a voltage that is not there, and drives a
current of that share.

Data that are not neutral: the lift is the limit itself, R, E^, Phi^ and g^ have a factor lambda more, and
$I = I_b + h\hat I$.

References: Jin, Pareschi (2000), J. Comput. Phys. 161, 312, DOI 10.1006/jcph.2000.6506 (the AP splitting); Schmeiser, Zwirchmayr
(1998), SIAM J. Numer. Anal. 36, 74, DOI 10.1137/S0036142996304516 (Hermite modes); problems.md (75)-(88).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.special import roots_hermitenorm
from torch import Tensor

from solvers.problem.case import Case
from solvers.problem.status import BadInput

from ..carriers import Carriers, hermite
from ..crowding import thinned
from ..features import product, with_tangents
from ..kept import Kept

ABSORPTION = 300.0  # kappa times the length of the device, half of what `hermite_parity` takes for its longer series
STRONG = 20.0  # field strength at which eps is no longer small, times the length of the device
#: weights of rows: an error of rho (asked for six times as exactly as J), of its rate, and of J
CHARGE, MACRO, CURRENT = 6.0, 1.5, 1.0
CONTACT = 3.0  # an error of rho within sqrt(beta) of a contact
SHARE = 16  # one in so many points lends its (t, eps) to a point on either contact
FLUX, FIELD = 3.0, 8.0


@dataclass
class Batch:
    """Everything that does not depend on the parameters, at points (..., B), those on the contacts last."""

    inputs: Tensor  # (..., 3, B, features)
    t: Tensor
    eps: Tensor
    x: Tensor
    density: Tensor  # (..., 3, B): rho_b, and below E_b, Phi_b
    field: Tensor
    potential: Tensor
    lifted: Tensor  # (..., 3, B, modes): g_n of the lift
    grown: Tensor  # (..., 3, B): A
    arch: Tensor  # (..., 3, B): x (1 - x)
    growth: Tensor  # (..., 3, B, modes): what multiplies G_n
    doping: Tensor  # (..., B)
    crowded: Tensor  # (..., B): q of the points (`apnn/crowding.py`)
    contacts: dict[str, slice]


@dataclass
class Solution:
    """rho, E, Phi, I (..., 3, B) and g (..., 3, B, modes) with derivatives."""

    rho: Tensor
    E: Tensor
    Phi: Tensor
    I: Tensor
    g: Tensor


class Formulation:
    """`formulation = "semiconductor_micro_macro"`; `velocities` is the number N of Hermite modes."""

    equations = ("semiconductor",)
    asymptotic_preserving = True
    float32 = True
    fields = ("rho", "J", "E", "Phi")
    residual_names = ("macro", "ampere", "current", "flux", "micro", "charge", "field", "left", "right")

    def __init__(self, case: Case, velocities: int, device: str = "cpu") -> None:
        if velocities % 2:
            raise BadInput(f"train.velocities = {velocities}: the contacts need an even number of Hermite modes")
        self.lift = Carriers(case, velocities - 1, device)
        high = case.knudsen.train[1]
        driven = 0.0 if self.lift.neutral else self.lift.driven(high)
        if driven > 1.0:
            raise BadInput(
                f"the charge between initial.rho and equation.doping drives carriers to {driven:.1f} thermal speeds at "
                f"eps = {high:g}; this network describes them by corrections to a gas at rest and learns no more than about one. "
                "Start from neutral data (initial.rho the same as equation.doping), or end knudsen.train, evaluate and unseen "
                "at a smaller eps"
            )
        self.theta, self.beta = case.equation.theta, case.equation.beta
        self.length = self.lift.high - self.lift.low
        n = np.arange(1, velocities)
        self.n = torch.as_tensor(n, dtype=torch.float64, device=device)
        z, w = roots_hermitenorm(velocities)
        self.v = torch.as_tensor(z * self.theta**0.5, device=device)
        self.modes = hermite(torch.as_tensor(z, device=device), velocities)
        self.w = torch.as_tensor(w / w.sum(), device=device)
        self.places, self.basis = self.lift.places, None
        self.inputs = self.lift.places + self.lift.scales
        self.outputs = 4 + n.size
        self.kept = Kept(partial(with_tangents, self.columns))
        self.features, self.stratify = self.lift.features, self.lift.stratify

    def growth(self, eps: Tensor, t: Tensor) -> Tensor:
        """h lambda^min(n-1, 3) of every mode, (..., B, modes)."""
        kappa = self.strength(eps).unsqueeze(-1) ** (self.n - 1.0).clamp_max(3.0)
        return -FLUX * (self.left(eps) * torch.expm1(-t / eps**2)).unsqueeze(-1) * kappa

    def strength(self, eps: Tensor) -> Tensor:
        """lambda."""
        strong = STRONG * eps / self.length
        return strong / (1.0 + strong)

    def left(self, eps: Tensor) -> Tensor:
        """What is left to the network: everything, or the way from the limit where the lift is that one, lambda."""
        return torch.ones_like(eps) if self.lift.neutral else self.strength(eps)

    def grown(self, eps: Tensor, t: Tensor) -> Tensor:
        """A of density and field."""
        return self.left(eps) * self.lift.grown(eps, t)

    def arch(self, eps: Tensor, x: Tensor) -> Tensor:
        """x (1 - x) over the device, at most one."""
        return self.left(eps) * 4.0 * (x - self.lift.low) * (self.lift.high - x) / self.length**2

    def columns(self, eps: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Network inputs, what is known, A, x (1 - x) and what multiplies G_n, side by side (..., B, columns)."""
        factors = torch.stack([self.grown(eps, t), self.arch(eps, x)], dim=-1)
        return torch.cat([self.lift.columns(eps, t, x), factors, self.growth(eps, t)], dim=-1)

    def prepare(self, eps: Tensor, t: Tensor, x: Tensor) -> Batch:
        """The theta-independent part at points (..., B), points on the contacts added."""
        count, inner = max(1, x.shape[-1] // SHARE), x.shape[-1]
        parts = [(eps, t, x)]
        parts += [
            (eps[..., :count], t[..., :count], torch.full_like(x[..., :count], at))
            for at in (self.lift.low, self.lift.high)
        ]
        eps, t, x = (torch.cat(columns, dim=-1) for columns in zip(*parts, strict=True))
        contacts = {"left": slice(inner, inner + count), "right": slice(inner + count, inner + 2 * count)}
        inputs, known, grown, arch, growth = self.kept(eps, t, x).split(
            [self.inputs, 3 + self.n.numel(), 1, 1, self.n.numel()], dim=-1
        )
        doping = self.lift.clamped(self.lift.doping, x)
        crowded = self.lift.crowded(eps, t, x)
        return Batch(
            inputs,
            t,
            eps,
            x,
            *known[..., :3].unbind(-1),
            known[..., 3:],
            grown.squeeze(-1),
            arch.squeeze(-1),
            growth,
            doping,
            crowded,
            contacts,
        )

    def ansatz(self, outputs: Tensor, batch: Batch) -> Solution:
        """Physical unknowns from the network's outputs (..., 3, B, 4 + modes)."""
        R, field, potential, total = outputs[..., :4].unbind(-1)
        exponent = product(batch.grown, R, -2)
        factor = exponent[..., :1, :].exp()
        factor = torch.cat([factor, factor * exponent[..., 1:, :]], dim=-2)
        E = batch.field + FIELD / self.length * product(batch.grown, field, -2)
        Phi = product(batch.arch, potential, -2)
        g = product(batch.growth, outputs[..., 4:], -3)
        total = product(batch.growth[..., 0], total, -2)
        if not self.lift.neutral:  # J - beta d_t E of the lift, the same everywhere
            known = self.theta**0.5 * batch.lifted[..., 0, :, 0] - self.beta * batch.field[..., 1, :]
            total = torch.cat([total[..., :1, :] + known.unsqueeze(-2), total[..., 1:, :]], dim=-2)
        return Solution(product(batch.density, factor, -2), E, batch.potential + Phi, total, g + batch.lifted)

    def residuals(self, solution: Solution, batch: Batch) -> dict[str, Tensor]:
        """Residual rows by name: (..., B), micro (..., B, modes - 1), contacts (..., points, entering nodes)."""
        root, eps = self.theta**0.5, batch.eps
        rho, rho_t, rho_x = solution.rho.unbind(-2)
        E, E_t, E_x = solution.E.unbind(-2)
        g, g_t, g_x = solution.g.unbind(-3)
        swing = 2.0 * eps**2 / (1.0 + 2.0 * eps**2 / self.lift.t_end)
        late = batch.t + self.beta + swing  # errors last that long
        macro = MACRO * (rho_t + root * g_x[..., 0]) * late
        pull = rho_x + rho * E / self.theta
        flux = eps**2 * g_t[..., 0] + root * pull + eps * (2.0 * self.theta) ** 0.5 * g_x[..., 1] + g[..., 0]
        eps_, strength = eps.unsqueeze(-1), E.unsqueeze(-1) / self.theta
        above = torch.cat([g_x[..., 2:], torch.zeros_like(g_x[..., :1])], dim=-1)
        up, down = (self.n[1:] * self.theta).sqrt(), ((self.n[1:] + 1.0) * self.theta).sqrt()
        moved = up * (g_x[..., :-1] + strength * g[..., :-1]) + down * above
        loss = 1.0 + eps_ * ABSORPTION / self.length * root * (self.n[1:] / self.n[-1]) ** 8
        micro = eps_**2 * g_t[..., 1:] + eps_ * moved + loss * g[..., 1:]
        # an error r of J itself, of the flux, or of the field, which draws rho r, is an error r of J at that time
        current = CURRENT * (late / (late + 4.0 * self.beta)).sqrt()
        # the second mode weighs as it drives the flux, by eps sqrt(2 theta) d_x g_2 in (1 + eps sqrt(theta) d_x) g_1, d_x as STRONG
        size = 2.0 * self.strength(eps) * (self.n.numel() - 1.0) ** 0.5 * current
        total, _, total_x = solution.I.unbind(-2)
        rows = {
            "macro": macro,
            "ampere": current * (self.beta * E_t + total - root * g[..., 0]),
            "current": current * total_x,
            "flux": current * flux,
            "micro": micro * size.unsqueeze(-1) / self.n[1:],
            "charge": CHARGE * (self.beta * E_x + rho - batch.doping),
            "field": current * (E + solution.Phi[..., 2, :]),
        }
        rows = thinned(rows, batch.crowded)
        for side, points in batch.contacts.items():
            entering = self.v > 0 if side == "left" else self.v < 0
            value = self.modes[1:, entering]
            lack = (rho - batch.doping)[..., points].unsqueeze(-1) + eps_[..., points, :] * (g[..., points, :] @ value)
            rows[side] = CONTACT * lack * (2.0 * self.w[entering]).sqrt()
        return {name: row / self.lift.largest for name, row in rows.items()}

    def fields_of(self, outputs: Tensor, eps: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
        """rho, J = <v f>/eps, E, Phi at points (..., B) from the network's values (..., 1, B, 4 + modes)."""
        R, field, potential = outputs[..., 0, :, :3].unbind(-1)
        rho, E, Phi, flux = self.lift.known(eps, t, x).unbind(-1)
        g1, grown = flux + self.growth(eps, t)[..., 0] * outputs[..., 0, :, 4], self.grown(eps, t)
        return {
            "rho": rho * torch.exp(grown * R),
            "J": self.theta**0.5 * g1,
            "E": E + FIELD / self.length * grown * field,
            "Phi": Phi + self.arch(eps, x) * potential,
        }
