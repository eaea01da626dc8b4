"""Reference solvers of `kinetic`; import the parts by name, this file imports nothing."""
