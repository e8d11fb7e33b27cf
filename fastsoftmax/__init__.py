"""Softmax and its family for NumPy arrays on CPUs."""

from fastsoftmax._functions import log_softmax, logsumexp, softmax, softmin
from fastsoftmax._gradients import log_softmax_backward, softmax_backward
from fastsoftmax._losses import cross_entropy
from fastsoftmax._ranking import top_k
from fastsoftmax._tools import explain, warmup
from fastsoftmax._version import __version__

__all__ = [
    "__version__",
    "cross_entropy",
    "explain",
    "log_softmax",
    "log_softmax_backward",
    "logsumexp",
    "softmax",
    "softmax_backward",
    "softmin",
    "top_k",
    "warmup",
]
