"""What every formulation promises: an exact solution leaves no residual, eps -> 0 gives the limit, the limit is enforced.

Problems and solutions are chosen by equation; a formulation takes a given f apart itself (`solution_of`).
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from apnn.options import equation_of
from kinetic_cli.kinds import KINDS
from solvers.problem.read import read_case

CASES = Path(__file__).parents[2] / "cases"
NAMES = KINDS["formulations"].names()
PERIODIC = ("transport_periodic", ())
ISOTROPIC = ("transport_periodic", ("initial.f=1 + cos(4*pi*x)",))
ABSORBER = ("transport_inflow", ("equation.sigma_s=1e-13", "equation.sigma_a=2.0", "boundary.left.f=1 + v"))
INFLOW = ("transport_inflow", ("domain.t_end=0.01", "domain.output_times=[0.01]"))
SOD = ("sod", ())
GAS = ("sod", ("initial.rho=0.8", "initial.u=0.3", "initial.T=1.1"))


def with_slopes(f, batch, **more):
    """f(eps, t, x, **more) on the nodes, with d_t and d_x, (3, B, v)."""
    eps, t, x = batch.eps, batch.t, batch.x
    one = torch.ones_like(t)
    value, by_t = torch.func.jvp(lambda s: f(eps, s, x, **more), (t,), (one,))
    _, by_x = torch.func.jvp(lambda s: f(eps, t, s, **more), (x,), (one,))
    return torch.stack([value, by_t, by_x])


def fourier_mode(batch, v, w, case):
    """<f0> + Re(e^{4 pi i x} mode(t)) of the S_N system on the formulation's own nodes, by matrix exponentials."""
    v, w, k = v.numpy(), w.numpy(), 4.0 * np.pi
    datum = case.initial.f(x=0.0, v=v, eps=1.0) / 2.0
    rows = []
    for eps, t, x in zip(batch.eps.tolist(), batch.t.tolist(), batch.x.tolist(), strict=True):
        A = (np.outer(np.ones_like(v), w) - np.eye(v.size)) / eps**2
        B = A - 1j * k * np.diag(v) / eps
        flat, wave = expm(A * t) @ datum, expm(B * t) @ datum * np.exp(1j * k * x)
        rows.append([flat + wave.real, A @ flat + (B @ wave).real, (1j * k * wave).real])
    return torch.tensor(np.array(rows)).transpose(0, 1)


def absorbed(batch, v, w, case):
    """(1 + v) e^{-sigma_A eps x/v} behind the front x = v t/eps: nothing is scattered."""

    def f(eps, t, x):
        speed = torch.where(v > 0, v, torch.ones_like(v))
        there = (v > 0) & (eps[..., None] * x[..., None] < speed * t[..., None])
        value = (1.0 + speed) * torch.exp(-2.0 * eps[..., None] * x[..., None] / speed)
        return torch.where(there, value, torch.zeros_like(value))

    return with_slopes(f, batch)


def diffused(batch, v, w, case):
    """f = rho - eps v rho_x, rho the heat solution of the periodic or the in-flow problem, diffusivity 1/3."""
    k = 4.0 * torch.pi

    def density(t, x):
        if case.boundary.left.kind == "periodic":
            return 1.0 + torch.exp(-k * k * t / 3.0) * torch.cos(k * x)
        return torch.erfc(x / torch.sqrt(4.0 * t.clamp_min(1e-9) / 3.0))

    return with_slopes(lambda eps, t, x: first_order(density, eps, t, x, v), batch)


def wrong(batch, v, w, case):
    """The same with ten times the diffusivity: not the limit."""
    k = 4.0 * torch.pi

    def density(t, x):
        if case.boundary.left.kind == "periodic":
            return 1.0 + torch.exp(-10.0 * k * k * t / 3.0) * torch.cos(k * x)
        return torch.erfc(x / torch.sqrt(40.0 * t.clamp_min(1e-9) / 3.0))

    return with_slopes(lambda eps, t, x: first_order(density, eps, t, x, v), batch)


def first_order(density, eps, t, x, v):
    rho, rho_x = torch.func.jvp(lambda s: density(t, s), (x,), (torch.ones_like(x),))
    return rho[..., None] - eps[..., None] * v * rho_x[..., None]


EXACT = {"transport": [(PERIODIC, fourier_mode), (ISOTROPIC, fourier_mode), (ABSORBER, absorbed)]}
LIMIT = {"transport": [(ISOTROPIC, diffused), (INFLOW, diffused)]}
WRONG = {"transport": [(ISOTROPIC, wrong), (INFLOW, wrong)]}
PROBLEMS = {
    "transport": [PERIODIC, INFLOW, ("transport_variable_scattering", ()), ("transport_boundary_layer", ())],
    "bgk": [SOD],
}


