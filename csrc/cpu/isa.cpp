#include "cpu/isa.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace nasrec {

const char* name_of(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "baseline";
}

Isa supported_isa() {
#ifdef NASREC_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::baseline;
}

static Isa requested_isa() {
#ifdef NASREC_ONLY_ISA
  if (supported_isa() < Isa::NASREC_ONLY_ISA) throw std::runtime_error("this build is for another processor");
  return Isa::NASREC_ONLY_ISA;
#endif
  const char* name = std::getenv("NASREC_ISA");
  if (name == nullptr || *name == '\0') return supported_isa();
  for (Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512})
    if (std::string(name) == name_of(isa)) return std::min(isa, supported_isa());
  throw std::runtime_error("NASREC_ISA must be baseline, avx2 or avx512, got " + std::string(name));
}

Isa active_isa() {
  static const Isa isa = requested_isa();
  return isa;
}

}  // namespace nasrec
