// Tkrzw's HashDBM and TreeDBM.
//
// Tuned as one who knows it would. The hash: as many buckets as twice the records, update in place
// (which is also the default). The file is the default one, mapped as a whole; offsets of 4 bytes
// and an alignment of 8 (both defaults) reach to 32 GiB. The tree, whose pages are records of a
// hash database: a bucket for every page, pages of the default 8,130 bytes, and as many of them
// cached as the memory allows (default 10,000).
#include <tkrzw_dbm_hash.h>
#include <tkrzw_dbm_tree.h>

#include <algorithm>

#include "workload.hpp"

using namespace workload;

using tkrzw::HashDBM;
using tkrzw::TreeDBM;

inline tkrzw::Status open(HashDBM& db, const Shape& shape) {
  HashDBM::TuningParameters tuning;
  tuning.num_buckets = int64_t(shape.records) * 2;
  tuning.update_mode = HashDBM::UPDATE_IN_PLACE;
  return db.OpenAdvanced(shape.dir + "/casket.tkh", true, tkrzw::File::OPEN_DEFAULT, tuning);
}

inline tkrzw::Status open(TreeDBM& db, const Shape& shape) {
  // A record in a cached page has some bytes beside its key and value.
  constexpr uint64_t RECORD_EXTRA = 40;
  uint64_t page_len = std::max<uint64_t>(TreeDBM::DEFAULT_MAX_PAGE_SIZE, 2 * shape.value_len);
  uint64_t record_len = KEY_LEN + shape.value_len;
  uint64_t cached_len = page_len / record_len * RECORD_EXTRA + page_len;
  TreeDBM::TuningParameters tuning;
  tuning.num_buckets = std::max(int64_t(shape.records * record_len / page_len * 4),
                                TreeDBM::DEFAULT_NUM_BUCKETS);
  tuning.max_cached_pages = int32_t(std::max<uint64_t>(shape.memory / 2 / cached_len, 64));
  return db.OpenAdvanced(shape.dir + "/casket.tkt", true, tkrzw::File::OPEN_DEFAULT, tuning);
}

template <class Db>
class Tkrzw {
 public:
  static constexpr const char* BULK = "native";
  static const char* policy(const Shape& shape) {
    return shape.durable ? "Synchronize(hard) each put" : "mapped; Synchronize(hard) at the end";
  }

  explicit Tkrzw(const Shape& shape) { ok(open(db_, shape)); }
  void put(std::string_view key, std::string_view value) { ok(db_.Set(key, value)); }
  template <class F>
  bool get(std::string_view key, F&& found) {
    if (db_.Get(key, &value_) != tkrzw::Status::SUCCESS) return false;
    found(std::string_view(value_));
    return true;
  }
  // `ProcessMulti` of processors that only read; `GetMulti` is a loop that fills a map.
  template <class F>
  void get_bulk(const std::string_view* keys, size_t count, F&& found) {
    auto take = [&](std::string_view, std::string_view value) { found(value); };
    Reader<decltype(take)> reader(take);
    asked_.clear();
    for (size_t at = 0; at < count; at++) asked_.emplace_back(keys[at], &reader);
    ok(db_.ProcessMulti(asked_, false));
  }
  bool remove(std::string_view key) { return db_.Remove(key) == tkrzw::Status::SUCCESS; }
  void append(std::string_view key, std::string_view value) { ok(db_.Append(key, value)); }
  void scan(Scanned& scanned) {
    auto take = [&](std::string_view key, std::string_view value) { scanned.record(key, value); };
    Reader<decltype(take)> reader(take);
    ok(db_.ProcessEach(&reader, false));
  }
  template <class F>
  bool get_any(std::string_view key, F&& found) {
    bool is_there = false;
    auto take = [&](std::string_view, std::string_view value) { is_there = true, found(value); };
    Reader<decltype(take)> reader(take);
    ok(db_.Process(key, &reader, false));
    return is_there;
  }
  void put_any(std::string_view key, std::string_view value) { put(key, value); }
  void settle() {}
  void sync() { ok(db_.Synchronize(true)); }
  void close() { ok(db_.Close()); }
  void put_durable(std::string_view key, std::string_view value) {
    put(key, value);
    sync();
  }

 private:
  template <class F>
  struct Reader : tkrzw::DBM::RecordProcessor {
    explicit Reader(F& take) : take(take) {}
    std::string_view ProcessFull(std::string_view key, std::string_view value) override {
      take(key, value);
      return NOOP;
    }
    F& take;
  };

  static void ok(const tkrzw::Status& status) {
    check(status == tkrzw::Status::SUCCESS, tkrzw::ToString(status));
  }
  Db db_;
  std::string value_;
  std::vector<std::pair<std::string_view, tkrzw::DBM::RecordProcessor*>> asked_;
};

int main(int count, char** words) {
  return rival_main<Tkrzw<HashDBM>, Tkrzw<TreeDBM>>(count, words);
}