def pairs(table):
    return [
        pytest.param(name, *entry, id=f"{name}-{entry[0][0]}-{i}")
        for name in NAMES
        for i, entry in enumerate(table.get(equation_of(name), []))
    ]


def make(name, problem, velocities=16):
    case = read_case(CASES / f"{problem[0]}.toml", overrides=list(problem[1]))
    return KINDS["formulations"].load(name)(case, velocities), case


def batch_of(formulation, case, eps, times):
    low, high = case.domain.x
    t, x = np.meshgrid(times, low + (high - low) * np.array([0.013, 0.11, 0.29, 0.47, 0.83]), indexing="ij")
    arrays = (torch.tensor(a, dtype=torch.float64) for a in (np.full(t.size, eps), t.ravel(), x.ravel()))
    return formulation.prepare(*arrays)


def largest(formulation, case, solution, eps, times):
    batch = batch_of(formulation, case, eps, times)
    f = solution(batch, formulation.v, formulation.w, case)
    rows = formulation.residuals(formulation.solution_of(f, batch), batch)
    assert set(rows) == set(formulation.residual_names)
    return {name: float(row.abs().max()) for name, row in rows.items()}


@pytest.mark.parametrize(("name", "problem", "solution"), pairs(EXACT))
@pytest.mark.parametrize("eps", [1.0, 0.1, 0.03])
def test_exact_solution_leaves_no_residual(name, problem, solution, eps):
    formulation, case = make(name, problem)
    for residual, size in largest(formulation, case, solution, eps, [0.003, 0.02, 0.07]).items():
        assert size < 1e-8, residual


@pytest.mark.parametrize(("name", "problem", "solution"), pairs(LIMIT))
def test_limit_solution_leaves_no_residual_as_eps_vanishes(name, problem, solution):
    formulation, case = make(name, problem)
    large, small = (largest(formulation, case, solution, eps, [0.004, 0.009]) for eps in (1e-3, 1e-6))
    for residual in formulation.residual_names:
        assert small[residual] < 1e-4, residual
        assert small[residual] < 0.01 * large[residual] + 1e-9, residual


@pytest.mark.parametrize(("name", "problem", "solution"), pairs(WRONG))
def test_only_the_limit_solution_does_if_asymptotic_preserving(name, problem, solution):
    formulation, case = make(name, problem)
    sizes = largest(formulation, case, solution, 1e-6, [0.004, 0.009])
    assert (max(sizes.values()) > 0.05) == formulation.asymptotic_preserving


@pytest.mark.parametrize(
    ("name", "problem"),
    [(name, problem) for name in NAMES for problem in PROBLEMS.get(equation_of(name), [])],
)
def test_shapes_and_derivatives(name, problem):
    """Names and sizes are as declared; d_t, d_x of the unknowns are those of their values, through features and ansatz."""
    formulation, case = make(name, problem, 8)
    network = KINDS["networks"].load("mlp")(formulation.inputs, formulation.outputs, 8, 2)
    theta = network.initial(torch.Generator().manual_seed(0))
    low, high = case.domain.x
    eps, t, x = (
        torch.tensor(a, dtype=torch.float64)
        for a in ([0.05, 0.5, 0.5], [0.03, 0.02, 0.04], low + (high - low) * np.array([0.31, 0.62, 0.2]))
    )
    step = 1e-5

    def unknowns(dt, dx):
        batch = formulation.prepare(eps, t + dt, x + dx)
        outputs = network(theta, batch.inputs)
        solution = formulation.ansatz(outputs, batch)
        if dt == dx == 0.0:
            assert set(formulation.residuals(solution, batch)) == set(formulation.residual_names)
            values = network(theta, formulation.features(eps, t, x).unsqueeze(-3))
            fields = formulation.fields_of(values, eps, t, x)
            assert set(fields) == set(formulation.fields)
            assert all(value.shape == x.shape for value in fields.values())
        return list(vars(solution).values())

    for k, shift in ((1, (step, 0.0)), (2, (0.0, step))):
        ahead, behind = unknowns(*shift), unknowns(*(-s for s in shift))
        for here, after, before in zip(unknowns(0.0, 0.0), ahead, behind, strict=True):
            axis = -2 if here.ndim == 2 else -3
            inside = slice(0, 3)  # the points on the ends do not move
            quotient = (after.select(axis, 0) - before.select(axis, 0)) / (2 * step)
            found = here.select(axis, k)
            if here.ndim == 2:
                found, quotient = found[inside], quotient[inside]
            else:
                found, quotient = found[inside, :], quotient[inside, :]
            torch.testing.assert_close(found, quotient, rtol=2e-5, atol=2e-5)
