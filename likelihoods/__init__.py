"""Experiments that come with nmmfit, one folder each; nmmfit finds them by name (`nmmfit.catalogue`)."""

# Experiments that were meant to be here, and what is missing; a listing shows them.
LEFT_OUT = {
    "lz_cr51_projection": "the projected limit of LZ with a 51Cr source (arXiv:1406.4914; a line in figure 3 of "
    "arXiv:1901.00482) is printed as a number in no text at hand",
}
