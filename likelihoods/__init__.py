"""Experiments that come with nmmfit, one folder each; nmmfit finds them by name (`nmmfit.catalogue`)."""

# Experiments that were meant to be here, and what is missing; a listing shows them.
LEFT_OUT = {
    "borexino_phase3": "the spectrum of arXiv:2205.15975 after the cut against 11C decides neither rate: without the response of "
    "that period 7Be comes out at 45.3 (+5.2 -4.5) cpd/100 t, published 48.3 +- 1.2, and CNO at 8.2 (+3.2 -6.4), published 6.7 "
    "+2.0 -0.8; with 85Kr as it has decayed they are 48.7 and 1.9 at nearly the same chi2 (118.2 after 116.9). That response, "
    "the tagged spectrum and the radial distribution are not public (docs/experiments/borexino_phase3.md)",
    "lz_cr51_projection": "the projected limit of LZ with a 51Cr source (arXiv:1406.4914; a line in figure 3 of "
    "arXiv:1901.00482) is printed as a number in no text at hand",
}
