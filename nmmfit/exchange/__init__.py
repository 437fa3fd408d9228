"""Exchange with other programs: files of Wilson coefficients, and fitted likelihoods that others can evaluate."""
