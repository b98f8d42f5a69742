"""big_rad: RadGrounder in JAX/Flax. Grounded radiology report writing, answering and pointing."""

__version__ = "0.1.0"
