"""Gases on free flight: moments of jumping data, an exact cloud, rows against the kinetic equation itself, far fields."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import erfc

from apnn.flight import Flight
from apnn.formulations.bgk_conservation import Formulation as BGK
from apnn.formulations.esbgk_conservation import Formulation as ESBGK
from apnn.gas import FINER, Solution
from apnn.gaussian import realizable
from apnn.networks.mlp import Network
from solvers.limits.euler import finite_differences
from solvers.problem.read import read_case
from solvers.problem.riemann_states import middle_states
from solvers.problem.status import BadInput

CASES = Path(__file__).parents[2] / "cases"


def tensors(*arrays):
    return [torch.tensor(a, dtype=torch.float64) for a in np.broadcast_arrays(*arrays)]


def case_of(name, variant=None, *overrides):
    return read_case(CASES / f"{name}.toml", variant, list(overrides))


@pytest.mark.parametrize("where", [-0.1, 0.0, 0.02])
def test_moments_of_a_jump_are_those_of_two_half_maxwellians(where):
    flight = Flight(case_of("bgk_riemann", "V"), 1, "cpu")
    assert flight.jumps == pytest.approx([0.0], abs=1e-9)
    assert flight.similar
    t, x = tensors(0.04, where)
    xi = where / 0.04
    rho = 0.5 * (1.5 * erfc(xi / math.sqrt(3.0)) + 0.625 * erfc(-xi / math.sqrt(1.5)))
    flux = sum(
        s * n * math.sqrt(T / (2 * math.pi)) * math.exp(-xi * xi / (2 * T))
        for s, n, T in ((1, 1.5, 1.5), (-1, 0.625, 0.75))
    )
    found = flight.moments(t[None], x[None])
    assert found[0, 0] == pytest.approx(rho, rel=1e-10)
    assert found[1, 0] == pytest.approx(flux, rel=1e-9)


def test_scales_of_the_data():
    smooth, cusp = (Flight(case_of("bgk_riemann", name), 1, "cpu") for name in ("IV", "II"))
    assert not smooth.jumps
    assert smooth.length == pytest.approx(0.05, rel=1e-3)
    assert cusp.jumps == pytest.approx([0.0], abs=1e-9)
    assert not cusp.similar
    strong = Flight(case_of("esbgk_riemann"), 2, "cpu")
    # problems.md (56): shocks at 1.7301 and 4.7118, contact at 3.07045
    assert [wave.speed for wave in strong.waves] == pytest.approx([1.7301, 3.07045, 4.7118], abs=1e-4)
    assert [wave.shock for wave in strong.waves] == [True, False, True]


@pytest.mark.parametrize("eps", [1.0, 0.1])
def test_expanding_cloud_is_an_exact_solution(eps):
    """exp(-(x-vt)^2/0.01 - v^2/2) is a local Maxwellian at all times: no residual, and the fields are its moments."""
    cloud = ("initial.rho=exp(-x**2/0.01)", "initial.u=0", "initial.T=1")
    formulation = BGK(case_of("sod", None, *cloud), 32)
    eps, t, x = tensors(eps, [0.01, 0.03, 0.05], [-0.06, 0.01, 0.08])
    batch = formulation.prepare(eps, t, x)
    v, one = formulation.v, torch.ones_like(batch.t)

    def f(s, y):
        return torch.exp(-((y[:, None] - v * s[:, None]) ** 2) / 0.01 - 0.5 * v**2) / math.sqrt(2.0 * math.pi)

    value, by_t = torch.func.jvp(lambda s: f(s, batch.x), (batch.t,), (one,))
    _, by_x = torch.func.jvp(lambda y: f(batch.t, y), (batch.x,), (one,))
    inside = slice(0, 3)
    # the rows of the ends see a cloud that the case cuts off there
    solution = formulation.solution_of(torch.stack([value, by_t, by_x]), batch)
    rows = formulation.residuals(solution, batch)
    for name in ("mass", "momentum", "energy", "kinetic"):
        assert rows[name][inside].abs().max() < 1e-8, name


class Flying:
    """In place of what is known: one flight, by a Gauss rule, of an equilibrium whose fields are formulas."""

    def __init__(self, formulation):
        self.formulation = formulation
        z, w = np.polynomial.legendre.leggauss(60)
        self.z, self.w = (torch.tensor(0.5 * a, dtype=torch.float64) for a in (z + 1.0, w))

    def G(self, eps, t, x):
        eps, t, x = (a[..., None, None] for a in (eps, t, x))
        r = -eps * torch.log1p(torch.expm1(-t / eps) * self.z[:, None])
        v = self.formulation.v
        then, rise = t - r, torch.tanh(4.0 * (x - v * r - 3.0 * (t - r)))
        M = torch.exp(-((v - 1.0 + rise) ** 2) / (2.0 * (2.0 + then - rise)))
        M = M * (0.3 - 0.1 * rise) / torch.sqrt(2.0 * torch.pi * (2.0 + then - rise))
        both = torch.cat([M, 2.0 * (1.6 - 0.5 * rise) * M], dim=-1)
        return torch.einsum("r,...rv->...v", self.w, both)

    def maxwellian(self, G):
        f = self.formulation
        rho, momentum, energy = (G @ f.conserve).unbind(-1)
        u = momentum / rho
        T = 0.5 * (2.0 * energy / rho - u**2)
        return torch.stack([rho.log(), u, T.log()], dim=-1), f.equilibrium(rho, u, T, T)

    def beyond(self, eps, t, x):
        G = self.G(eps, t, x)
        return G - self.maxwellian(G)[1]

    def __call__(self, eps, t, x):
        f, G = self.formulation, self.G(eps, t, x)
        W, M = self.maxwellian(G)
        free = f.flight.state(f.flight.moments(t, x)).transpose(-1, -2)
        first = (G - M)[..., : len(f.v)] * f.w
        return torch.cat(
            [W - free, torch.stack([first @ f.v**2, ((G - M) @ f.flux)[..., 2], first @ f.v**3], dim=-1)], dim=-1
        )


@pytest.mark.parametrize(
    ("make", "name", "d"), [(BGK, "bgk_smooth", 1), (ESBGK, "esbgk_smooth", 2), (ESBGK, "esbgk_riemann", 2)]
)
def test_rows_are_the_kinetic_equation(make, name, d):
    """eps (d_t + v d_x) f + f - G[f] and the conservation laws of any f, moments by sums over the nodes; problems.md (49)-(53)."""
    nodes = 96 if name == "esbgk_riemann" else 40  # fast gas beside cold gas: the tails
    overrides = ["knudsen.train=[0.03, 1.0]"] if name == "esbgk_riemann" else []  # less to know beforehand, sooner
    formulation = make(case_of(name, None, *overrides), nodes)
    if formulation.parted:
        formulation.known = Flying(formulation)
    network = Network(formulation.inputs, formulation.outputs, 8, 2)
    theta = network.initial(torch.Generator().manual_seed(3))
    eps, t, x = tensors([0.3, 0.05], [0.031, 0.045], [0.05, 0.15])
    v, w, nu = formulation.v, formulation.w, formulation.nu

    def unknowns(s, y):
        batch = formulation.prepare(eps, s, y)
        return formulation.ansatz(network(theta, batch.inputs), batch), batch

    def f(s, y):
        solution, _batch = unknowns(s, y)
        solution = Solution(solution.W[:, :2], solution.C[:, :2])  # without points on the ends
        rho, u, T = solution.W[0, :, 0].exp(), solution.W[0, :, 1], solution.W[0, :, 2].exp()
        E = torch.exp(-s / eps)[:, None]
        G = formulation.equilibrium(rho, u, T, T) + solution.C[0]
        if formulation.parted:
            G = G + formulation.known.beyond(eps, s, y)
        return E * formulation.flight.on(v, s, y) + (1.0 - E) * G

    step = 1e-6
    value = f(t, x)
    by_t, by_x = ((f(t + a, x + b) - f(t - a, x - b)) / (2 * step) for a, b in ((step, 0.0), (0.0, step)))
    both = v.repeat(d)
    streamed = by_t + both * by_x
    first, second = value[:, :nodes], value[:, nodes:]
    rho = first @ w
    u = first @ (w * v) / rho
    theta11 = first @ (w * v**2) / rho - u**2
    theta22 = 0.5 * (second @ w) / rho if d == 2 else theta11
    T = 0.5 * (theta11 + theta22)
    T11, T22 = (1.0 - nu) * T + nu * theta11, (1.0 - nu) * T + nu * theta22
    G = (
        rho[:, None]
        / torch.sqrt(2.0 * torch.pi * T11[:, None])
        * torch.exp(-((v - u[:, None]) ** 2) / (2.0 * T11[:, None]))
    )
    G = G if d == 1 else torch.cat([G, 2.0 * T22[:, None] * G], dim=-1)
    expected = eps[:, None] * streamed + value - G
    solution, batch = unknowns(t, x)
    rows = formulation.residuals(solution, batch)
    unit, moving, hot = torch.ones_like(t), torch.zeros_like(t), 1.0
    if formulation.parted:  # rows of an observer who moves with the known u, relative to the known rho
        unit, moving, hot = batch.base[0, :2, 0].exp(), batch.base[0, :2, 1], formulation.flight.hot
    found = (rows["kinetic"] / formulation.row_weight * batch.size[:, None])[:2] * unit[:, None]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    seen = both - moving[:, None]
    across = torch.cat([torch.zeros_like(v), torch.full_like(v, 0.25)])[: d * nodes]
    number = torch.cat([torch.ones_like(v), torch.zeros_like(v)])[: d * nodes]
    h = 1.0 - torch.exp(-t / eps)
    powers = {"mass": number, "momentum": number * seen / hot**0.5, "energy": (0.5 * number * seen**2 + across) / hot}
    for name_, power in powers.items():
        law = (streamed * w.repeat(d) * power).sum(-1)
        torch.testing.assert_close(rows[name_][:2] * unit * h / batch.ease[:2], law, rtol=1e-4, atol=1e-5)
    if formulation.fluxes:  # the fluxes of momentum and energy that a defect of the kinetic equation makes
        defects = [(both * expected * w.repeat(d) * powers[name_]).sum(-1) for name_ in ("momentum", "energy")]
        length = formulation.flight.t0 * formulation.flight.hot**0.5 / FINER
        made = rows["flux"][:2] / (h * batch.ease[:2] / length).unsqueeze(-1)
        torch.testing.assert_close(made, torch.stack(defects, dim=-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nu", [-0.5, 0.9])
def test_a_stress_that_no_gas_has_bends_smoothly(nu):
    e = torch.linspace(-40.0, 40.0, 4001, dtype=torch.float64)
    kept, slope = torch.func.jvp(lambda e: realizable(e, nu), (e,), (torch.ones_like(e),))
    inside = e.abs() <= 1.0
    torch.testing.assert_close(kept[inside], e[inside], rtol=1e-14, atol=0.0)
    assert (1.0 + nu * kept).min() > 0.04
    edge = torch.tensor([-1.0 - 1e-9, -1.0 + 1e-9, 1.0 - 1e-9, 1.0 + 1e-9], dtype=torch.float64)
    _, at_edge = torch.func.jvp(lambda e: realizable(e, nu), (edge,), (torch.ones_like(edge),))
    torch.testing.assert_close(at_edge, torch.ones_like(edge))
    assert slope.min() >= 0.0


def test_fields_are_moments_of_f():
    formulation = ESBGK(case_of("esbgk_smooth"), 40)
    network = Network(formulation.inputs, formulation.outputs, 8, 2)
    theta = network.initial(torch.Generator().manual_seed(5))
    eps, t, x = tensors([0.3, 0.02], [0.05, 0.08], [-0.2, 0.3])
    batch = formulation.prepare(eps, t, x)
    solution = formulation.ansatz(network(theta, batch.inputs), batch)
    rho, u, T = solution.W[0, :, 0].exp(), solution.W[0, :, 1], solution.W[0, :, 2].exp()
    E, v, w = torch.exp(-t / eps)[:, None], formulation.v, formulation.w
    M = formulation.equilibrium(rho, u, T, T) + solution.C[0]
    first, second = (E * formulation.flight.on(v, t, x) + (1.0 - E) * M).split(40, dim=-1)
    fields = formulation.fields_of(network(theta, batch.inputs[:1]), eps, t, x)
    density = first @ w
    c = v - (first @ (w * v) / density)[:, None]
    along, across = (c**2 * first) @ w / density, 0.5 * (second @ w) / density
    expected = {"rho": density, "T": 0.5 * (along + across), "sigma": along - across}
    expected |= {"q": 0.5 * ((c**3 * first) @ w + 0.5 * (c * second) @ w), "A": (along - across) / (along + across)}
    for name, value in expected.items():
        torch.testing.assert_close(fields[name], value, rtol=1e-6, atol=1e-6)


def test_correction_has_no_moments():
    for formulation, d in ((BGK(case_of("sod"), 24), 1), (ESBGK(case_of("esbgk_riemann", "jump"), 24), 2)):
        g = (
            torch.randn(5, 24 * d, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
            @ formulation.project
        )
        assert (g @ formulation.conserve).abs().max() < 1e-10 * g.abs().max()


@pytest.mark.parametrize("eps", [1.0, 1e-4])
def test_nothing_happens_far_from_a_jump(eps):
    """Whatever the network says, the gas beyond the waves keeps its state."""
    formulation = ESBGK(case_of("esbgk_riemann", "jump"), 32)
    network = Network(formulation.inputs, formulation.outputs, 8, 2)
    theta = network.initial(torch.Generator().manual_seed(1))
    eps, t, x = tensors(eps, 0.01, [-0.9, 0.9])
    fields = formulation.fields_of(network(theta, formulation.features(eps, t, x).unsqueeze(-3)), eps, t, x)
    torch.testing.assert_close(fields["rho"], torch.tensor([1.0, 0.125], dtype=torch.float64), rtol=1e-6, atol=0.0)
    torch.testing.assert_close(fields["T"], torch.tensor([1.0, 0.25], dtype=torch.float64), rtol=1e-5, atol=0.0)


def test_the_fast_shock_runs_where_conservation_puts_it():
    """Late, the integrals of what the smooth data hold beyond the jump are shifts of the waves: sum_k s_k [U]_k = -D."""
    flight = Flight(case_of("esbgk_riemann"), 2, "cpu")
    x = torch.linspace(-1.0, 1.0, 20001, dtype=torch.float64)

    def conserved(rho, u, T):
        return np.array([rho, rho * u, 0.5 * rho * u**2 + rho * T])

    states = [flight.ends[0], *middle_states(*flight.ends, 2.0), flight.ends[1]]
    U = [conserved(*state) for state in states]
    smooth = conserved(*(field.numpy() for field in flight.given(x)))
    beyond = np.trapezoid(smooth - np.where(x.numpy() < 0.0, U[0][:, None], U[-1][:, None]), x.numpy())
    shift = np.linalg.solve(np.diff(U, axis=0).T, -beyond)[-1]
    last = flight.waves[-1]
    t = torch.tensor([0.08, 0.1], dtype=torch.float64)
    found = last.course.place(t)
    torch.testing.assert_close(found, last.speed * t + shift, rtol=0.0, atol=2e-3)
    assert (last.course.width(t) < 1e-3).all()
    assert last.course.width(torch.zeros(1, dtype=torch.float64)) > 0.02


def test_a_shock_that_forms_late_is_shown_to_the_network():
    """Sod's tube, smoothed: the front of the limit on another grid, and inputs that are as thin as it only where eps is small."""
    case = case_of("sod")
    formulation = BGK(case, 16)
    flight = formulation.flight
    assert flight.parted
    assert Flight(case_of("bgk_riemann"), 1, "cpu").parted
    others = ("bgk_riemann", "III"), ("bgk_riemann", "I"), ("bgk_smooth",)
    assert not any(Flight(case_of(*name), 1, "cpu").parted for name in others)
    place, values = finite_differences(case, 2000, np.array([0.0, 0.05, 0.1]))
    front = place[np.gradient(values[:, 1], axis=1).argmin(axis=1)]
    shock, t = flight.waves[-1], torch.tensor([0.0, 0.05, 0.1], dtype=torch.float64)
    torch.testing.assert_close(shock.course.place(t).numpy()[1:], front[1:], rtol=0.0, atol=2e-3)
    thin = formulation.wave_width(shock, torch.full_like(t, 1e-4), t)
    assert thin[0] > 0.02
    assert thin[2] < 1.5e-3
    assert formulation.wave_width(shock, torch.ones_like(t), t)[2] > 0.1


