"""The actions of `nasrec pim`."""
