"""Make ``digits_logits.npy`` and ``digits_labels.npy``: what a real classifier says of real digits.

    python docs/data/make_digits_logits.py

The data are scikit-learn's handwritten digits: 1797 images of 8 x 8 pixels in 10 classes.  A
multinomial logistic regression is fitted to 70 % of them.  Its decision values for the other
540 images are the logits, (540, 10) float32; ``digits_labels.npy`` holds the true classes,
(540,) uint8.  Nothing here is random, but another version of scikit-learn or of the linear
algebra below it may differ in the last bits.

Needs scikit-learn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
LARGEST_PIXEL = 16.0


def main() -> None:
    """Fit the classifier, write both files and print how often it is right."""
    images, labels = load_digits(return_X_y=True)
    seen, unseen, seen_labels, unseen_labels = train_test_split(
        images / LARGEST_PIXEL, labels, test_size=0.3, stratify=labels, random_state=0
    )
    classifier = LogisticRegression(C=10.0, max_iter=2000).fit(seen, seen_labels)
    logits = classifier.decision_function(unseen).astype(np.float32)
    np.save(HERE / "digits_logits.npy", logits)
    np.save(HERE / "digits_labels.npy", unseen_labels.astype(np.uint8))
    right = np.mean(logits.argmax(axis=1) == unseen_labels)
    print(f"{logits.shape} {logits.dtype} from {logits.min():.1f} to {logits.max():.1f}")
    print(f"{right:.1%} of the images are classified right")


if __name__ == "__main__":
    main()
