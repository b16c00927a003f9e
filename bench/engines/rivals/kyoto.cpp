// Kyoto Cabinet's HashDB.
//
// Tuned as one who knows it would: as many buckets as twice the records, linear collision chains
// (TLINEAR: no left and right child, smaller records) since the chains are short then, and the whole
// file mapped (the default is 64 MiB).
#include <kchashdb.h>

#include "workload.hpp"

using namespace workload;

class Kyoto {
 public:
  static constexpr const char* POLICY = "mapped; synchronize(hard) at the end";
  static constexpr const char* BULK = "native";
  static constexpr const char* DURABLE = "synchronize(hard) each put";

  explicit Kyoto(const Shape& shape) : value_(shape.value_len + 1) {
    db_.tune_options(kyotocabinet::HashDB::TLINEAR);
    db_.tune_buckets(int64_t(shape.records) * 2);
    db_.tune_map(int64_t(2) << 30);
    ok(db_.open(shape.dir + "/casket.kch",
                kyotocabinet::HashDB::OWRITER | kyotocabinet::HashDB::OCREATE));
  }
  void put(std::string_view key, std::string_view value) {
    ok(db_.set(key.data(), key.size(), value.data(), value.size()));
  }
  template <class F>
  bool get(std::string_view key, F&& found) {
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
    struct Visitor : kyotocabinet::DB::Visitor {
      explicit Visitor(F& found) : found(found) {}
      const char* visit_full(const char*, size_t, const char* value, size_t len,
                             size_t*) override {
        found(std::string_view(value, len));
        return NOP;
      }
      F& found;
    } visitor(found);
    ok(db_.accept_bulk(keys_, &visitor, false));
  }
  bool remove(std::string_view key) { return db_.remove(key.data(), key.size()); }
  void settle() {}
  void sync() { ok(db_.synchronize(true)); }
  void close() { ok(db_.close()); }
  void put_durable(std::string_view key, std::string_view value) {
    put(key, value);
    sync();
  }

 private:
  void ok(bool done) { check(done, db_.error().message()); }
  kyotocabinet::HashDB db_;
  std::vector<char> value_;
  std::vector<std::string> keys_;
};

int main(int count, char** words) { return rival_main<Kyoto>(count, words); }
