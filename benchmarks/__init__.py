"""The benchmarks of `./winback bench`, a module each with `run(scale)`."""

BENCHMARKS = ("extract", "model", "outreach")
