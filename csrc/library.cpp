// The schemas of every operator, once. Kernels register themselves for CPU in cpu/ and for CUDA in cuda/;
// fake kernels and autograd are attached in nasrec/kernels/, one module a family.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(nasrec, m) {
  // x: parts [B, r_p, e] -> [B, r(r-1)/2]: the strictly lower triangle of x x^T, row-major, x the parts' r rows.
  m.def("pairwise_dot(Tensor[] x) -> Tensor");
  // grad [B, r(r-1)/2], x as above -> gradient of each part.
  m.def("pairwise_dot_backward(Tensor grad, Tensor[] x) -> Tensor[]");
}
