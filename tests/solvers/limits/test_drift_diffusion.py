"""Drift-diffusion: its Jacobian, equilibrium, order, the stationary state against a collocation solver, devsim if it is there."""

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_bvp

from solvers.limits.drift_diffusion import BAND, Device, Limit, steady
from solvers.problem.read import read_case
from solvers.scharfetter_gummel import bernoulli, bernoulli_array

DIODE = Path(__file__).parents[3] / "cases/diode.toml"


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_bernoulli_function():
    delta = np.array([-700.0, -3.0, -0.010001, -0.009999, 0.0, 0.009999, 0.010001, 3.0, 700.0])
    value, slope = bernoulli_array(delta)
    np.testing.assert_allclose(value[:-1] - bernoulli_array(-delta)[0][:-1], -delta[:-1], atol=1e-13)
    near = np.diff(value[[2, 3]]) / np.diff(delta[[2, 3]])
    assert slope[2] == pytest.approx(near[0], rel=1e-6)
    assert bernoulli(0.0) == (1.0, -0.5)
    assert value[-1] == 0.0


def test_jacobian():
    device = Device(read_case(DIODE), 12)
    y = np.random.default_rng(0).random(22)
    exact = np.array([(device.rate(y + d) - device.rate(y - d)) / 2e-6 for d in 1e-6 * np.eye(22)]).T
    banded = device.jacobian(y)
    for i in range(22):
        for j in range(22):
            stored = banded[BAND + i - j, j] if abs(i - j) <= BAND else 0.0
            assert stored == pytest.approx(exact[i, j], abs=1e-6)


def test_equilibrium_without_bias():
    case = read_case(
        DIODE, overrides=["boundary.right.potential=0.0", "equation.theta=0.7", "velocity.temperature=0.7"]
    )
    x = np.linspace(*case.domain.x, 301)
    found = steady(case, x, cells=300)
    np.testing.assert_allclose(found["rho"], np.exp(found["Phi"] / 0.7), rtol=1e-10)
    assert np.abs(found["J"]).max() < 1e-11


def test_stationary_state_against_collocation():
    """scipy's solve_bvp on (rho, Phi, E, J) as an independent solver."""
    case = read_case(DIODE)
    c, beta = case.equation.doping, case.equation.beta
    x = np.linspace(0.0, 1.0, 201)
    ours = steady(case, x, cells=2400)

    def slopes(x, y):
        rho, _, E, J = y
        return np.array([-J - rho * E, -E, -(rho - c(x=x)) / beta, np.zeros_like(x)])

    def ends(a, b):
        return np.array([a[0] - c(x=0.0), b[0] - c(x=1.0), a[1], b[1] - 5.0])

    rough = np.array([np.interp(x, x[::10], ours[name][::10]) for name in ("rho", "Phi", "E", "J")])
    theirs = solve_bvp(slopes, ends, x, rough, tol=1e-8, max_nodes=20_000)
    assert theirs.success
    for field, value in zip(("rho", "Phi", "E", "J"), theirs.sol(x), strict=True):
        assert distance(ours[field][1:-1], value[1:-1]) < 1e-5, field


def test_order_and_march_to_the_stationary_state():
    case = read_case(DIODE, overrides=["domain.t_end=0.2", "domain.output_times=[0.01, 0.2]"])
    x = np.linspace(0.0, 1.0, 101)[1:-1]
    times = np.array(case.domain.output_times)
    runs = [Limit().solve(case, {"x": x}, times, cells=cells) for cells in (100, 200, 400)]
    for field in ("rho", "Phi", "J"):
        first, second = (distance(runs[k][field][0], runs[k + 1][field][0]) for k in (0, 1))
        assert np.log2(first / second) > 1.8, field
    final = steady(case, x, cells=400)
    for field in ("rho", "Phi", "E", "J"):
        assert distance(runs[2][field][1], final[field]) < 1e-6, field


