// LMDB: a B+ tree; beside the hash engines for reference.
//
// A map of 8 GiB, of 64 for trees (long values are more). Rows without durability: MDB_NOSYNC,
// 10,000 puts a transaction or one, one read transaction for all gets of a row (`get_any`: a new
// snapshot each time, by renewal). Durable rows: a transaction a put, with LMDB's own flush.
#include <lmdb.h>

#include "workload.hpp"

using namespace workload;

class Lmdb {
 public:
  static constexpr const char* BULK = "loop";
  static const char* policy(const Shape& shape) {
    if (shape.durable) return "a transaction a put";
    if (shape.batch == 1) return "NOSYNC, a transaction a put, sync at the end";
    return "NOSYNC, 10,000 puts a transaction, sync at the end";
  }

  explicit Lmdb(const Shape& shape) : batch_(shape.batch) {
    ok(mdb_env_create(&env_));
    ok(mdb_env_set_mapsize(env_, size_t(shape.kind == Kind::TREE ? 64 : 8) << 30));
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
    found(view(v));
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
  // Read and put again; the copy is needed, as a page may move.
  void append(std::string_view key, std::string_view value) {
    MDB_txn* txn = writing();
    MDB_val k = val(key), old{0, nullptr};
    int code = mdb_get(txn, dbi_, &k, &old);
    if (code != MDB_NOTFOUND) ok(code);
    joined_.assign(static_cast<const char*>(old.mv_data), old.mv_size).append(value);
    MDB_val v = val(joined_);
    ok(mdb_put(txn, dbi_, &k, &v, 0));
  }
  void scan(Scanned& scanned) {
    if (reader_ == nullptr) ok(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reader_));
    MDB_cursor* cursor;
    ok(mdb_cursor_open(reader_, dbi_, &cursor));
    MDB_val key, value;
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
      scanned.record(view(key), view(value));
    mdb_cursor_close(cursor);
  }
  template <class F>
  bool get_any(std::string_view key, F&& found) {
    Snapshot snapshot(env_);
    MDB_val k = val(key), v;
    if (mdb_get(snapshot.txn(), dbi_, &k, &v) != 0) return false;
    found(view(v));
    return true;
  }
  void put_any(std::string_view key, std::string_view value) { put_durable(key, value); }
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
  // A read transaction that the thread keeps and renews; a thread reads one store only.
  class Snapshot {
   public:
    explicit Snapshot(MDB_env* env) {
      if (kept_.txn == nullptr) ok(mdb_txn_begin(env, nullptr, MDB_RDONLY, &kept_.txn));
      else ok(mdb_txn_renew(kept_.txn));
    }
    ~Snapshot() { mdb_txn_reset(kept_.txn); }
    MDB_txn* txn() { return kept_.txn; }

   private:
    struct Kept {
      MDB_txn* txn = nullptr;
      ~Kept() {
        if (txn != nullptr) mdb_txn_abort(txn);
      }
    };
    static thread_local Kept kept_;
  };

  MDB_txn* writing() {
    if (batched_ == batch_) settle();
    if (writer_ == nullptr) ok(mdb_txn_begin(env_, nullptr, 0, &writer_));
    batched_++;
    return writer_;
  }
  static MDB_val val(std::string_view bytes) {
    return {bytes.size(), const_cast<char*>(bytes.data())};
  }
  static std::string_view view(const MDB_val& val) {
    return {static_cast<const char*>(val.mv_data), val.mv_size};
  }
  static void ok(int code) { check(code == 0, mdb_strerror(code)); }
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  MDB_txn *writer_ = nullptr, *reader_ = nullptr;
  uint64_t batch_, batched_ = 0;
  std::string joined_;
};

thread_local Lmdb::Snapshot::Kept Lmdb::Snapshot::kept_;

int main(int count, char** words) { return rival_main<Lmdb, Lmdb>(count, words); }
