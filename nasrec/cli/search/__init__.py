"""What `nasrec search` is made of."""
