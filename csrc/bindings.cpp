// The Python module itself. It exposes only build_info(); tensors go through the operators of library.cpp.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/isa.h"

namespace {

std::optional<std::string> known(const char* text) {
  return *text ? std::optional<std::string>(text) : std::nullopt;
}

pybind11::dict build_info() {
  std::vector<std::string> built;
#if defined(NASREC_ONLY_ISA)
  built.emplace_back(nasrec::name_of(nasrec::active_isa()));
#elif defined(NASREC_X86)
  for (nasrec::Isa isa : {nasrec::Isa::baseline, nasrec::Isa::avx2, nasrec::Isa::avx512})
    built.emplace_back(nasrec::name_of(isa));
#else
  built.emplace_back(nasrec::name_of(nasrec::Isa::baseline));
#endif
  pybind11::dict info;
  info["torch"] = NASREC_TORCH_VERSION;
  info["cuda"] = known(NASREC_CUDA_VERSION);
  info["cuda_archs"] = known(NASREC_CUDA_ARCHS);
  info["compiler"] = NASREC_COMPILER;
  info["isa_built"] = built;
  info["isa_active"] = nasrec::name_of(nasrec::active_isa());
  info["blas"] = nasrec::blas_name();
  info["schemas"] = NASREC_SCHEMAS;
  info["git_commit"] = known(NASREC_GIT_COMMIT);
  return info;
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "Compiled kernels of nasrec.";
  m.def("build_info", &build_info, "What this extension was built with, and the instruction set in use.");
}
