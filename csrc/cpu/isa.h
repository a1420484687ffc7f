// The instruction set that the CPU kernels run with, chosen once at run time.
#pragma once

namespace nasrec {

enum class Isa { baseline = 0, avx2 = 1, avx512 = 2 };

const char* name_of(Isa isa);

// The best instruction set of this processor.
Isa supported_isa();

// The same, unless the environment variable NASREC_ISA names a lower one. Throws if it names none.
Isa active_isa();

// The table of kernels for the active instruction set. `Table` is compiled once per set, in a namespace named after it.
#if defined(NASREC_ONLY_ISA)
#define NASREC_KERNELS(table) (::nasrec::NASREC_ONLY_ISA::table)
#elif defined(NASREC_X86)
#define NASREC_KERNELS(table)                                                                        \
  (::nasrec::active_isa() == ::nasrec::Isa::avx512 ? ::nasrec::avx512::table                         \
   : ::nasrec::active_isa() == ::nasrec::Isa::avx2 ? ::nasrec::avx2::table : ::nasrec::baseline::table)
#else
#define NASREC_KERNELS(table) (::nasrec::baseline::table)
#endif

}  // namespace nasrec
