"""Networks: loading them, choosing their layers, running them on batches of images.

`extractor` is the heart: one forward pass, any named layers. `layers` finds and lists them,
`loading` brings a model with its weights, `runtime` feeds it images as fast as the device
allows. `names` needs no torch, and nor does importing this package: each module is imported
where it is used, so that `dedup --help` and `dedup list` stay quick.
"""
