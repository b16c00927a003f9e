// Tkrzw's HashDBM.
//
// Tuned as one who knows it would: as many buckets as twice the records, update in place (which is
// also the default). The file is the default one, mapped as a whole; offsets of 4 bytes and an
// alignment of 8 (both defaults) reach to 32 GiB.
#include <tkrzw_dbm_hash.h>

#include "workload.hpp"

using namespace workload;

class Tkrzw {
 public:
  static constexpr const char* POLICY = "mapped; Synchronize(hard) at the end";
  static constexpr const char* BULK = "native";
  static constexpr const char* DURABLE = "Synchronize(hard) each put";

  explicit Tkrzw(const Shape& shape) {
    tkrzw::HashDBM::TuningParameters tuning;
    tuning.num_buckets = int64_t(shape.records) * 2;
    tuning.update_mode = tkrzw::HashDBM::UPDATE_IN_PLACE;
    ok(db_.OpenAdvanced(shape.dir + "/casket.tkh", true, tkrzw::File::OPEN_DEFAULT, tuning));
  }
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
    struct Reader : tkrzw::DBM::RecordProcessor {
      explicit Reader(F& found) : found(found) {}
      std::string_view ProcessFull(std::string_view, std::string_view value) override {
        found(value);
        return NOOP;
      }
      F& found;
    } reader(found);
    asked_.clear();
    for (size_t at = 0; at < count; at++) asked_.emplace_back(keys[at], &reader);
    ok(db_.ProcessMulti(asked_, false));
  }
  bool remove(std::string_view key) { return db_.Remove(key) == tkrzw::Status::SUCCESS; }
  void settle() {}
  void sync() { ok(db_.Synchronize(true)); }
  void close() { ok(db_.Close()); }
  void put_durable(std::string_view key, std::string_view value) {
    put(key, value);
    sync();
  }

 private:
  static void ok(const tkrzw::Status& status) {
    check(status == tkrzw::Status::SUCCESS, tkrzw::ToString(status));
  }
  tkrzw::HashDBM db_;
  std::string value_;
  std::vector<std::pair<std::string_view, tkrzw::DBM::RecordProcessor*>> asked_;
};

int main(int count, char** words) { return rival_main<Tkrzw>(count, words); }
