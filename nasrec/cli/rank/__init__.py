"""What `nasrec rank` is made of."""
