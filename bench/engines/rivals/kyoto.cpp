// Kyoto Cabinet's HashDB and TreeDB.
//
// Tuned as one who knows it would. The hash: as many buckets as twice the records, linear collision
// chains (TLINEAR: no left and right child, smaller records) since the chains are short then, and
// the whole file mapped (the default is 64 MiB). The tree, whose pages are records of a hash
// database: a bucket for every page, linear chains, pages of the default 8 KiB, a page cache as
// large as the memory allows (default 64 MiB), the file mapped. No transactions: they write a log,
// and flush.
#include <kchashdb.h>

#include <algorithm>
#include <type_traits>

#include "workload.hpp"

using namespace workload;

using kyotocabinet::HashDB;
using kyotocabinet::TreeDB;

inline void tune(HashDB& db, const Shape& shape) {
  db.tune_options(HashDB::TLINEAR);
  db.tune_buckets(int64_t(shape.records) * 2);
  db.tune_map(int64_t(2) << 30);
}

inline void tune(TreeDB& db, const Shape& shape) {
  constexpr int64_t PAGE_LEN = 8192, BUCKETS_MIN = 64 << 10;
  int64_t bytes = int64_t(shape.records * (KEY_LEN + shape.value_len));
  db.tune_options(TreeDB::TLINEAR);
  db.tune_buckets(std::max(bytes / PAGE_LEN * 4, BUCKETS_MIN));
  db.tune_page_cache(int64_t(shape.memory / 2));
  db.tune_map(int64_t(8) << 30);
}

inline const char* suffix(const HashDB&) { return "kch"; }
inline const char* suffix(const TreeDB&) { return "kct"; }

template <class Db>
class Kyoto {
 public:
  static constexpr const char* BULK = "native";
  static const char* policy(const Shape& shape) {
    return shape.durable ? "synchronize(hard) each put" : "mapped; synchronize(hard) at the end";
  }

  explicit Kyoto(const Shape& shape) : value_(shape.value_len + 1) {
    tune(db_, shape);
    ok(db_.open(shape.dir + "/casket." + suffix(db_), Db::OWRITER | Db::OCREATE));
  }
  void put(std::string_view key, std::string_view value) {
    ok(db_.set(key.data(), key.size(), value.data(), value.size()));
  }
  // Long values of a tree are read in their place.
  template <class F>
  bool get(std::string_view key, F&& found) {
    if constexpr (std::is_same_v<Db, TreeDB>) return get_any(key, found);
    int32_t len = db_.get(key.data(), key.size(), value_.data(), value_.size());
    if (len < 0) return false;
    found(std::string_view(value_.data(), size_t(len)));
    return true;
  }
  // `accept_bulk` with a visitor: what `get_bulk` is made of, without its map of copies.
  template <class F>
  void get_bulk(const std::string_view* keys, size_t count, F&& found) {
    keys_.resize(count);
    for (size_t at = 0; at < count; at++) keys_[at].assign(keys[at]);
    Reader<F> reader(found);
    ok(db_.accept_bulk(keys_, &reader, false));
  }
  bool remove(std::string_view key) { return db_.remove(key.data(), key.size()); }
  void append(std::string_view key, std::string_view value) {
    ok(db_.append(key.data(), key.size(), value.data(), value.size()));
  }
  void scan(Scanned& scanned) {
    auto record = [&](std::string_view key, std::string_view value) { scanned.record(key, value); };
    KeyReader<decltype(record)> reader(record);
    ok(db_.iterate(&reader, false));
  }
  template <class F>
  bool get_any(std::string_view key, F&& found) {
    bool is_there = false;
    auto note = [&](std::string_view value) { is_there = true, found(value); };
    Reader<decltype(note)> reader(note);
    ok(db_.accept(key.data(), key.size(), &reader, false));
    return is_there;
  }
  void put_any(std::string_view key, std::string_view value) { put(key, value); }
  void settle() {}
  void sync() { ok(db_.synchronize(true)); }
  void close() { ok(db_.close()); }
  void put_durable(std::string_view key, std::string_view value) {
    put(key, value);
    sync();
  }

 private:
  template <class F>
  struct Reader : kyotocabinet::DB::Visitor {
    explicit Reader(F& found) : found(found) {}
    const char* visit_full(const char*, size_t, const char* value, size_t len, size_t*) override {
      found(std::string_view(value, len));
      return NOP;
    }
    F& found;
  };
  template <class F>
  struct KeyReader : kyotocabinet::DB::Visitor {
    explicit KeyReader(F& found) : found(found) {}
    const char* visit_full(const char* key, size_t key_len, const char* value, size_t len,
                           size_t*) override {
      found(std::string_view(key, key_len), std::string_view(value, len));
      return NOP;
    }
    F& found;
  };

  void ok(bool done) { check(done, db_.error().message()); }
  Db db_;
  std::vector<char> value_;
  std::vector<std::string> keys_;
};

int main(int count, char** words) { return rival_main<Kyoto<HashDB>, Kyoto<TreeDB>>(count, words); }
