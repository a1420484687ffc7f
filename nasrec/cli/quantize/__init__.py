"""What `nasrec quantize` consists of."""
