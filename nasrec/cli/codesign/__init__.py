"""What `nasrec codesign` is made of."""
