"""Memory of a training, predicted before it begins.

With n collocation points in m tasks, P parameters, L hidden layers of W, three directions (value, d_t, d_x) and 8 bytes a number:

    points        3 n (inputs + L W + 6 outputs)       activations that the reverse pass of an `mlp` keeps, within a factor of two
    parameters    4 m P                                copies by task, gradients, momenta
    ssbroyden     P^2,  gauss_newton  n q P + 2 P^2    the inverse Hessian; the Jacobian of q residuals a point, and J^T J

Reference: Griewank, Walther (2008), Evaluating Derivatives, chapter 4 (the memory of a reverse pass), DOI 10.1137/1.9780898717761.
"""

import os

import torch

from solvers.problem.status import BadInput

from .model import Model

#: share of the memory that a training may take
SHARE = 0.9


def predicted_bytes(model: Model) -> dict[str, float]:
    """Bytes by what takes them."""
    options, outputs = model.options, model.formulation.outputs
    n, P = options.tasks * options.points, model.free.stop - model.free.start
    found = {
        "points": 24.0 * n * (model.network.inputs + options.depth * options.width + 6 * outputs),
        "parameters": 32.0 * options.tasks * P,
    }
    if options.second_order == "gauss_newton":
        found["gauss_newton"] = 8.0 * (n * outputs * P + 2 * P**2)
    elif options.second_order == "ssbroyden":
        found["ssbroyden"] = 8.0 * P**2
    return found


def memory(device: str) -> float:
    """Bytes that the machine or the GPU has."""
    if device == "cpu":
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return float(torch.cuda.mem_get_info()[1])


def afford(model: Model) -> None:
    """BadInput that says what takes how much, if the machine or the GPU has less."""
    needed, there = predicted_bytes(model), memory(model.device)
    if sum(needed.values()) > SHARE * there:
        largest = max(needed, key=lambda name: needed[name])
        remedy = {"points": "points or width", "parameters": "width"}.get(
            largest, "width, or choose second_order lbfgs"
        )
        raise BadInput(
            f"train: about {sum(needed.values()) / 2**30:.3g} GiB needed, {there / 2**30:.3g} GiB there, "
            f"{needed[largest] / 2**30:.3g} of them for {largest}: lower train.{remedy}"
        )
