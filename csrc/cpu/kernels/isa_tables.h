// Declares a family's table of kernels once for each instruction set, in a namespace named after it. X.cpp defines it in
// the namespace NASREC_ISA, for which it is compiled; NASREC_KERNELS(name) of cpu/isa.h is the one that runs.
#pragma once

#define NASREC_ISA_TABLES(Table, name)            \
  namespace baseline { extern const Table name; } \
  namespace avx2 { extern const Table name; }     \
  namespace avx512 { extern const Table name; }
