"""The version, read by the build and by `vna_lifecycle.__version__`."""

__version__ = "0.1.0"
