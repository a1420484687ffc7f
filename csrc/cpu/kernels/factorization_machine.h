// CPU kernels of the factorization machine on raw pointers; factorization_machine.cpp is compiled once per
// instruction set.
#pragma once

#include <stdint.h>

#include "cpu/kernels/isa_tables.h"

namespace nasrec {

// Samples begin..end of x and grad_x [samples, fields, channels], out and grad [samples, channels].
template <class T>
struct FactorizationMachineKernels {
  void (*forward)(const T* x, T* out, int64_t begin, int64_t end, int64_t fields, int64_t channels);
  void (*backward)(
      const T* grad, const T* x, T* grad_x, int64_t begin, int64_t end, int64_t fields, int64_t channels);
};

struct FactorizationMachineTable {
  FactorizationMachineKernels<float> float32;
  FactorizationMachineKernels<double> float64;
  FactorizationMachineKernels<uint16_t> bfloat16;  // the bits; computed in float32, since the difference cancels
};

NASREC_ISA_TABLES(FactorizationMachineTable, factorization_machine)

}  // namespace nasrec
