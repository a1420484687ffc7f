"""What commands take: their options, declared and turned into the values that `nasrec.runs` works with."""
