r"""The equilibrium of BGK and ES-BGK from the moments of a gas.

A Gaussian with the gas's density and velocity, and in two velocity dimensions the temperatures

$$ T_{11} = T + \nu(\Theta_{11} - T), \qquad T_{22} = 2T - T_{11} $$

along and across x; nu = 0 is the Maxwellian of BGK.  Reference: Holway (1966), Phys. Fluids 9, 1658, DOI 10.1063/1.1761920.
"""

import torch
from torch import Tensor

#: a temperature is never less than so much of the coldest
COLDEST = 1e-3


def realizable(excess: Tensor, nu: float) -> Tensor:
    """Theta11/T - 1 in two dimensions, within [-1, 1] for every positive f; smoothly less beyond, so that 1 + nu excess > 0."""
    room = 0.5 * (1.0 / abs(nu) - 1.0)
    return excess.clamp(-1.0, 1.0) + room * torch.tanh(torch.relu(excess.abs() - 1.0) / room) * excess.sign()


def tensor_of(T: Tensor, along: Tensor, d: int, nu: float) -> tuple[Tensor, Tensor]:
    """Temperatures along and across x of the equilibrium of a gas with temperature T and stress Theta11 = along."""
    T11 = T * (1.0 + nu * realizable(along / T - 1.0, nu)) if nu else T
    return T11, (d * T - T11) / (d - 1.0) if nu else T


def equilibrium_of(
    rho: Tensor, momentum: Tensor, energy: Tensor, second: Tensor, d: int, nu: float, cold: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """rho, u, T11, T22 of the equilibrium with the moments <(1, v, e, v^2)>; `cold` is far below any temperature there is."""
    u = momentum / rho
    T = ((2.0 * energy / rho - u**2) / d).clamp_min(COLDEST * cold)
    return rho, u, *tensor_of(T, second / rho - u**2, d, nu)
