"""What others published: the tables of van den Oever et al., Eur J Radiol 2020;129:109114."""

from collections.abc import Mapping

PAPER = "van den Oever et al., Eur J Radiol 2020;129:109114"

TABLE_1_FIGURES = ("precision", "sensitivity", "NPV", "specificity")
TABLE_1: Mapping[str, tuple[str, ...]] = {
    "paper, internal, plain": ("0.69±0.10", "1.00±0.00", "1.00±0.00", "0.55±0.14"),
    "paper, internal, dilated": ("0.72±0.10", "1.00±0.00", "1.00±0.00", "0.61±0.14"),
    "paper, external, plain": ("0.76±0.10", "0.96±0.04", "0.95±0.14", "0.70±0.12"),
    "paper, external, dilated": ("0.88±0.10", "1.00±0.00", "1.00±0.00", "0.86±0.11"),
}
"""Without and with dilation: TABLE_1_FIGURES."""

TABLE_2: Mapping[str, tuple[int, int, int, int]] = {
    "paper, internal, dilated": (50, 19, 0, 31),
    "paper, external, dilated": (50, 7, 0, 43),
}
"""True and false positives, false and true negatives."""

TABLE_3: Mapping[str, tuple[float, float, float, float]] = {
    "paper, internal, dilated": (0.63, 31.76, 91.29, 7.76),
    "paper, external, dilated": (0.84, 34.75, 39.78, 5.77),
}
"""Dice coefficient; TP, FP and FN in mm3 a scan. Pooled, these volumes give a Dice of 0.39 and 0.60."""

TABLE_4_ROWS = ("precision", "sensitivity", "NPV", "specificity", "TP", "FP", "FN", "TN", "kappa")
TABLE_4: Mapping[str, tuple[str, ...]] = {
    "van den Oever 2020": ("0.88±0.10", "1.00±0.00", "1.00±0.00", "0.86±0.11", "50", "7", "0", "43", "0.86"),
    "Cano-Espinosa 2018": ("0.88±0.04", "0.62±0.06", "0.70±0.05", "0.92±0.03", "180", "25", "114", "279", "0.53"),
    "Wang 2019": ("0.88±0.08", "0.91±0.08", "0.84±0.14", "0.79±0.14", "49", "7", "5", "26", "0.7"),
    "de Vos 2019": ("1.00±0.00", "0.80±0.12", "0.97±0.02", "1.00±0.00", "36", "0", "9", "259", "0.87"),
    "van Velzen 2020": ("0.90±0.08", "0.95±0.05", "0.99±0.01", "0.98±0.02", "47", "5", "2", "269", "0.92"),
}
