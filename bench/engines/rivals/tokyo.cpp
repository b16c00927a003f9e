// Tokyo Cabinet's hash database.
//
// Tuned as one who knows it would: as many buckets as twice the records, and the whole file mapped
// (the default of 64 MiB sends everything beyond through pread and pwrite). Alignment, free block
// pool and options are the defaults; HDBTLARGE is not needed below 2 GiB.
#include <tchdb.h>

#include "workload.hpp"

using namespace workload;

class Tokyo {
 public:
  static constexpr const char* POLICY = "mapped; msync at the end";
  static constexpr const char* BULK = "loop";
  static constexpr const char* DURABLE = "tchdbsync each put";

  explicit Tokyo(const Shape& shape) : db_(tchdbnew()), value_(shape.value_len + 1) {
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

int main(int count, char** words) { return rival_main<Tokyo>(count, words); }
