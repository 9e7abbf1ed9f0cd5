"""The codec's model as a prior for pictures: noise removed, holes filled in, pictures made of few measurements.

Noise is taken out (`cleaner.py`) by the model itself (`prior.py`) or by a second analysis trained for that
(`network.py`, `denoiser.py`). `operators.py` and `jpeg.py` are how pictures may have been observed; `solver.py` puts a
prior and an operator together; `noise.py` measures noise; `recipes.py` is what the
commands (`vaecodec/cli/restoration.py`) do to a picture. docs/guide/restoration.md shows what comes of it.

Nothing is imported here: the command line looks into this package before it needs torch.
"""
