"""MC/DC (CEMeNT's Monte Carlo code) on in-flow into a cold slab; prints one JSON object.  Called by reference_transport.py.

Runs in any interpreter that has the package `mcdc` and an MPI library:  python peer_mcdc.py EPS T PARTICLES BINS FILE

In units where x and t are the case's own, particles have speed 1/eps and scatter once in eps; F = 1 is a white source of strength
1/(4 eps) at x = 0.  The density at T is the track-length flux in the window T (1 +- 0.025), over the speed: its error from the
width is (0.05)^2/24 of T^2 rho_tt.
"""

import json
import sys

import numpy as np

WINDOW = 0.05


def main() -> None:
    eps, t, particles, bins, file = (
        float(sys.argv[1]),
        float(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]),
        sys.argv[5],
    )
    sys.argv = [sys.argv[0], "--mode=numba", "--caching"]
    import h5py
    import mcdc

    material = mcdc.Material.multigroup(capture=[0.0], scatter=[[1.0 / eps]], speed=[1.0 / eps])
    left = mcdc.Surface.PlaneX(x=0.0, boundary_condition="vacuum")
    right = mcdc.Surface.PlaneX(x=1.0, boundary_condition="vacuum")
    slab = mcdc.Cell(region=+left & -right, fill=material)
    edges, late = np.linspace(0.0, 1.0, bins + 1), t * (1.0 + 0.5 * WINDOW)
    source = mcdc.Source(x=[1e-12, 2e-12], white_direction=[-1.0, 0.0, 0.0], time=[0.0, late], energy=0)
    tally = mcdc.Tally(mesh=mcdc.MeshStructured(x=edges), scores=["flux"], time=[t * (1.0 - 0.5 * WINDOW), late])
    simulation = mcdc.Simulation()
    simulation.set_model([slab])
    simulation.set_sources([source])
    simulation.set_tallies([tally])
    simulation.settings.N_particle, simulation.settings.N_batch = particles, 1
    simulation.settings.time_boundary = late
    simulation.settings.use_progress_bar = False
    simulation.settings.output_name = file
    simulation.run()
    with h5py.File(file + ".h5") as result:
        print(result.keys(), file=sys.stderr)
        found: list[np.ndarray] = []
        result.visititems(lambda name, item: found.append(item[()]) if name.endswith("flux/mean") else None)
        seconds = {key: float(np.asarray(value[()]).ravel()[0]) for key, value in result["runtime"].items()}
    flux = np.asarray(found[0]).ravel()
    rho = flux * bins / (WINDOW * t) * eps * late / (4.0 * eps)
    print(json.dumps({"version": mcdc.__version__, "rho": rho.tolist(), "seconds": seconds}))


if __name__ == "__main__":
    main()