@pytest.mark.slow
def test_stationary_state_against_devsim():
    """devsim: a general finite-volume device simulator, given our equations on its own mesh."""
    devsim = pytest.importorskip("devsim", reason="the extra 'devices' is not installed")
    case = read_case(DIODE)
    points = np.linspace(0.0, 1.0, 801)
    devsim.create_1d_mesh(mesh="m")
    for x in points:
        devsim.add_1d_mesh_line(mesh="m", pos=float(x), ps=1.0 / 800, tag=f"p{x:.6f}")
    devsim.add_1d_contact(mesh="m", name="left", tag="p0.000000", material="metal")
    devsim.add_1d_contact(mesh="m", name="right", tag="p1.000000", material="metal")
    devsim.add_1d_region(mesh="m", material="Si", region="r", tag1="p0.000000", tag2="p1.000000")
    devsim.finalize_mesh(mesh="m")
    devsim.create_device(mesh="m", device="d")
    where = {"device": "d", "region": "r"}
    x = np.array(devsim.get_node_model_values(**where, name="x"))
    doping = case.equation.doping(x=x)
    devsim.node_solution(**where, name="Doping")
    devsim.set_node_values(**where, name="Doping", values=list(map(float, doping)))
    for name, start in (("Phi", 0.0 * x), ("Rho", doping)):
        devsim.node_solution(**where, name=name)
        devsim.set_node_values(**where, name=name, values=list(map(float, start)))
        devsim.edge_from_node_model(**where, node_model=name)
    models = {
        "D": f"{case.equation.beta}*(Phi@n0 - Phi@n1)*EdgeInverseLength",
        "vdiff": "Phi@n0 - Phi@n1",
        "Bern": "B(vdiff)",
        "Flux": "(Rho@n1*Bern - Rho@n0*(Bern + vdiff))*EdgeInverseLength",
    }
    # B(vdiff) Rho@n1 and B(-vdiff) Rho@n0 would be the other carrier: electrons climb Phi
    models["Flux"] = "(Rho@n1*(Bern + vdiff) - Rho@n0*Bern)*EdgeInverseLength"
    for name, equation in models.items():
        devsim.edge_model(**where, name=name, equation=equation)
    for model, variables in (("D", ("Phi",)), ("vdiff", ("Phi",)), ("Bern", ("Phi",)), ("Flux", ("Phi", "Rho"))):
        for variable in variables:
            for node in ("n0", "n1"):
                devsim.edge_model(
                    **where, name=f"{model}:{variable}@{node}", equation=f"diff({models[model]}, {variable}@{node})"
                )
    devsim.edge_model(**where, name="Bern:Phi@n0", equation="dBdx(vdiff)")
    devsim.edge_model(**where, name="Bern:Phi@n1", equation="-dBdx(vdiff)")
    devsim.node_model(**where, name="Charge", equation="Rho - Doping")
    devsim.node_model(**where, name="Charge:Rho", equation="1")
    devsim.equation(**where, name="Poisson", variable_name="Phi", node_model="Charge", edge_model="D")
    devsim.equation(**where, name="Continuity", variable_name="Rho", edge_model="Flux", variable_update="positive")
    for contact in ("left", "right"):
        devsim.set_parameter(device="d", name=f"{contact}_bias", value=0.0)
        for variable, value, equation in (("Phi", f"{contact}_bias", "Poisson"), ("Rho", "1", "Continuity")):
            name = f"{contact}_{variable}"
            devsim.contact_node_model(device="d", contact=contact, name=name, equation=f"{variable} - {value}")
            devsim.contact_node_model(device="d", contact=contact, name=f"{name}:{variable}", equation="1")
            devsim.contact_equation(device="d", contact=contact, name=equation, node_model=name)
    for bias in np.linspace(0.0, case.boundary.right.potential, 11):
        devsim.set_parameter(device="d", name="right_bias", value=float(bias))
        devsim.solve(type="dc", absolute_error=1e-10, relative_error=1e-10, maximum_iterations=60)
    ours = steady(case, x, cells=2400)
    for field, name in (("rho", "Rho"), ("Phi", "Phi")):
        theirs = np.array(devsim.get_node_model_values(**where, name=name))
        assert distance(ours[field], theirs) < 1e-4, field
    flux = -np.array(devsim.get_edge_model_values(**where, name="Flux"))
    assert np.abs(flux / ours["J"].mean() - 1.0).max() < 1e-4
