"""What every formulation promises: an exact solution leaves no residual, eps -> 0 gives the limit, the limit is enforced.

Problems and solutions are chosen by equation; a formulation takes a given f apart itself (`solution_of`).
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from apnn.model import Model
from apnn.options import equation_of, train_options_model
from apnn.precision import cast
from kinetic_cli.kinds import KINDS
from solvers.problem.read import read_case
from tests.tangents import tangents

CASES = Path(__file__).parents[2] / "cases"
NAMES = KINDS["formulations"].names()
FLOAT32 = [name for name in NAMES if KINDS["formulations"].load(name).float32]
PERIODIC = ("transport_periodic", ())
ISOTROPIC = ("transport_periodic", ("initial.f=1 + cos(4*pi*x)",))
ABSORBER = ("transport_inflow", ("equation.sigma_s=1e-13", "equation.sigma_a=2.0", "boundary.left.f=1 + v"))
INFLOW = ("transport_inflow", ("domain.t_end=0.01", "domain.output_times=[0.01]"))
PLANE_ABSORBER = (
    "transport_2d",
    (
        "equation.sigma_s=1e-13",
        "equation.sigma_a=2.0",
        "equation.source=0.5",
        *(f"boundary.{side}.f=1" for side in ("left", "right", "bottom", "top")),
    ),
)
PLANE_SOURCE = ("transport_2d", ("equation.source=cos(pi*x/2)*cos(pi*y/2)*(1 + pi**2/4*t)",))
SOD = ("sod", ())
GAS = ("initial.rho=0.8", "initial.u=0.3", "initial.T=1.1")
CLOUD = ("initial.rho=exp(-x**2/0.01)", "initial.u=0", "initial.T=1", "boundary.left=free", "boundary.right=free")


def with_slopes(f, batch):
    """f(eps, t, x[, y]) on the nodes, with its derivatives in t, x[, y], (3 or 4, B, v)."""
    places = [getattr(batch, axis) for axis in ("t", "x", "y") if hasattr(batch, axis)]
    return torch.stack(tangents(lambda *moved: f(batch.eps, *moved), *places))


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


def absorbed_in_the_plane(batch, v, w, case):
    """1 e^{-sigma_A eps d} + Q/sigma_A (1 - e^{-sigma_A min(t, eps d)}), d the way back to a side: nothing is scattered."""

    def f(eps, t, x, y):
        eps, t = eps[..., None], t[..., None]
        ways = [(place[..., None] + a.sign()) / a for place, a in ((x, v[0]), (y, v[1]))]
        d = eps * torch.minimum(*ways)
        inside = torch.where(d < t, torch.exp(-2.0 * d), torch.zeros_like(d))
        return inside + 0.25 * (1.0 - torch.exp(-2.0 * torch.minimum(d, t)))

    return with_slopes(f, batch)


def diffused_in_the_plane(batch, v, w, case, factor=1.0):
    """f = rho - eps omega.grad rho with rho = t^factor cos(pi x/2) cos(pi y/2), which the source of PLANE_SOURCE makes."""

    def density(t, x, y):
        return t**factor * torch.cos(0.5 * torch.pi * x) * torch.cos(0.5 * torch.pi * y)

    def f(eps, t, x, y):
        rho, _, rho_x, rho_y = tangents(density, t, x, y)
        slope = v[0] * rho_x[..., None] + v[1] * rho_y[..., None]
        return rho[..., None] - eps[..., None] * slope

    return with_slopes(f, batch)


def wrong_in_the_plane(batch, v, w, case):
    return diffused_in_the_plane(batch, v, w, case, 1.3)


def maxwellian(rho, u, T, v):
    return (rho / torch.sqrt(2.0 * torch.pi * T))[..., None] * torch.exp(
        -((v - u[..., None]) ** 2) / (2.0 * T[..., None])
    )


def uniform(batch, v, w, case):
    """A gas at rest in its own frame stays."""

    def f(eps, t, x):
        rho, u, T = 0.8 + 0.0 * t + 0.0 * x, 0.3 + 0.0 * t, 1.1 + 0.0 * t
        M = maxwellian(rho, u, T, v)
        return M if case.equation.velocity_dimension == 1 else torch.cat([M, 2.0 * 1.1 * M], dim=-1)

    return with_slopes(f, batch)


def simple_wave(t, x):
    """Euler, gamma = 3: u - c = -2 everywhere, u + c = w obeys Burgers' equation, w = 2.2 + 0.3 sin(2 pi x) at t = 0."""
    w = torch.full_like(x, 2.2)
    for _ in range(12):
        phase = 2.0 * torch.pi * (x - w * t)
        w = w - (w - 2.2 - 0.3 * torch.sin(phase)) / (1.0 + 0.6 * torch.pi * t * torch.cos(phase))
    u, c = 0.5 * (w - 2.0), 0.5 * (w + 2.0)
    return c, u, c * c / 3.0


