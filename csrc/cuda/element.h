#pragma once

namespace nasrec::cuda {

// The element types that kernels are compiled for, in a form that needs no torch header.
enum class Element { float32, float64, bfloat16 };

}  // namespace nasrec::cuda
