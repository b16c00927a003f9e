// Tokyo Cabinet's hash database, and its B+ tree.
//
// Tuned as one who knows it would. The hash: as many buckets as twice the records, and the whole
// file mapped (the default of 64 MiB sends everything beyond through pread and pwrite). Alignment,
// free block pool and options are the defaults; HDBTLARGE is not needed below 2 GiB.
//
// The tree: leaves and inner nodes of the default 128 and 256 members, a bucket for every leaf, a
// cache for every leaf that the memory allows (the default of 1,024 leaves thrashes from 100,000
// records on), the file mapped, BDBTLARGE. No transactions: they write a log, and flush.
#include <tcbdb.h>
#include <tchdb.h>

#include <algorithm>

#include "workload.hpp"

using namespace workload;

class TokyoHash {
 public:
  static constexpr const char* BULK = "loop";
  static const char* policy(const Shape& shape) {
    return shape.durable ? "tchdbsync each put" : "mapped; msync at the end";
  }

  explicit TokyoHash(const Shape& shape) : db_(tchdbnew()), value_(shape.value_len + 1) {
    // The mutex is for several threads only; without it calls are cheaper.
    if (shape.durable) tchdbsetmutex(db_);
    tchdbtune(db_, int64_t(shape.records) * 2, -1, -1, 0);
    tchdbsetxmsiz(db_, int64_t(2) << 30);
    ok(tchdbopen(db_, (shape.dir + "/casket.tch").c_str(), HDBOWRITER | HDBOCREAT));
  }
  void put(std::string_view key, std::string_view value) {
    ok(tchdbput(db_, key.data(), int(key.size()), value.data(), int(value.size())));
  }
  template <class F>
  bool get(std::string_view key, F&& found) {
    int len = tchdbget3(db_, key.data(), int(key.size()), value_.data(), int(value_.size()));
    if (len < 0) return false;
    found(std::string_view(value_.data(), size_t(len)));
    return true;
  }
  template <class F>
  void get_bulk(const std::string_view* keys, size_t count, F&& found) {
    bulk_by_loop(*this, keys, count, found);
  }
  bool remove(std::string_view key) { return tchdbout(db_, key.data(), int(key.size())); }
  void settle() {}
  void sync() { ok(tchdbsync(db_)); }
  void close() {
    ok(tchdbclose(db_));
    tchdbdel(db_);
  }
  void put_durable(std::string_view key, std::string_view value) {
    put(key, value);
    sync();
  }

 private:
  void ok(bool done) { check(done, tchdberrmsg(tchdbecode(db_))); }
  TCHDB* db_;
  std::vector<char> value_;
};

class TokyoTree {
 public:
  static constexpr const char* BULK = "loop";
  static const char* policy(const Shape& shape) {
    return shape.durable ? "tcbdbsync each put" : "mapped; tcbdbsync at the end";
  }

  explicit TokyoTree(const Shape& shape) : db_(tcbdbnew()) {
    if (shape.durable || shape.shared) tcbdbsetmutex(db_);
    // After random puts leaves are about two thirds full; a long value has a leaf to itself.
    int64_t leaves = int64_t(shape.records) / (shape.value_len < LONG ? MEMBERS / 2 : 1) + 1;
    int64_t leaf_bytes = shape.value_len < LONG ? MEMBERS * int64_t(shape.value_len + RECORD_EXTRA)
                                                : 2 * int64_t(shape.value_len);
    int64_t cached = std::min(leaves + SPARE, int64_t(shape.memory) / 2 / leaf_bytes + SPARE_COLD);
    tcbdbtune(db_, MEMBERS, 2 * MEMBERS, std::max<int64_t>(2 * leaves, 32'749), -1, -1, BDBTLARGE);
    tcbdbsetcache(db_, int32_t(cached), int32_t(leaves / MEMBERS + SPARE));
    tcbdbsetxmsiz(db_, int64_t(8) << 30);
    ok(tcbdbopen(db_, (shape.dir + "/casket.tcb").c_str(), BDBOWRITER | BDBOCREAT));
  }
  void put(std::string_view key, std::string_view value) {
    ok(tcbdbput(db_, key.data(), int(key.size()), value.data(), int(value.size())));
  }
  // `tcbdbget3` does not copy; one thread only.
  template <class F>
  bool get(std::string_view key, F&& found) {
    int len;
    const void* value = tcbdbget3(db_, key.data(), int(key.size()), &len);
    if (value == nullptr) return false;
    found(std::string_view(static_cast<const char*>(value), size_t(len)));
    return true;
  }
  template <class F>
  void get_bulk(const std::string_view* keys, size_t count, F&& found) {
    bulk_by_loop(*this, keys, count, found);
  }
  bool remove(std::string_view key) { return tcbdbout(db_, key.data(), int(key.size())); }
  void append(std::string_view key, std::string_view value) {
    ok(tcbdbputcat(db_, key.data(), int(key.size()), value.data(), int(value.size())));
  }
  void scan(Scanned& scanned) {
    TCITER record = [](const void* key, int key_len, const void* value, int value_len, void* to) {
      static_cast<Scanned*>(to)->record({static_cast<const char*>(key), size_t(key_len)},
                                        {static_cast<const char*>(value), size_t(value_len)});
      return true;
    };
    ok(tcbdbforeach(db_, record, &scanned));
  }
  template <class F>
  bool get_any(std::string_view key, F&& found) {
    int len;
    void* value = tcbdbget(db_, key.data(), int(key.size()), &len);
    if (value == nullptr) return false;
    found(std::string_view(static_cast<char*>(value), size_t(len)));
    free(value);
    return true;
  }
  void put_any(std::string_view key, std::string_view value) { put(key, value); }
  void settle() {}
  void sync() { ok(tcbdbsync(db_)); }
  void close() {
    ok(tcbdbclose(db_));
    tcbdbdel(db_);
  }
  void put_durable(std::string_view key, std::string_view value) {
    put(key, value);
    sync();
  }

 private:
  static constexpr int MEMBERS = 128;
  static constexpr size_t LONG = 4096;
  // Bytes that a cached record has beside its value: key, header, block of the heap.
  static constexpr size_t RECORD_EXTRA = 56;
  static constexpr int64_t SPARE = 1024, SPARE_COLD = 64;

  void ok(bool done) { check(done, tcbdberrmsg(tcbdbecode(db_))); }
  TCBDB* db_;
};

int main(int count, char** words) { return rival_main<TokyoHash, TokyoTree>(count, words); }
