"""How similar heat maps are to those of random networks and of heads fitted to permuted labels.

    python benchmarks/maps.py ../shared > benchmarks/maps.md

The nodules of DDTI with ResNet-18 of ImageNet. Heads, with standardised features, are fitted to
four published folds of the patients, and maps are of images of the fifth, one of each patient,
towards the positive class.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

N_DRAWS, N_IMAGES = 10, 40
# Occlusion needs hundreds of forward passes for each map.
N_OCCLUDED_DRAWS, N_OCCLUDED = 3, 12


def main(shared: Path) -> None:
    import torch
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    import bottleneck
    from bottleneck.data.images.decode import decode
    from bottleneck.explain.checks.randomisation import TrainingRows, check_maps
    from bottleneck.explain.maps.exact.explained_head import ExplainedHead

    backbone = bottleneck.load_backbone(
        "resnet18", weights=str(shared / "weights" / "resnet18-imagenet.pth")
    )
    data = bottleneck.load_dataset(
        shared / "data" / "ddti-crops" / "labels.csv",
        columns={"path": "image", "fold": "radimagenet_fold"},
    )
    samples = list(data.samples)
    pixels = np.stack([backbone.preprocessing.pixels(decode(data.read(s))) for s in samples])
    batches = np.array_split(pixels, 15)
    X = np.concatenate([backbone.embed(torch.from_numpy(one)).numpy() for one in batches])
    labels = np.array([s.label for s in samples])
    patients = np.array([s.group for s in samples])
    folds = np.array([s.fold for s in samples])
    trained = folds != "5"
    first = np.unique(patients[~trained], return_index=True)[1]
    shown = np.flatnonzero(~trained)[np.sort(first)][:N_IMAGES]

    def fitted(kernel: str) -> ExplainedHead:
        head = make_pipeline(StandardScaler(), SVC(kernel=kernel, class_weight="balanced"))
        return ExplainedHead(backbone, head.fit(X[trained], labels[trained]), data.classes)

    print("# Heat maps of random models\n")
    print(" ".join(__doc__.split("\n\n")[2].split()) + "\n")
    print(
        f"Rank correlation of magnitudes, with the sign, and SSIM, with 95 % intervals; "
        f"{N_DRAWS} draws ({N_OCCLUDED_DRAWS} with occlusion). 1 is the same map.\n"
    )
    print(
        "| head | maps | images | check | magnitudes | with the sign | SSIM | verdict | seconds |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")

    def measure(kernel: str, method: str, *, again: bool) -> None:
        few = method == "occlusion"
        rows = shown[:N_OCCLUDED] if few else shown
        training = TrainingRows(
            X[trained], labels[trained], patients[trained], pixels[trained] if again else None
        )
        start = time.perf_counter()
        checks = check_maps(
            fitted(kernel),
            pixels[rows],
            "malignant",
            groups=patients[rows],
            method=method,
            training=training,
            n_draws=N_OCCLUDED_DRAWS if few else N_DRAWS,
        )
        seconds = time.perf_counter() - start
        parts = [
            ("random weights, head " + ("fitted again" if again else "kept"), checks.checks[0])
        ]
        if not again:
            parts += [(one.name, one) for one in (*checks.checks[1:], checks.other_images)]
        for name, one in parts:
            measures = ("absolute spearman", "spearman", "ssim")
            shares = " | ".join(show(one.interval(measure)) for measure in measures)
            verdict = "" if one is checks.other_images else one.verdict
            cells = f"{kernel} SVM | {checks.method} | {len(rows)} | {name} | {shares} | {verdict}"
            print(f"| {cells} | {seconds:.0f} |", flush=True)

    for kernel, method in [("linear", "exact"), ("rbf", "grad-cam"), ("linear", "occlusion")]:
        measure(kernel, method, again=False)
        if method != "occlusion":
            measure(kernel, method, again=True)


def show(interval: Any) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
