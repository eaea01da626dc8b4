"""The table of `benchmarks/reference_times.py`: goals met and missed, and an entry as it is measured."""

from benchmarks import reference_times


def test_table_says_what_is_met_and_missed():
    entry = {"seconds": 9.94, "cpu_seconds": 14.0, "peak_mib": 240, "own_error": {"rho": 6.8e-5, "J": 5e-4}}
    lines = reference_times.table(
        {"transport_inflow": entry, "bgk_smooth": entry, "transport_2d": {**entry, "seconds": 180.0}}
    )
    assert lines.splitlines()[2:] == [
        "| `bgk_smooth` | 9.9 |  | 14.0 | 240 | rho 6.8e-05, J 5.0e-04 |",
        "| `transport_2d` | 180.0 | 120 missed x1.5 | 14.0 | 240 | rho 6.8e-05, J 5.0e-04 |",
        "| `transport_inflow` | 9.9 | 10 met | 14.0 | 240 | rho 6.8e-05, J 5.0e-04 |",
    ]


def test_measured_entry_fits_the_table(monkeypatch):
    monkeypatch.setitem(reference_times.EVERY_CORE, "NUMBA_NUM_THREADS", "1")
    run, small = reference_times.reference, ("velocity.nodes=8", "domain.t_end=0.01", "domain.output_times=[0.01]")
    monkeypatch.setattr(reference_times, "reference", lambda name, out, *settings: run(name, out, *settings, *small))
    entry = reference_times.measure("transport_periodic")
    assert entry["scheme"] == "fourier_legendre"
    assert set(entry["own_error"]) == {"rho", "J"}
    assert 0.0 < entry["own_error"]["rho"] < 1.0
    assert "| `transport_periodic` |" in reference_times.table({"transport_periodic": entry})
