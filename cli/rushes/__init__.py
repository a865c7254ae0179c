"""The command line of Rushes: a client of its public API, and nothing else."""

__version__ = "0.1.0"
