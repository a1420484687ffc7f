// The schemas of every operator, once. Kernels register themselves for CPU in cpu/ and for CUDA in cuda/;
// fake kernels and autograd are attached in nasrec/kernels/, one module a family.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(nasrec, m) {
  // x: parts [B, r_p, e] -> [B, r(r-1)/2]: the strictly lower triangle of x x^T, row-major, x the parts' r rows.
  m.def("pairwise_dot(Tensor[] x) -> Tensor");
  // grad [B, r(r-1)/2], x as above -> gradient of each part.
  m.def("pairwise_dot_backward(Tensor grad, Tensor[] x) -> Tensor[]");
  // qkv [B, f, 3e] -> out [B, f, e] and, for the backward, 1 / the softmax's denominators [B, heads, f].
  m.def("self_attention(Tensor qkv, int heads) -> (Tensor out, Tensor reciprocals)");
  // grad [B, f, e], the forward's argument and results -> gradient of qkv [B, f, 3e].
  m.def("self_attention_backward(Tensor grad, Tensor qkv, Tensor out, Tensor reciprocals, int heads) -> Tensor");

  // The linear operators. inputs [B, n_j], the weight as one or several column pieces [out, k_i] with sum k_i =
  // sum n_j, vectors [out]; activation 0 none, 1 relu, 2 sigmoid (a string argument leaks memory in torch 2.13's stable
  // ABI); keep -1: all rows. -> y [B, keep], and with a norm and save the normalised rows [B, out] and 1/std [B] in the
  // accumulation type, else [0].
  m.def(
      "linear(Tensor[] inputs, Tensor[] weights, Tensor? bias, Tensor? norm_weight, Tensor? norm_bias, float eps, "
      "int activation, int keep, bool save) -> (Tensor y, Tensor normalized, Tensor rstd)");
  // needs: for each input, each piece, bias, gain, offset -> gradients in that order, [0] where not needed.
  m.def(
      "linear_backward(Tensor grad, Tensor[] inputs, Tensor[] weights, Tensor? norm_weight, Tensor y, "
      "Tensor normalized, Tensor rstd, int activation, bool[] needs) -> Tensor[]");
}
