"""Weights that tell overlays from moved content: a logistic regression on products of figures.

Fitted and cross-checked by `benchmarks/overlays.py` on images with drawn letters, stickers and
watermarks against images with moved and added objects. Columns: share of the main ink, share
that is flat, log of the calmest noise, share of black and white, log ratio of the rims'
steepness, agreement in sign, log stroke radius, share of the main ink over all pieces,
correlation inside the pieces, log share of the image, log number of pieces, log sharpness,
and what the levels of both images have in common.
"""

from __future__ import annotations

# fmt: off
MIDDLES = (0.524, 0.285, 2.12, 0.201, 0.228, 0.557, 1.89, 0.491, 0.235, -4.21, 0.646, -1.48, 0.516)
SPREADS = (0.288, 0.272, 1.05, 0.32, 0.796, 0.31, 0.701, 0.295, 0.179, 1.39, 0.738, 0.776, 0.259)
BIAS = -2.37
LINEAR = (1.06, -1.11, -0.172, -1.1, 1.62, 0.861, -1.5, 0.153, 0.754, 1.59, 0.5, 1.89, -1.52)
PRODUCTS = (
    (
        0.315, -1.12, -0.0614, -0.498, 0.228, -0.113, 0.603, -0.241, -0.472, 0.65, 0.617,
        0.0187, -0.652,
    ),
    (0.0214, -1.11, -0.406, -0.103, 0.183, 0.244, -0.537, 0.365, 0.061, -0.631, -0.369, 0.235),
    (0.397, -0.206, 0.244, 0.178, 0.178, -0.63, 0.923, 0.179, -0.401, -0.123, 0.52),
    (0.399, -0.214, 0.425, 0.307, 0.09, 0.512, -0.173, -0.2, -0.078, 0.327),
    (-0.197, 0.451, -0.0836, -0.169, 0.126, -0.0311, -0.442, 0.0268, 0.799),
    (-0.219, -0.728, -0.129, 0.34, 0.199, 0.26, -0.336, -0.0632),
    (-0.459, -0.171, -0.171, -0.573, 0.49, -0.147, 0.239),
    (-0.0599, -0.0031, -0.62, 0.059, -0.508, -0.347),
    (0.133, 0.383, 0.326, 0.0669, -0.0709),
    (0.0865, 0.301, -0.00236, -1.18),
    (-0.209, 0.578, -0.551),
    (-0.0806, -0.472),
    (-0.737,),
)
# fmt: on
