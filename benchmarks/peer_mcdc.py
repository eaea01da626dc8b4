"""The public peer MC/DC (CEMeNT) on transport_inflow at eps = 1: a script for an interpreter that has it.

`python peer_mcdc.py HISTORIES CELLS SINCE T --mode numba --no-progress_bar` prints a JSON object in its last line: wall and CPU seconds
of a run, and the density of every cell averaged over times from SINCE to T, by the track-length estimator of the flux (speed 1).
A short run before makes every kernel compile.  MC/DC leaves files in the folder it runs in.
`reference_transport.py --mcdc` calls it.
"""

import json
import sys
import time

import h5py
import mcdc
import numpy as np


def run(histories: int, cells: int, since: float, t: float) -> dict:
    """In-flow F = 1 into a cold slab (0, 1), scattering of rate 1, speed 1."""
    model = mcdc.Simulation()
    material = mcdc.Material.multigroup(capture=np.zeros(1), scatter=np.ones((1, 1)), speed=np.ones(1))
    walls = [mcdc.Surface.PlaneX(x=x, boundary_condition="vacuum") for x in (0.0, 1.0)]
    model.set_model([mcdc.Cell(region=+walls[0] & -walls[1], fill=material)])
    model.set_sources([mcdc.Source(x=[1e-10, 1e-10], white_direction=[1.0, 0.0, 0.0], time=[0.0, t], energy=0)])
    mesh = mcdc.MeshUniform(x=(0.0, 1.0 / cells, cells))
    model.set_tallies([mcdc.Tally(mesh=mesh, scores=["flux"], time=[0.0, since, t])])
    model.settings.N_particle, model.settings.time_boundary, model.settings.output_name = histories, t, "inflow"
    wall, cpu = time.perf_counter(), time.process_time()
    model.run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with h5py.File("inflow.h5") as file:
        flux = next(iter(file["tallies"].values()))["flux/mean"][()]  # of a history, over cell and times
    rho = 0.25 * t * flux.reshape(2, cells)[1] * cells / (t - since)  # the source is <v F> = 1/4 a unit of time
    return {"version": mcdc.__version__, "wall_seconds": wall, "cpu_seconds": cpu, "rho": rho.tolist()}


histories, cells, since, t = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
run(100, cells, since, t)
print(json.dumps(run(histories, cells, since, t)))
