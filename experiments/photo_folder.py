"""A folder of photos at 32x32 under tight limits: which skeleton, and what it is worth.

Four classes of CIFAR-10, 150 images each as PNG, searched with 200k parameters and 10M
multiply-adds; once with the published skeleton that image size alone would choose (--preset full)
and once without a preset. The winner is chosen by validation alone. Its accuracy is given on the
folder's own test part (120 images) and on 800 further images, read back from best/.

    OMP_NUM_THREADS=1 python experiments/photo_folder.py --data cifar10_10000_2000.npz \
        --out runs/photos > experiments/photo_folder.txt

About five minutes on one core. Needs Pillow and the validation data.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from foretell import SearchConfig, find, get_space
from foretell.export import load_best
from foretell.studies.search.budget import live_weights

CLASSES = ("airplane", "automobile", "bird", "cat")
LIMITS = ("params<=200k", "flops<=10M")
IMAGES = 150


def write_photos(data: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write the training images as PNG; the test images of the same classes and their labels."""
    with np.load(data) as arrays:
        names = [str(n) for n in arrays["classes"]]
        x, y = arrays["x_train"], arrays["y_train"]
        test, labels = arrays["x_test"], arrays["y_test"]
    numbers = [names.index(name) for name in CLASSES]
    for name, number in zip(CLASSES, numbers, strict=True):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i, index in enumerate(np.flatnonzero(y == number)[:IMAGES]):
            Image.fromarray(x[index]).save(folder / name / f"{i:03d}.png")
    rows = np.flatnonzero(np.isin(labels, numbers))
    return test[rows].transpose(0, 3, 1, 2), np.array([numbers.index(v) for v in labels[rows]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="cifar10_10000_2000.npz")
    parser.add_argument("--out", type=Path, required=True, help="folder of photos and runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pool", type=int, default=16)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--final-epochs", type=int, default=16)
    args = parser.parse_args()
    images, labels = write_photos(args.data, args.out / "photos")
    space = get_space("nb201")
    for preset in ("full", None):
        own, further = [], []
        for seed in range(args.seeds):
            config = SearchConfig(
                data=f"folder:{args.out / 'photos'}", constraints=LIMITS, preset=preset, seed=seed,
                pool=args.pool, trials=args.trials, epochs=args.epochs,
                final_epochs=args.final_epochs, attacks=(), onnx=False,
                proxies=("live_params", "grad_norm", "nwot", "synflow"),
            )  # fmt: skip
            run = args.out / f"{preset or 'no preset'} {seed}"
            result = find(config, run)
            winner = result.winner
            live = live_weights(space, [space.parse(winner.arch)])
            network = load_best(run / "best")
            with torch.inference_mode():
                guesses = network(torch.from_numpy(images.copy())).argmax(1).numpy()
            own.append(winner.test_accuracy)
            further.append(float((guesses == labels).mean()))
            log = (run / "log.txt").read_text().splitlines()
            for line in log:
                if " skeleton: " in line or " pool: None" in line or " pool: All" in line:
                    print(line.partition(" ")[2], flush=True)
            print(
                f"preset {preset}, seed {seed}: {winner.arch} params {winner.params:,.0f}, "
                f"multiply-adds {winner.flops:,.0f}, live convolution {bool(live[0])}, validation "
                f"{winner.val_accuracy:.1%}, test {own[-1]:.1%}, 800 more {further[-1]:.1%}",
                flush=True,
            )
        print(
            f"preset {preset}: mean test accuracy {np.mean(own):.1%}, on 800 more images "
            f"{np.mean(further):.1%} (std over seeds {np.std(further, ddof=1):.1%})\n",
            flush=True,
        )


if __name__ == "__main__":
    main()
