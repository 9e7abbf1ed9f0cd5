"""PyTorch as the codec needs it, whatever the program around has set, and without setting anything for that program.

`torch.set_num_threads` is for the whole process: a thread that starts while it says 1 has one thread for life. OpenMP
itself keeps the number for each thread (OpenMP 4.5, section 3.2.1: `omp_set_num_threads` sets an internal control
variable of the calling task), and so does MKL. Their functions are called here, in the libraries that PyTorch has
loaded. Where those cannot be reached, in PyTorch for Windows or built without OpenMP, its own number of threads stays.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

import torch

IMPORTED_BY = os.getpid()
Setter = Callable[[int], int]


@cache
def openmp() -> Setter | None:
    """What sets OpenMP's number of threads for the calling thread."""
    found = symbol("omp_set_num_threads", None)
    before = torch.get_num_threads()  # also sets it, where a thread has not asked before
    if found is None:
        return None
    found(before + 1)
    works = torch.get_num_threads() == before + 1  # else PyTorch uses another library than the one that was found
    found(before)
    return found if works else None


@cache
def mkl() -> Setter | None:
    """The same for MKL, which multiplies matrices of float64; gives the number there was, 0 for "as elsewhere"."""
    return symbol("MKL_Set_Num_Threads_Local", ctypes.c_int)


def symbol(name: str, result: type[ctypes.c_int] | None) -> Setter | None:
    """A function of a number in PyTorch or in a library that it is linked to."""
    try:
        found = getattr(ctypes.CDLL(torch._C.__file__), name)
    except (AttributeError, OSError):
        return None
    found.argtypes, found.restype = [ctypes.c_int], result
    return found


@contextmanager
def own_threads(wanted: int | None) -> Iterator[None]:
    """As many as are wanted; in a forked process one: OpenMP's did not come along, but would be waited for."""
    before = torch.get_num_threads()
    count = 1 if os.getpid() != IMPORTED_BY else wanted or before
    set_openmp, set_mkl = openmp(), mkl()
    if set_openmp is None or count == before:
        yield
        return
    mkl_before = set_mkl(count) if set_mkl else 0
    set_openmp(count)
    try:
        yield
    finally:
        set_openmp(before)
        if set_mkl:
            set_mkl(mkl_before)


@contextmanager
def own_settings(threads: int | None) -> Iterator[None]:
    """No gradients, no autocast, tensors on the CPU, so many threads; all as before afterwards. Not around a yield of
    a generator: what it sets must not show between two pieces."""
    elsewhere = torch.get_default_device().type != "cpu"
    with (
        own_threads(threads),
        torch.inference_mode(False),  # in which no gradients can be asked for, and what is made never has any
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),
        torch.device("cpu") if elsewhere else nullcontext(),
    ):
        yield
