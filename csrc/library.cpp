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
  // ids int64 [B, n], tables [rows_j, e] -> [B, n, e]: row ids[b, j] of table j. With `sparse`, tables get sparse
  // gradients.
  m.def("embedding(Tensor ids, Tensor[] tables, bool sparse) -> Tensor");
  // grad [B, n, e], ids, rows of each table -> gradients [rows_j, e].
  m.def("embedding_backward(Tensor grad, Tensor ids, int[] rows) -> Tensor[]");
  // The same for the rows that occur: their ids int64 [n, B] in ascending order, their gradients [n, B, e], both filled
  // up with zeros, and their number int64 [n].
  m.def("embedding_backward_rows(Tensor grad, Tensor ids, int[] rows) -> (Tensor, Tensor, Tensor)");
  // ids, rows as above -> int64 [1]: the place in ids of the first one outside its table, or -1. For CUDA, where the
  // lookup itself does not tell.
  m.def("find_wrong_id(Tensor ids, int[] rows) -> Tensor");

  // x [B, f, e] -> [B, e]: (sum of the fields)^2 - sum of their squares.
  m.def("factorization_machine(Tensor x) -> Tensor");
  // grad [B, e], x as above -> gradient of x.
  m.def("factorization_machine_backward(Tensor grad, Tensor x) -> Tensor");

  // Adagrad for lists of parameters, their sums of squares and gradients: g = grad + weight_decay p;  state += g g;
  // p -= lr g / (sqrt(state) + eps).
  m.def(
      "adagrad_(Tensor(a!)[] params, Tensor(b!)[] states, Tensor[] grads, float lr, float eps, float weight_decay) "
      "-> ()");
  // The same for the rows of tables [rows_j, e] that ids int64 [B, n] name, grad [B, n, e] being the gradient of the
  // rows looked up; duplicates are added first. States are like the tables, or [rows_j]: one a row, for the mean of its
  // squared gradients.
  m.def(
      "row_adagrad_(Tensor(a!)[] tables, Tensor(b!)[] states, Tensor ids, Tensor grad, float lr, float eps) -> ()");
  // The same with rows int64 [u_j] and gradients [u_j, e] of their own for each table.
  m.def(
      "sparse_adagrad_(Tensor(a!)[] tables, Tensor(b!)[] states, Tensor[] rows, Tensor[] grads, float lr, float eps) "
      "-> ()");
  // The same along the fields: inputs [B, f_j, e] -> y [B, keep, e], and with a norm and save the normalised rows
  // [B, out, e] and 1/std [B, e].
  m.def(
      "field_linear(Tensor[] inputs, Tensor[] weights, Tensor? bias, Tensor? norm_weight, Tensor? norm_bias, float eps, "
      "int activation, int keep, bool save) -> (Tensor y, Tensor normalized, Tensor rstd)");
  m.def(
      "field_linear_backward(Tensor grad, Tensor[] inputs, Tensor[] weights, Tensor? norm_weight, Tensor y, "
      "Tensor normalized, Tensor rstd, int activation, bool[] needs) -> Tensor[]");
  // x [B, f, e], 12 parameters -> LN(h + W2 relu(W1 h)), h = LN(x + Wo attention(x)), over f and `padded` zero fields, and,
  // for the backward, the attention's result [B, f, e] and 1 / the softmax's denominators [B, heads, f].
  m.def(
      "field_attention(Tensor x, Tensor[] parameters, int heads, int padded, float eps) "
      "-> (Tensor out, Tensor mixed, Tensor reciprocals)");
  // grad [B, f, e], the forward's arguments and results -> gradients of x and of the parameters.
  m.def(
      "field_attention_backward(Tensor grad, Tensor x, Tensor[] parameters, Tensor mixed, Tensor reciprocals, "
      "int heads, int padded, float eps) -> Tensor[]");
}
