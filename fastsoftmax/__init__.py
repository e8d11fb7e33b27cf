"""Softmax and its family for NumPy arrays on CPUs.

A call goes through these modules, and a second one like it takes the shorter way::

    _functions, _gradients, _losses, _ranking    what users call: docstrings
    _calling                                     is it a call that was made before?
      _recall, or _shortcuts                     then: what _ways or _summary_ways made of it
    _calls, _entropy, _leaders                   else: each function, in terms of a `Call`
      _arguments                                 every argument checked
    _compute, _summaries                         casts (_casts), memory (_memory), or NumPy (_plain)
    _layout                                      which plan fits shapes and strides (_geometry)
    _plans, _split, _copied_first, _places       which kernels, with which tables and tiles
    _launch                                      on how many threads (_loops, _team)
    kernels                                      arithmetic, compiled by _jit, kept by _cache
"""

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
