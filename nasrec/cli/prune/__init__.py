"""What `nasrec prune` consists of."""
