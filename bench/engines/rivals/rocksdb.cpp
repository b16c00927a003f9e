// RocksDB: a log-structured merge tree; beside the hash engines for reference.
//
// As a hash: OptimizeForPointLookup (Bloom filters, hash index in blocks, 512 MiB of block cache)
// and two background threads, its own helpers for a store of point reads. The write-ahead log is
// on; it is buffered in the process (manual_wal_flush, a system call less a put) and synced at the
// end. In durable rows each put asks for a sync (RocksDB joins writers into groups).
//
// As a tree: half of the memory for the block cache, Bloom filters of ten bits, values from 4 KiB
// on in blob files; a WriteBatch of 10,000 puts, or single puts; appends are merge operands.
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

#include "workload.hpp"

using namespace workload;

class Rocks {
 public:
  static constexpr const char* BULK = "native";
  static const char* policy(const Shape& shape) {
    if (shape.durable) return "WriteOptions::sync";
    if (puts_a_batch(shape) == 1) return "WAL in a buffer, FlushWAL(sync) at the end";
    return "10,000 puts a batch, WAL in a buffer, FlushWAL(sync) at the end";
  }

  explicit Rocks(const Shape& shape) : batch_(puts_a_batch(shape)) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.IncreaseParallelism(2);
    if (shape.kind == Kind::TREE) tune_tree(options, shape);
    else options.OptimizeForPointLookup(512);
    options.manual_wal_flush = !shape.durable;
    rocksdb::DB* db;
    ok(rocksdb::DB::Open(options, shape.dir, &db));
    db_.reset(db);
    durable_.sync = true;
  }
  void put(std::string_view key, std::string_view value) {
    if (batch_ == 1) return ok(db_->Put(lazy_, slice(key), slice(value)));
    ok(writes_.Put(slice(key), slice(value)));
    write_full_batch();
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
  void append(std::string_view key, std::string_view value) {
    if (batch_ == 1) return ok(db_->Merge(lazy_, slice(key), slice(value)));
    ok(writes_.Merge(slice(key), slice(value)));
    write_full_batch();
  }
  void scan(Scanned& scanned) {
    std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(reading_));
    for (at->SeekToFirst(); at->Valid(); at->Next())
      scanned.record(at->key().ToStringView(), at->value().ToStringView());
    ok(at->status());
  }
  template <class F>
  bool get_any(std::string_view key, F&& found) {
    rocksdb::PinnableSlice value;
    if (!db_->Get(reading_, db_->DefaultColumnFamily(), slice(key), &value).ok()) return false;
    found(value.ToStringView());
    return true;
  }
  void put_any(std::string_view key, std::string_view value) {
    ok(db_->Put(lazy_, slice(key), slice(value)));
  }
  // A pinned value holds on to the database.
  void settle() {
    value_.Reset();
    write_batch();
  }
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
  // A batch of long values is written sooner: it is in memory.
  static constexpr size_t BATCH_BYTES_MAX = 16 << 20;
  static constexpr uint64_t BLOB_LEN_MIN = 4096;

  // An appended piece, joined to what is there when it is read or compacted.
  struct Append : rocksdb::AssociativeMergeOperator {
    bool Merge(const rocksdb::Slice&, const rocksdb::Slice* there, const rocksdb::Slice& piece,
               std::string* joined, rocksdb::Logger*) const override {
      if (there != nullptr) joined->assign(there->data(), there->size());
      joined->append(piece.data(), piece.size());
      return true;
    }
    const char* Name() const override { return "append"; }
  };

  static uint64_t puts_a_batch(const Shape& shape) {
    return shape.kind == Kind::TREE ? shape.batch : 1;
  }
  static void tune_tree(rocksdb::Options& options, const Shape& shape) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(shape.memory / 2);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    options.write_buffer_size = std::min<uint64_t>(options.write_buffer_size, shape.memory / 8);
    options.enable_blob_files = true;
    options.min_blob_size = BLOB_LEN_MIN;
    options.merge_operator = std::make_shared<Append>();
  }
  void write_full_batch() {
    if (uint64_t(writes_.Count()) >= batch_ || writes_.GetDataSize() >= BATCH_BYTES_MAX)
      write_batch();
  }
  void write_batch() {
    if (writes_.Count() == 0) return;
    ok(db_->Write(lazy_, &writes_));
    writes_.Clear();
  }

  static rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
  static void ok(const rocksdb::Status& status) { check(status.ok(), status.ToString()); }
  std::unique_ptr<rocksdb::DB> db_;
  uint64_t batch_;
  rocksdb::WriteBatch writes_;
  rocksdb::WriteOptions lazy_, durable_;
  rocksdb::ReadOptions reading_;
  rocksdb::PinnableSlice value_;
};

int main(int count, char** words) { return rival_main<Rocks, Rocks>(count, words); }