def test_waves_that_have_parted_are_known():
    """Without a network: free flight and its first derivative at first, the limit's states at the end; far away nothing."""
    formulation = ESBGK(case_of("esbgk_riemann", None, "knudsen.train=[1e-4, 1e-2]"), 32)
    flight = formulation.flight
    assert flight.parted
    network = Network(formulation.inputs, formulation.outputs, 8, 2)
    theta = torch.zeros(network.size, dtype=torch.float64)
    eps, t, x = tensors([1e-2, 1e-4], 1e-6, [0.01, -0.03])
    batch = formulation.prepare(eps, t, x)
    free = flight.moments_with_slopes(batch.t, batch.x)
    value, by_t = torch.func.jvp(flight.state, (free[0],), (free[1],))
    torch.testing.assert_close(batch.base[0], value.T, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(batch.base[1], by_t.T, rtol=1e-2, atol=1e-1)
    places = [-0.3, 0.2, 0.35, 0.7]
    eps, t, x = tensors(1e-4, 0.1, places)
    outputs = network(theta, formulation.features(eps, t, x).unsqueeze(-3))
    found = formulation.fields_of(outputs, eps, t, x)
    states = [flight.ends[0], *middle_states(*flight.ends, 2.0), flight.ends[1]]
    for k, name in enumerate(("rho", "u", "T")):
        expected = torch.tensor([state[k] for state in states], dtype=torch.float64)
        torch.testing.assert_close(found[name], expected, rtol=0.15, atol=1e-2)  # the contact is as thick as the data
    noise = network.initial(torch.Generator().manual_seed(1))
    far = tensors(1e-4, 0.1, [-0.3, 0.8])
    found = formulation.fields_of(network(noise, formulation.features(*far).unsqueeze(-3)), *far)
    torch.testing.assert_close(found["rho"], torch.tensor([1.0, 0.125], dtype=torch.float64), rtol=1e-4, atol=0.0)


def test_ends_and_rates_that_do_not_train_are_refused():
    with pytest.raises(BadInput, match=r"boundary\.left\.kind = 'specular'"):
        BGK(case_of("sod", None, "boundary.left=specular"), 8)
    with pytest.raises(BadInput, match=r"equation\.tau"):
        ESBGK(case_of("esbgk_smooth", None, "equation.tau=filbet_jin"), 8)


def test_an_end_that_lets_gas_in_holds_the_entering_half():
    """problems.md (45) I: the rows of the ends are G minus the given Maxwellian for the entering directions only."""
    formulation = BGK(case_of("bgk_riemann", "I"), 24)
    eps, t, x = tensors(0.01, [0.05] * 8, [0.1] * 8)
    batch = formulation.prepare(eps, t, x)
    shape = (3, batch.t.numel())
    W = torch.zeros(*shape, 3, dtype=torch.float64)
    W[0] = torch.tensor([math.log(1.5), 0.0, math.log(1.5)], dtype=torch.float64)
    rows = formulation.residuals(Solution(W, torch.zeros(*shape, 24, dtype=torch.float64)), batch)
    assert rows["left"].abs().max() < 1e-12 < 1e-2 < rows["right"].abs().max()
    assert rows["left"].shape[-1] == int((formulation.v > 0).sum())


@pytest.mark.parametrize("T", [0.75, 1.0, 1.5])
def test_half_range_rule_is_right_for_a_cut_maxwellian(T):
    """Equidistant nodes miss <v^3 M; v > 0> by percents, the Gauss rule of the weight exp(-v^2/2T_0) by less than 1e-5."""
    formulation = BGK(case_of("bgk_riemann", "I"), 16)
    ahead = formulation.v > 0
    v, w = formulation.v[ahead], formulation.w[ahead]
    M = torch.exp(-(v**2) / (2 * T)) / math.sqrt(2 * math.pi * T)
    half = [0.5, math.sqrt(T / (2 * math.pi)), 0.5 * T, 2 * T * math.sqrt(T / (2 * math.pi))]
    for k, exact in enumerate(half):
        assert float((w * v**k * M).sum()) == pytest.approx(exact, rel=1e-5)
    with pytest.raises(BadInput, match="even"):
        BGK(case_of("bgk_riemann", "I"), 15)


def test_ends_that_gas_reaches_have_points_and_columns_in_their_layers():
    quiet, lively = BGK(case_of("sod"), 16), BGK(case_of("bgk_riemann", "I"), 16)
    assert quiet.reached == ()
    assert lively.reached == ("left", "right")
    assert lively.places == BGK(case_of("bgk_riemann", "II"), 16).places == 3 + 1 + 2 + 2 + len(lively.flight.waves)
    eps = torch.full((4096,), 1e-3, dtype=torch.float64)
    s, y = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(4096, dtype=torch.float64).T
    t, x = lively.stratify(eps, s, y)
    assert (x >= lively.low).all()
    assert (x <= lively.high).all()
    for side in lively.reached:
        away, deep = lively.away(side, x), lively.conduction(eps, t)
        # a uniform draw would leave one point in a hundred within the layer of heat, and one in four hundred in Knudsen's
        assert float((away < deep).double().mean()) > 0.08
        assert float((away < lively.layer(eps)).double().mean()) > 0.02


def test_heat_from_an_end_spreads_like_the_square_root_of_time():
    """The width of the column is that of erfc(x / 2 sqrt(eps T t)) once t >> eps, and Knudsen's layer before."""
    formulation = BGK(case_of("bgk_riemann", "I"), 16)
    eps, t = tensors(1e-4, [0.02, 0.08])
    width = formulation.conduction(eps, t)
    assert float(width[1] / width[0]) == pytest.approx(2.0, rel=5e-3)
    assert float(width[0]) == pytest.approx(2 * math.sqrt(1.5e-4 * 0.02), rel=5e-3)
    early = formulation.conduction(*tensors(1e-4, 1e-9))
    assert float(early) == pytest.approx(float(formulation.layer(eps[0])), rel=1e-3)


def test_a_pulse_between_equal_inflows_has_points_in_their_layers():
    """No wave of a Riemann problem leaves it, but what it sends out reaches the ends."""
    pulse = ("initial.rho=rho_L + exp(-20*x**2)", "initial.T=T_L", "constants.rho_R=1.5", "constants.T_R=1.5")
    formulation = BGK(case_of("bgk_riemann", "I", *pulse), 16)
    assert formulation.flight.waves == []
    assert formulation.reached == ("left", "right")
    eps = torch.full((1024,), 1e-3, dtype=torch.float64)
    s, y = torch.quasirandom.SobolEngine(2, scramble=True, seed=0).draw(1024, dtype=torch.float64).T
    t, x = formulation.stratify(eps, s, y)
    for side in formulation.reached:
        assert float((formulation.away(side, x) < formulation.conduction(eps, t)).double().mean()) > 0.08


@pytest.mark.parametrize(("make", "name", "variant"), [(BGK, "bgk_riemann", "I"), (ESBGK, "esbgk_smooth", None)])
def test_gradients_of_rows_are_those_of_differences(make, name, variant):
    formulation = make(case_of(name, variant), 8)
    eps, t, x = tensors([0.3, 0.02], [0.05, 0.08], [0.2, 0.3])
    batch = formulation.prepare(eps, t, x)
    generator = torch.Generator().manual_seed(2)
    outputs = torch.randn(*batch.base.shape[:-1], formulation.outputs, dtype=torch.float64, generator=generator)

    def rows(outputs):
        return tuple(formulation.residuals(formulation.ansatz(0.3 * outputs, batch), batch).values())

    assert torch.autograd.gradcheck(rows, outputs.requires_grad_())
