#include "cpu/sort_ids.h"

#include <bit>
#include <utility>

namespace nasrec {
namespace {

constexpr int kMostPasses = 4;

// Radix sort from the last digit to the first: each pass keeps the order of the one before, so that samples of an id
// stay in order. Digits are small where there are few keys, since every pass also walks over all values of a digit.
template <int Bits>
const uint64_t* radix_sort(uint64_t* keys, uint64_t* spare, int64_t count, int id_bits) {
  constexpr int kValues = 1 << Bits;
  const int passes = (id_bits + Bits - 1) / Bits;
  uint32_t places[kMostPasses][kValues] = {};
  for (int64_t i = 0; i < count; ++i)
    for (int pass = 0; pass < passes; ++pass) ++places[pass][keys[i] >> (32 + Bits * pass) & (kValues - 1)];
  for (int pass = 0; pass < passes; ++pass) {
    uint32_t* place = places[pass];
    uint32_t sum = 0;
    for (int value = 0; value < kValues; ++value) sum += std::exchange(place[value], sum);
    for (int64_t i = 0; i < count; ++i) spare[place[keys[i] >> (32 + Bits * pass) & (kValues - 1)]++] = keys[i];
    std::swap(keys, spare);
  }
  return keys;
}

int64_t total_of(const std::vector<IdColumn>& columns) {
  int64_t total = 0;
  for (const IdColumn& column : columns) total += column.count;
  return total;
}

}  // namespace

std::vector<IdColumn> columns_of(const int64_t* ids, int64_t batch, const std::vector<int64_t>& rows) {
  const int64_t fields = static_cast<int64_t>(rows.size());
  std::vector<IdColumn> columns;
  for (int64_t j = 0; j < fields; ++j) columns.push_back({ids + j, fields, batch, rows[j]});
  return columns;
}

SortedIds::SortedIds(std::vector<IdColumn> columns)
    : columns_(std::move(columns)),
      wrong_(columns_.size(), -1),
      sorted_(columns_.size(), nullptr),
      total_(total_of(columns_)),
      scratch_(2 * total_ * static_cast<int64_t>(sizeof(uint64_t))) {
  int64_t start = 0;
  for (const IdColumn& column : columns_) {
    starts_.push_back(start);
    start += column.count;
  }
}

void SortedIds::sort(int64_t j) {
  const IdColumn& column = columns_[j];
  uint64_t* keys = static_cast<uint64_t*>(scratch_.data()) + starts_[j];
  uint64_t* spare = keys + total_;
  for (int64_t i = 0; i < column.count; ++i) {
    const uint64_t id = static_cast<uint64_t>(column.ids[i * column.stride]);
    if (id >= static_cast<uint64_t>(column.rows)) {
      wrong_[j] = i;
      return;
    }
    keys[i] = id << 32 | static_cast<uint64_t>(i);
  }
  const int id_bits = column.rows > 1 ? std::bit_width(static_cast<uint64_t>(column.rows - 1)) : 0;
  sorted_[j] = column.count < 2048 ? radix_sort<8>(keys, spare, column.count, id_bits)
                                   : radix_sort<11>(keys, spare, column.count, id_bits);
}

int64_t SortedIds::start_of_id(int64_t j, int64_t at) const {
  const uint64_t* keys = sorted_[j];
  if (at >= columns_[j].count) return columns_[j].count;
  while (at > 0 && keys[at] >> 32 == keys[at - 1] >> 32) --at;
  return at;
}

bool SortedIds::find_wrong(int64_t* column, int64_t* sample) const {
  *column = -1;
  for (int64_t j = 0; j < columns(); ++j)
    if (wrong_[j] >= 0 && (*column < 0 || wrong_[j] < *sample)) {
      *column = j;
      *sample = wrong_[j];
    }
  return *column >= 0;
}

}  // namespace nasrec
