"""Maps in the plane: values, and differences centred at zero on the grid of the reference."""

import numpy as np

from kinetic_cli.cases import load_case, shipped_cases
from kinetic_cli.figures.maps import figures
from kinetic_cli.plot import View, pyplot
from solvers.problem.result import Result


def plane_result(run, cells, numbers, shift):
    case = load_case(shipped_cases()["transport_2d"])
    x = -1.0 + 2.0 * (np.arange(cells) + 0.5) / cells
    result = Result.empty(case, "reference", run, {"x": x, "y": x}, numbers)
    for eps in numbers:
        for t in result.coordinates["t"]:
            result.put(eps, t, {"rho": t * (1.0 - x[:, None] ** 2) * (1.5 + x) + shift * x[:, None]})
    return result


def drawn(reference, *others):
    pyplot()
    view = View(reference, list(others), [], ("rho",), tuple((reference or others[0]).coordinates["eps"]))
    ((suffix, figure),) = figures(view)
    assert suffix == "-rho"
    panels = [axis for axis in figure.axes if axis.get_title() and axis.get_visible()]
    return [axis.get_title() for axis in panels], [axis.collections[0] for axis in panels]


def test_differences_are_taken_on_the_grid_of_the_reference_and_centred_at_zero():
    reference, other = plane_result("reference", 9, (1.0, 0.1), 0.0), plane_result("second", 27, (0.1,), 0.25)
    reference.limit["rho"] = reference.fields["rho"][0] * 1.5
    titles, images = drawn(reference, other)
    assert [title.split(" - ")[0] for title in titles] == [
        r"rho, reference, $\varepsilon$ = 1",
        "limit",
        r"rho, reference, $\varepsilon$ = 0.1",
        "limit",
        "second",
    ]
    assert titles[1] == "limit - reference: 5.0e-01"
    np.testing.assert_allclose(images[0].get_array(), reference.fields["rho"][0, -1].T)
    apart = images[4].get_array()
    np.testing.assert_allclose(apart, np.broadcast_to(0.25 * reference.coordinates["x"], (9, 9)), atol=1e-12)
    assert images[4].get_clim() == (-np.abs(apart).max(), np.abs(apart).max())


def test_without_a_reference_the_results_themselves():
    one, two = plane_result("one", 9, (0.1,), 0.0), plane_result("two", 27, (0.1,), 0.1)
    _, images = drawn(None, one, two)
    np.testing.assert_allclose(images[1].get_array(), two.fields["rho"][0, -1].T)
