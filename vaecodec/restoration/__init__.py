"""The codec's model as a prior for pictures: noise removed, holes filled in, pictures made of few measurements.

`prior.py` is what the model knows, as a denoiser; `operators.py` and `jpeg.py` how pictures may have been observed;
`solver.py` puts the two together; `noise.py` measures noise; `recipes.py` is what the commands do to a picture,
`commands.py` the commands. docs/restoration.md shows what comes of it.

Nothing is imported here: the command line looks into this package before it needs torch.
"""
