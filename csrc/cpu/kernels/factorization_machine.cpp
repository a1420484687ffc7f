// (sum of the fields)^2 - sum of their squares, per channel, for one instruction set.
#include "cpu/kernels/factorization_machine.h"

#include "cpu/kernels/wide.h"

namespace nasrec {
namespace {

// Sums go over every second field and are added at the end: two chains of additions run side by side.
template <class T>
void forward(const T* x, T* out, int64_t begin, int64_t end, int64_t fields, int64_t channels) {
  typedef typename Accumulate<T>::type A;
  typedef typename Lanes<A>::vec vec;
  for (int64_t sample = begin; sample < end; ++sample) {
    const T* rows = x + sample * fields * channels;
    each_vector<A>(0, channels, [&](int64_t k, const auto& access) {
      vec sum[2] = {}, squares[2] = {};
      int64_t i = 0;
      for (; i + 2 <= fields; i += 2) {
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          const vec v = access.load(rows + (i + half) * channels + k);
          sum[half] += v;
          squares[half] += v * v;
        }
      }
      if (i < fields) {
        const vec v = access.load(rows + i * channels + k);
        sum[0] += v;
        squares[0] += v * v;
      }
      const vec total = sum[0] + sum[1];
      access.store(out + sample * channels + k, total * total - (squares[0] + squares[1]));
    });
  }
}

// grad_x_i = 2 grad (sum of the fields - x_i)
template <class T>
void backward(const T* grad, const T* x, T* grad_x, int64_t begin, int64_t end, int64_t fields, int64_t channels) {
  typedef typename Accumulate<T>::type A;
  typedef typename Lanes<A>::vec vec;
  for (int64_t sample = begin; sample < end; ++sample) {
    const T* rows = x + sample * fields * channels;
    T* to = grad_x + sample * fields * channels;
    each_vector<A>(0, channels, [&](int64_t k, const auto& access) {
      vec sum = {};
      for (int64_t i = 0; i < fields; ++i) sum += access.load(rows + i * channels + k);
      const vec g = access.load(grad + sample * channels + k);
      const vec factor = g + g;
      for (int64_t i = 0; i < fields; ++i)
        access.store(to + i * channels + k, factor * (sum - access.load(rows + i * channels + k)));
    });
  }
}

}  // namespace

namespace NASREC_ISA {

extern const FactorizationMachineTable factorization_machine = {
    {forward<float>, backward<float>},
    {forward<double>, backward<double>},
    {forward<uint16_t>, backward<uint16_t>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
