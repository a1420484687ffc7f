#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace nasrec {

// Uninitialised memory on a cache-line boundary, for as long as the object lives. Each thread keeps its last block for
// the next call: fresh pages cost more than many kernels. Blocks above kKept go back to the system.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : bytes_(static_cast<size_t>(bytes)) {
    Keeper& kept = kept_block();
    if (kept.bytes >= bytes_ && kept.data != nullptr) {
      data_ = kept.data;
      bytes_ = kept.bytes;
      kept = Block{};
    } else {
      data_ = ::operator new(bytes_, kAlignment);
    }
  }
  ~Scratch() {
    Keeper& kept = kept_block();
    if (bytes_ > kKept || bytes_ <= kept.bytes) {
      ::operator delete(data_, kAlignment);
      return;
    }
    if (kept.data != nullptr) ::operator delete(kept.data, kAlignment);
    kept = Block{data_, bytes_};
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() const { return data_; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  static constexpr size_t kKept = 64 << 20;

  struct Block {
    void* data = nullptr;
    size_t bytes = 0;
  };
  struct Keeper : Block {
    ~Keeper() {
      if (data != nullptr) ::operator delete(data, kAlignment);
    }
    Keeper& operator=(const Block& block) {
      Block::operator=(block);
      return *this;
    }
  };
  static Keeper& kept_block() {
    thread_local Keeper keeper;
    return keeper;
  }

  void* data_;
  size_t bytes_;
};

}  // namespace nasrec
