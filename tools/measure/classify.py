"""What the latents are worth as features: python -m tools.measure.classify PICTURES...

Which of the pictures is a square of 128 x 128 pixels cut from? A linear classifier (scikit-learn's logistic regression)
learns on the squares of the left halves and is asked about those of the right halves. Its input: the logarithms of the
mean magnitudes of the latents in `.vaec` files, the same of the 8x8 DCT in opponent colours, or the pixels; each
brought to the same dimension by principal components. Needs the extras bench and restoration, and scikit-learn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.fft import dctn
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tools.measure.sparsity import OPPONENT
from tools.train.data import load
from vaecodec.codec import Codec
from vaecodec.vae import features

SIDE = 128
QUALITY = 95
DIMENSIONS = (16, 64)
FLOOR = 0.3  # levels, added to magnitudes: below, they say nothing


def squares(x: np.ndarray) -> list[np.ndarray]:
    rows, columns = (range(0, n - SIDE + 1, SIDE) for n in x.shape[:2])
    return [np.ascontiguousarray(x[i : i + SIDE, j : j + SIDE]) for i in rows for j in columns]


def of_latents(codec: Codec, x: np.ndarray) -> np.ndarray:
    y_hat = features(codec, codec.encode(x, QUALITY)).y_hat
    return np.log(FLOOR + np.abs(y_hat).mean(axis=(0, 1)))


def of_dct(x: np.ndarray) -> np.ndarray:
    blocks = ((x - 128.0) @ OPPONENT.T).reshape(SIDE // 8, 8, SIDE // 8, 8, 3)
    spectrum = dctn(blocks, axes=(1, 3), norm="ortho")
    return np.log(FLOOR + np.abs(spectrum).mean(axis=(0, 2)).ravel())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pictures", type=Path, nargs="+")
    args = p.parse_args()
    codec = Codec(threads=1)
    kinds = {"latents": lambda x: of_latents(codec, x), "DCT": of_dct, "pixels": lambda x: x.ravel() / 255}
    rows: dict[str, list[list[np.ndarray]]] = {kind: [[], []] for kind in kinds}
    labels: list[list[int]] = [[], []]
    for label, path in enumerate(args.pictures):
        x = load(path)
        middle = x.shape[1] // 2
        for half, part in enumerate((x[:, :middle], x[:, middle:])):
            for square in squares(part):
                labels[half].append(label)
                for kind, of in kinds.items():
                    rows[kind][half].append(of(square))
    print(f"{len(labels[0])} squares of {len(args.pictures)} pictures to learn from, {len(labels[1])} to tell\n")
    print("| dimension | " + " | ".join(kinds) + " |\n| ---: |" + " ---: |" * len(kinds))
    for dimension in DIMENSIONS:
        cells = []
        for learn, tell in rows.values():
            classifier = make_pipeline(
                StandardScaler(), PCA(dimension, random_state=0), StandardScaler(), LogisticRegression(max_iter=2000)
            )
            classifier.fit(np.stack(learn), labels[0])
            cells.append(f"{100 * classifier.score(np.stack(tell), labels[1]):.1f} %")
        print(f"| {dimension} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
