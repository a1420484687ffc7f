#include "kernels/gemm.h"

#include "kernels/lanes.h"

namespace nasrec {
namespace {

// Rows of C gather multiples of rows of B, or, where B is transposed, products of rows: both read memory in order.
template <class T, class C>
void gemm(
    bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b,
    int64_t ldb, C beta, C* c, int64_t ldc) {
  for (int64_t i = 0; i < m; ++i) {
    C* row = c + i * ldc;
    for (int64_t j = 0; j < n; ++j) row[j] = beta == 0 ? 0 : beta * row[j];
    if (transpose_b) {
      for (int64_t j = 0; j < n; ++j) {
        C sum = 0;
        for (int64_t p = 0; p < k; ++p) sum += widen(transpose_a ? a[p * lda + i] : a[i * lda + p]) * widen(b[j * ldb + p]);
        row[j] += sum;
      }
    } else {
      for (int64_t p = 0; p < k; ++p) {
        const C factor = widen(transpose_a ? a[p * lda + i] : a[i * lda + p]);
        for (int64_t j = 0; j < n; ++j) row[j] += factor * widen(b[p * ldb + j]);
      }
    }
  }
}

}  // namespace

namespace NASREC_ISA {

extern const GemmTable gemm = {
    nasrec::gemm<float, float>, nasrec::gemm<double, double>, nasrec::gemm<uint16_t, float>};

}  // namespace NASREC_ISA
}  // namespace nasrec
