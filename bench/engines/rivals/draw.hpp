// Keys, values, and the orders in which they come. `workload/src/feed.rs` draws the same.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace workload {

constexpr size_t KEY_LEN = 8;
// Keys are %08d.
constexpr uint64_t RECORDS_MAX = 100'000'000;
constexpr size_t BULK = 32;
// Records looked at again, untimed, after a row that changes them.
constexpr uint64_t SAMPLE = 1000;

[[noreturn]] inline void fail(const std::string& what) {
  fprintf(stderr, "%s\n", what.c_str());
  exit(1);
}

inline void check(bool ok, const std::string& what) {
  if (!ok) fail(what);
}

// SplitMix64 (Steele, Lea, Flood 2014).
constexpr uint64_t GOLDEN = 0x9e3779b97f4a7c15;

inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

struct Rng {
  uint64_t state;
  uint64_t next() { return mix(state += GOLDEN); }
};

// The number as eight decimal digits.
inline void write_key(uint64_t number, char* out) {
  for (size_t at = KEY_LEN; at-- > 0; number /= 10) out[at] = static_cast<char>('0' + number % 10);
}

inline uint64_t value_word(uint64_t number, uint64_t generation, uint64_t index) {
  return mix(((generation << 56) ^ (number << 16) ^ index) + GOLDEN);
}

// The first `len` bytes of the pattern of `number`. `generation` tells overwritten values apart.
inline void write_value(uint64_t number, uint64_t generation, char* out, size_t len) {
  for (size_t at = 0; at < len; at += 8) {
    uint64_t word = value_word(number, generation, at / 8);
    memcpy(out + at, &word, len - at < 8 ? len - at : 8);
  }
}

// Sum of the value's words, the last one filled up with zeros: touches every byte.
inline uint64_t checksum(std::string_view value) {
  uint64_t sum = 0;
  size_t at = 0;
  for (; at + 8 <= value.size(); at += 8) {
    uint64_t word;
    memcpy(&word, value.data() + at, 8);
    sum += word;
  }
  if (at < value.size()) {
    uint64_t word = 0;
    memcpy(&word, value.data() + at, value.size() - at);
    sum += word;
  }
  return sum;
}

// All records of an ordered scan: every byte of key and value is touched, and the order shows.
struct Scanned {
  uint64_t count = 0, order = 0, sum = 0;
  void record(std::string_view key, std::string_view value) {
    order = order * GOLDEN + checksum(key);
    sum += checksum(value);
    count++;
  }
};

// Numbers in the order in which a row uses them, in pages of their own: they are given back before
// resident memory is read.
class Order {
 public:
  // Every number below `count` once, at random.
  static Order permutation(uint64_t count, uint64_t seed) {
    Order order = sequential(count);
    Rng rng{seed};
    for (uint64_t at = count; at-- > 1;) std::swap(order.at_[at], order.at_[rng.next() % (at + 1)]);
    return order;
  }
  // `count` numbers below `bound`, some more than once.
  static Order draws(uint64_t count, uint64_t bound, uint64_t seed) {
    Order order(count);
    Rng rng{seed};
    for (uint64_t at = 0; at < count; at++) order.at_[at] = uint32_t(rng.next() % bound);
    return order;
  }
  static Order sequential(uint64_t count) {
    Order order(count);
    for (uint64_t at = 0; at < count; at++) order.at_[at] = uint32_t(at);
    return order;
  }
  Order(Order&& other) noexcept : at_(other.at_), count_(other.count_) { other.at_ = nullptr; }
  Order(const Order&) = delete;
  ~Order() { give_back(); }
  void give_back() {
    if (at_ != nullptr) munmap(at_, count_ * sizeof(uint32_t));
    at_ = nullptr;
  }
  uint64_t count() const { return count_; }
  const uint32_t* begin() const { return at_; }
  const uint32_t* end() const { return at_ + count_; }

 private:
  explicit Order(uint64_t count) : count_(count) {
    void* pages = mmap(nullptr, count * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(pages != MAP_FAILED, "cannot map memory for the order of keys");
    at_ = static_cast<uint32_t*>(pages);
  }
  uint32_t* at_;
  uint64_t count_;
};

}  // namespace workload
