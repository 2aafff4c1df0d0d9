"""Networks made for int8: one plan, read by the training, by the quantisation and by every file form.

The plan knows two operations, a convolution and an addition, because these are what integer kernels of every
engine do fast and alike.
"""
