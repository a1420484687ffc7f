"""The actions of `nasrec supernet`."""
