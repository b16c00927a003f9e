// RocksDB, for reference: a log-structured merge tree.
//
// OptimizeForPointLookup (Bloom filters, hash index in blocks, 512 MiB of block cache) and two
// background threads, its own helpers for a store of point reads. The write-ahead log is on; it is
// buffered in the process (manual_wal_flush, a system call less a put) and synced at the end. In
// durable rows each put asks for a sync (RocksDB joins writers into groups).
#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include "workload.hpp"

using namespace workload;

class Rocks {
 public:
  static constexpr const char* POLICY = "WAL in a buffer, FlushWAL(sync) at the end";
  static constexpr const char* BULK = "native";
  static constexpr const char* DURABLE = "WriteOptions::sync";

  explicit Rocks(const Shape& shape) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.IncreaseParallelism(2);
    options.OptimizeForPointLookup(512);
    options.manual_wal_flush = !shape.durable;
    rocksdb::DB* db;
    ok(rocksdb::DB::Open(options, shape.dir, &db));
    db_.reset(db);
    durable_.sync = true;
  }
  void put(std::string_view key, std::string_view value) {
    ok(db_->Put(lazy_, slice(key), slice(value)));
  }
  template <class F>
  bool get(std::string_view key, F&& found) {
    value_.Reset();
    rocksdb::Status status =
        db_->Get(reading_, db_->DefaultColumnFamily(), slice(key), &value_);
    if (!status.ok()) return false;
    found(value_.ToStringView());
    return true;
  }
  template <class F>
  void get_bulk(const std::string_view* keys, size_t count, F&& found) {
    rocksdb::Slice slices[BULK_MAX];
    rocksdb::PinnableSlice values[BULK_MAX];
    rocksdb::Status statuses[BULK_MAX];
    for (size_t at = 0; at < count; at++) slices[at] = slice(keys[at]);
    db_->MultiGet(reading_, db_->DefaultColumnFamily(), count, slices, values, statuses);
    for (size_t at = 0; at < count; at++)
      if (statuses[at].ok()) found(values[at].ToStringView());
  }
  // RocksDB does not say whether the key was there; the workload only deletes what is.
  bool remove(std::string_view key) {
    ok(db_->Delete(lazy_, slice(key)));
    return true;
  }
  // A pinned value holds on to the database.
  void settle() { value_.Reset(); }
  void sync() { ok(db_->FlushWAL(true)); }
  void close() {
    ok(db_->Close());
    db_.reset();
  }
  void put_durable(std::string_view key, std::string_view value) {
    ok(db_->Put(durable_, slice(key), slice(value)));
  }

 private:
  static constexpr size_t BULK_MAX = workload::BULK;

  static rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
  static void ok(const rocksdb::Status& status) { check(status.ok(), status.ToString()); }
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions lazy_, durable_;
  rocksdb::ReadOptions reading_;
  rocksdb::PinnableSlice value_;
};

int main(int count, char** words) { return rival_main<Rocks>(count, words); }
