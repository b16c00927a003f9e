// LMDB, for reference: a B+ tree, not a hash.
//
// A map of 8 GiB. Rows without durability: MDB_NOSYNC, 10,000 puts a transaction, one read
// transaction for all gets of a row. Durable rows: a transaction a put, with LMDB's own flush.
#include <lmdb.h>

#include "workload.hpp"

using namespace workload;

class Lmdb {
 public:
  static constexpr const char* POLICY = "NOSYNC, 10,000 puts a transaction, sync at the end";
  static constexpr const char* BULK = "loop";
  static constexpr const char* DURABLE = "a transaction a put";

  explicit Lmdb(const Shape& shape) {
    ok(mdb_env_create(&env_));
    ok(mdb_env_set_mapsize(env_, size_t(8) << 30));
    ok(mdb_env_open(env_, shape.dir.c_str(), shape.durable ? 0 : MDB_NOSYNC, 0644));
    MDB_txn* txn;
    ok(mdb_txn_begin(env_, nullptr, 0, &txn));
    ok(mdb_dbi_open(txn, nullptr, 0, &dbi_));
    ok(mdb_txn_commit(txn));
  }
  void put(std::string_view key, std::string_view value) {
    MDB_txn* txn = writing();
    MDB_val k = val(key), v = val(value);
    ok(mdb_put(txn, dbi_, &k, &v, 0));
  }
  template <class F>
  bool get(std::string_view key, F&& found) {
    if (reader_ == nullptr) ok(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reader_));
    MDB_val k = val(key), v;
    if (mdb_get(reader_, dbi_, &k, &v) != 0) return false;
    found(std::string_view(static_cast<const char*>(v.mv_data), v.mv_size));
    return true;
  }
  template <class F>
  void get_bulk(const std::string_view* keys, size_t count, F&& found) {
    bulk_by_loop(*this, keys, count, found);
  }
  bool remove(std::string_view key) {
    MDB_txn* txn = writing();
    MDB_val k = val(key);
    return mdb_del(txn, dbi_, &k, nullptr) == 0;
  }
  void settle() {
    if (writer_ != nullptr) ok(mdb_txn_commit(writer_));
    if (reader_ != nullptr) mdb_txn_abort(reader_);
    writer_ = reader_ = nullptr;
    batched_ = 0;
  }
  void sync() { ok(mdb_env_sync(env_, 1)); }
  void close() { mdb_env_close(env_); }
  void put_durable(std::string_view key, std::string_view value) {
    MDB_txn* txn;
    ok(mdb_txn_begin(env_, nullptr, 0, &txn));
    MDB_val k = val(key), v = val(value);
    ok(mdb_put(txn, dbi_, &k, &v, 0));
    ok(mdb_txn_commit(txn));
  }

 private:
  static constexpr unsigned BATCH = 10'000;

  MDB_txn* writing() {
    if (batched_ == BATCH) settle();
    if (writer_ == nullptr) ok(mdb_txn_begin(env_, nullptr, 0, &writer_));
    batched_++;
    return writer_;
  }
  static MDB_val val(std::string_view bytes) {
    return {bytes.size(), const_cast<char*>(bytes.data())};
  }
  static void ok(int code) { check(code == 0, mdb_strerror(code)); }
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  MDB_txn *writer_ = nullptr, *reader_ = nullptr;
  unsigned batched_ = 0;
};

int main(int count, char** words) { return rival_main<Lmdb>(count, words); }
