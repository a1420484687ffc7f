// Table lookups and sums of their gradients, for one instruction set.
#include "cpu/kernels/embedding.h"

#include "cpu/kernels/row_sums.h"

namespace nasrec {
namespace {

template <int Bytes> inline void copy_bytes(const char*& from, char*& to, int64_t& left) {
  for (; left >= Bytes; left -= Bytes, from += Bytes, to += Bytes) __builtin_memcpy(to, from, Bytes);
}

// In steps of fixed sizes, which are single instructions: a row is too short for a call of memcpy.
inline void copy_row(const void* row, void* out, int64_t bytes) {
  const char* from = static_cast<const char*>(row);
  char* to = static_cast<char*>(out);
  copy_bytes<kVectorBytes>(from, to, bytes);
  copy_bytes<16>(from, to, bytes);
  copy_bytes<4>(from, to, bytes);
  copy_bytes<2>(from, to, bytes);
}

template <class T>
int64_t gather(const int64_t* ids, const Tables<const T>& tables, T* out, int64_t begin, int64_t end, int64_t channels) {
  const int64_t fields = tables.count, first = begin * fields, last = end * fields;
  const int64_t row_bytes = channels * static_cast<int64_t>(sizeof(T));
  int64_t wrong = -1, ahead = first, ahead_field = 0;
  const auto fetch = [&] {  // a wrong id fetches nothing that matters: a prefetch cannot fail, nor unsigned arithmetic
    const uintptr_t offset =
        static_cast<uintptr_t>(ids[ahead]) * static_cast<uintptr_t>(tables.strides[ahead_field]) * sizeof(T);
    prefetch_row<0>(
        reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(tables.data[ahead_field]) + offset), row_bytes);
    ++ahead;
    if (++ahead_field == fields) ahead_field = 0;
  };
  while (ahead < last && ahead < first + kAhead) fetch();
  int64_t field = 0;
  for (int64_t i = first; i < last; ++i) {
    if (ahead < last) fetch();
    if (static_cast<uint64_t>(ids[i]) < static_cast<uint64_t>(tables.rows[field]))
      copy_row(tables.data[field] + ids[i] * tables.strides[field], out + i * channels, row_bytes);
    else if (wrong < 0)
      wrong = i;
    if (++field == fields) field = 0;
  }
  return wrong;
}

template <class T> void scatter(const RowGradients<T>& grad, T* table, int64_t channels, void* sum) {
  typedef typename Accumulate<T>::type A;
  const int64_t bytes = channels * static_cast<int64_t>(sizeof(T));
  for_each_row(
      grad, 0, grad.count, channels, static_cast<A*>(sum),
      [&](int64_t id) { prefetch_row<1>(table + id * channels, bytes); },
      [&](int64_t id, const A* total) {
        each_vector<A>(0, channels, [&](int64_t k, const auto& access) {
          access.store(table + id * channels + k, access.load(total + k));
        });
      });
}

template <class T>
int64_t compact(const RowGradients<T>& grad, int64_t* ids, T* values, int64_t channels, void* sum) {
  typedef typename Accumulate<T>::type A;
  int64_t count = 0;
  for_each_row(
      grad, 0, grad.count, channels, static_cast<A*>(sum), [](int64_t) {},
      [&](int64_t id, const A* total) {
        each_vector<A>(0, channels, [&](int64_t k, const auto& access) {
          access.store(values + count * channels + k, access.load(total + k));
        });
        ids[count++] = id;
      });
  for (int64_t i = count; i < grad.count; ++i) ids[i] = 0;
  for (int64_t k = count * channels; k < grad.count * channels; ++k) values[k] = 0;
  return count;
}

}  // namespace

namespace NASREC_ISA {

extern const EmbeddingTable embedding = {
    {gather<float>, scatter<float>, compact<float>},
    {gather<double>, scatter<double>, compact<double>},
    {gather<uint16_t>, scatter<uint16_t>, compact<uint16_t>},
};

}  // namespace NASREC_ISA
}  // namespace nasrec
