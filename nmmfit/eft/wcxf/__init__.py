"""The Wilson coefficient exchange format (WCxf, arXiv:1712.05298): bases, values, names of other bases. No JAX, no files."""