def cloud(t, x):
    """Euler, gamma = 2: a Gaussian cloud of uniform temperature, u = x a'/a, width a with a'' = 200/a^2, a(0) = 1."""

    def width(time):
        s = 10.0 * time  # a = cosh(s)^2, 20 t = s + sinh(s) cosh(s)
        for _ in range(6):
            s = s - (s + torch.sinh(s) * torch.cosh(s) - 20.0 * time) / (2.0 * torch.cosh(s) ** 2)
        return torch.cosh(s) ** 2

    a, growth = torch.func.jvp(width, (t,), (torch.ones_like(t),))
    return torch.exp(-((x / a) ** 2) / 0.01) / a, x * growth / a, 1.0 / a


def chapman_enskog(batch, v, w, case, pace=1.0):
    """f to first order in eps over a Euler solution: the Gaussian of its stress minus eps D M; problems.md (53), (54)."""
    d, nu = case.equation.velocity_dimension, getattr(case.equation, "nu", 0.0)
    euler = simple_wave if d == 1 else cloud

    def f(eps, t, x):
        def M(s, y):
            rho, u, T = euler(pace * s, y)
            value = maxwellian(rho, u, T, v)
            return value if d == 1 else torch.cat([value, 2.0 * T[..., None] * value], dim=-1)

        one = torch.ones_like(t)
        value, by_t = torch.func.jvp(lambda s: M(s, x), (t,), (one,))
        _, by_x = torch.func.jvp(lambda y: M(t, y), (x,), (one,))
        moving = by_t + v.repeat(len(value[0]) // len(v)) * by_x
        if d == 1:
            return value - eps[..., None] * moving
        (rho, u, T), (_, slope, _) = torch.func.jvp(lambda y: euler(pace * t, y), (x,), (one,))
        share = -nu * eps * T * slope / (1.0 - nu)  # nu (Theta11 - T)
        G = maxwellian(rho, u, T + share, v)
        return torch.cat([G, 2.0 * (T - share)[..., None] * G], dim=-1) - eps[..., None] * moving

    return with_slopes(f, batch)


def hurried(batch, v, w, case):
    """The same at twice the pace: not the limit."""
    return chapman_enskog(batch, v, w, case, pace=2.0)


EXACT = {
    "transport": [(PERIODIC, fourier_mode), (ISOTROPIC, fourier_mode), (ABSORBER, absorbed)],
    "transport_2d": [(PLANE_ABSORBER, absorbed_in_the_plane)],
    "bgk": [(("sod", GAS), uniform), (("sod", (*GAS, "equation.velocity_dimension=3")), uniform)],
    "esbgk": [(("esbgk_smooth", GAS), uniform)],
}
LIMIT = {
    "transport": [(ISOTROPIC, diffused), (INFLOW, diffused)],
    "transport_2d": [(PLANE_SOURCE, diffused_in_the_plane)],
    "bgk": [(("bgk_smooth", ()), chapman_enskog)],
    "esbgk": [(("esbgk_smooth", CLOUD), chapman_enskog)],
}
WRONG = {
    "transport": [(ISOTROPIC, wrong), (INFLOW, wrong)],
    "transport_2d": [(PLANE_SOURCE, wrong_in_the_plane)],
    "bgk": [(("bgk_smooth", ()), hurried)],
    "esbgk": [(("esbgk_smooth", CLOUD), hurried)],
}
PROBLEMS = {
    "transport": [PERIODIC, INFLOW, ("transport_variable_scattering", ()), ("transport_boundary_layer", ())],
    "transport_2d": [("transport_2d", ()), PLANE_ABSORBER],
    "semiconductor": [("diode", ())],
    "bgk": [SOD, ("bgk_smooth", ()), ("bgk_riemann", ("variant=I",)), ("bgk_riemann", ("variant=V",))],
    "esbgk": [("esbgk_smooth", ()), ("esbgk_riemann", ("knudsen.train=[0.1, 1.0]",))],
}


def pairs(table):
    return [
        pytest.param(name, *entry, id=f"{name}-{entry[0][0]}-{i}")
        for name in NAMES
        for i, entry in enumerate(table.get(equation_of(name), []))
    ]


def make(name, problem, velocities=None):
    velocities = velocities or (32 if "bgk" in name else 16)
    variant = next((word[8:] for word in problem[1] if word.startswith("variant=")), None)
    overrides = [word for word in problem[1] if not word.startswith("variant=")]
    case = read_case(CASES / f"{problem[0]}.toml", variant, overrides)
    return KINDS["formulations"].load(name)(case, velocities), case


def batch_of(formulation, case, eps, times):
    shares = np.array([0.013, 0.11, 0.29, 0.47, 0.83])
    t, share = (a.ravel() for a in np.meshgrid(times, shares, indexing="ij"))
    arrays = [np.full(t.size, eps), t, *places(case, share)]
    return formulation.prepare(*(torch.tensor(a, dtype=torch.float64) for a in arrays))


def places(case, share):
    """x, and in the plane y, at a share of the domain; a line that is no symmetry of it."""
    intervals = [case.domain.x] if case.domain.y is None else [case.domain.x, case.domain.y]
    return [low + (high - low) * (0.93 * share**0.7 if k else share) for k, (low, high) in enumerate(intervals)]


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


@pytest.mark.parametrize(
    ("name", "problem", "solution"),
    [pair for pair in pairs(EXACT) if KINDS["formulations"].load(pair.values[0]).float32],
)
def test_exact_solution_leaves_rounding_alone_in_float32(name, problem, solution):
    formulation, case = make(name, problem)
    batch = batch_of(formulation, case, 0.1, [1e-6, 0.003, 0.07])
    exact = formulation.solution_of(solution(batch, formulation.v, formulation.w, case), batch)
    single = (cast(thing, torch.float32) for thing in (formulation, exact, batch))
    rows = next(single).residuals(*single)
    for residual, row in rows.items():
        assert row.dtype == torch.float32
        assert row.abs().max() < 1e-5, residual


def rows_by_precision(name, problem):
    """A model, and the rows of one network in float32 and in float64 at its points, early ones and the smallest eps among them."""
    case = read_case(CASES / f"{problem[0]}.toml", None, list(problem[1]))
    table = {"points": 64, "width": 8, "velocities": 8, "formulation": name, "network": "mlp", "precision": "float32"}
    model = Model(case, train_options_model(case.equation.kind)(**{**case.train, **table}), "cpu")
    theta = model.initial(torch.Generator().manual_seed(0)).float()

    def rows(number):
        return model.rows(theta.to(number), model.batch(0, number))

    return model, rows


def loss_of_digits(single, double):
    return max(float((single[name] - row).abs().max() / row.abs().max()) for name, row in double.items())


@pytest.mark.parametrize(
    ("name", "problem"),
    [(name, problem) for name in FLOAT32 for problem in PROBLEMS.get(equation_of(name), [])],
)
def test_float32_rows_lose_rounding_only(name, problem):
    _, rows = rows_by_precision(name, problem)
    single = rows(torch.float32)
    assert all(row.dtype == torch.float32 for row in single.values())
    assert loss_of_digits(single, rows(torch.float64)) < 1e-5


@pytest.mark.parametrize(("name", "case"), [("bgk_conservation", "bgk_smooth"), ("esbgk_conservation", "esbgk_smooth")])
def test_rows_that_bear_no_float32_stay_in_float64(name, case):
    """Differences of nearly equal states, divided by small sizes: computed in float32 they would lose more."""
    model, rows = rows_by_precision(name, (case, ()))
    double, mixed = rows(torch.float64), rows(torch.float32)
    assert all(row.dtype == torch.float64 for row in mixed.values())
    assert loss_of_digits(mixed, double) < 1e-5
    model.physics[torch.float32] = cast(model.formulation, torch.float32)
    model._batch_key = None
    assert loss_of_digits(rows(torch.float32), double) > 3e-5


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
    t_end = min(0.1, case.domain.t_end)
    arrays = ([0.05, 0.5, 0.5], t_end * np.array([0.3, 0.2, 0.4]), *places(case, np.array([0.31, 0.62, 0.2])))
    eps, *place = (torch.tensor(a, dtype=torch.float64) for a in arrays)
    step = 1e-5

    def unknowns(*shift):
        batch = formulation.prepare(eps, *(p + s for p, s in zip(place, shift, strict=True)))
        outputs = network(theta, batch.inputs)
        solution = formulation.ansatz(outputs, batch)
        if not any(shift):
            assert set(formulation.residuals(solution, batch)) == set(formulation.residual_names)
            values = network(theta, formulation.features(eps, *place).unsqueeze(-3))
            fields = formulation.fields_of(values, eps, *place)
            assert set(fields) == set(formulation.fields)
            assert all(value.shape == eps.shape for value in fields.values())
        return list(vars(solution).values())

    for k in range(1, 1 + len(place)):
        shift = [step if i == k else 0.0 for i in range(1, 1 + len(place))]
        ahead, behind = unknowns(*shift), unknowns(*(-s for s in shift))
        for here, after, before in zip(unknowns(*[0.0] * len(place)), ahead, behind, strict=True):
            axis = -2 if here.ndim == 2 else -3
            inside = slice(0, 3)  # the points on the ends do not move
            quotient = (after.select(axis, 0) - before.select(axis, 0)) / (2 * step)
            found = here.select(axis, k)
            if here.ndim == 2:
                found, quotient = found[inside], quotient[inside]
            else:
                found, quotient = found[inside, :], quotient[inside, :]
            torch.testing.assert_close(found, quotient, rtol=2e-5, atol=2e-5)
