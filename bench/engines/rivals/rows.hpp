// The rows for every kind of engine. `workload/src/rows.rs` holds the same in Rust.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "draw.hpp"
#include "meter.hpp"

namespace workload {

enum class Kind { HASH, TREE };

// Puts a transaction, where nothing else is said.
constexpr uint64_t BATCH = 10'000;
// More than any store here needs.
constexpr uint64_t MEMORY_AMPLE = uint64_t(4) << 30;

// What a rival is told when it opens a store.
struct Shape {
  // An existing directory for this store alone.
  std::string dir;
  uint64_t records = 0;
  size_t value_len = 0;
  // For `put_durable`, from several threads at once; otherwise flushed by `sync` only.
  bool durable = false;
  Kind kind = Kind::HASH;
  // Puts a transaction, for those who have transactions.
  uint64_t batch = BATCH;
  // For `get_any` and `put_any`, from several threads at once.
  bool shared = false;
  // Bytes that the caches of a tree may take, the kernel's share of them included.
  uint64_t memory = MEMORY_AMPLE;
};

struct Arguments {
  std::string dir, rows;
  Kind kind = Kind::HASH;
  // For cold rows; see `Shape`.
  uint64_t memory = 0;
  uint64_t records = 100'000, seed = 1;
  size_t value_len = 8;
  double seconds = 2;
};

inline Kind parse_kind(std::string_view name) {
  check(name == "hash" || name == "tree", "--kind: hash or tree");
  return name == "tree" ? Kind::TREE : Kind::HASH;
}

inline Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int at = 1; at < count; at += 2) {
    std::string flag = words[at];
    check(at + 1 < count, flag + " needs a value");
    const char* value = words[at + 1];
    if (flag == "--dir") arguments.dir = value;
    else if (flag == "--kind") arguments.kind = parse_kind(value);
    else if (flag == "--memory") arguments.memory = strtoull(value, nullptr, 10);
    else if (flag == "--rows") arguments.rows = value;
    else if (flag == "--records") arguments.records = strtoull(value, nullptr, 10);
    else if (flag == "--value-len") arguments.value_len = strtoull(value, nullptr, 10);
    else if (flag == "--seed") arguments.seed = strtoull(value, nullptr, 10);
    else if (flag == "--seconds") arguments.seconds = strtod(value, nullptr);
    else fail("unknown argument " + flag);
  }
  check(!arguments.dir.empty() && !arguments.rows.empty(), "--dir and --rows are needed");
  check(arguments.records >= 1 && arguments.records <= RECORDS_MAX, "--records: 1 to 100000000");
  return arguments;
}

// One call after the other, for rivals without a call for many keys.
template <class Rival, class F>
void bulk_by_loop(Rival& rival, const std::string_view* keys, size_t count, F&& found) {
  for (size_t at = 0; at < count; at++) rival.get(keys[at], found);
}

// A class with
//   static constexpr const char* BULK;           "native" or "loop"
//   static const char* policy(const Shape&);     when it flushes
//   explicit Rival(const Shape&);                opens, creating what is missing
//   void put(key, value);
//   bool get(key, f);                            f(value) when it is there
//   void get_bulk(keys, count, f);               f(value) for each that is there
//   bool remove(key);
//   void settle();                               ends what is open over several calls
//   void sync();                                 everything to the disk
//   void close();
//   void put_durable(key, value);                from any thread; on the disk when it returns
// and, for an ordered one (see `tree_rows.hpp`),
//   void append(key, value);                     to what is there
//   void scan(scanned);                          scanned.record(key, value), from first to last
//   bool get_any(key, f);                        from any thread, sees what was put before
//   void put_any(key, value);                    from any thread, a transaction of its own
template <class Rival>
class Run {
 public:
  explicit Run(Arguments arguments) : arguments_(std::move(arguments)) {}

  void row(const std::string& name) {
    if (name == "put-seq") put(name, Order::sequential(arguments_.records));
    else if (name == "put-random") put(name, fill_order());
    else if (name == "get-random") get(name);
    else if (name == "get-bulk-32") get_bulk(name);
    else if (name == "delete") remove(name);
    else if (name == "overwrite") overwrite(name);
    else if (name == "reopen") reopen(name);
    else if (name == "put-durable-1") put_durable(name, 1);
    else if (name == "put-durable-64") put_durable(name, 64);
    else fail("unknown row " + name);
  }

  void finish() {
    drop();
    remove_all(arguments_.dir);
  }

 protected:
  Order fill_order() { return Order::permutation(arguments_.records, arguments_.seed + 1); }

  void put(const std::string& name, Order order, uint64_t batch = BATCH) {
    drop();
    Shape shape = plain();
    shape.batch = batch;
    Meter meter;
    meter.start();
    open(shape);
    put_all(order, 0);
    rival_->settle();
    rival_->sync();
    meter.stop();
    order.give_back();
    Resident resident = Resident::now();
    meter.start();
    rival_->close();
    meter.stop();
    rival_.reset();
    report(name, arguments_.records, meter, resident);
    open(plain());
    check_sample(false);
    drop();
  }

  void get(const std::string& name) {
    fill();
    Order order = Order::permutation(arguments_.records, arguments_.seed + 2);
    uint64_t sum = 0, found = 0;
    auto count = [&](std::string_view value) { sum += checksum(value), found++; };
    Meter meter;
    meter.start();
    get_each(order, count);
    rival_->settle();
    meter.stop();
    order.give_back();
    check_all(sum, found);
    report(name, arguments_.records, meter, Resident::now());
  }

  void get_bulk(const std::string& name) {
    fill();
    Order order = Order::permutation(arguments_.records, arguments_.seed + 3);
    uint64_t sum = 0, found = 0;
    auto count = [&](std::string_view value) { sum += checksum(value), found++; };
    Meter meter;
    meter.start();
    get_groups(order, count);
    rival_->settle();
    meter.stop();
    order.give_back();
    check_all(sum, found);
    report(name, arguments_.records, meter, Resident::now());
  }

  template <class F>
  void get_each(const Order& order, F&& found) {
    char key[KEY_LEN];
    for (uint32_t number : order) {
      write_key(number, key);
      rival_->get({key, KEY_LEN}, found);
    }
  }

  template <class F>
  void get_groups(const Order& order, F&& found) {
    char bytes[BULK][KEY_LEN];
    std::string_view keys[BULK];
    for (const uint32_t* at = order.begin(); at < order.end();) {
      size_t group = 0;
      for (; group < BULK && at < order.end(); group++, at++) {
        write_key(*at, bytes[group]);
        keys[group] = {bytes[group], KEY_LEN};
      }
      rival_->get_bulk(keys, group, found);
    }
  }

  void remove(const std::string& name) {
    fill();
    clean_ = false;
    Order order = Order::permutation(arguments_.records, arguments_.seed + 5);
    uint64_t removed = 0;
    char key[KEY_LEN];
    Meter meter;
    meter.start();
    for (uint32_t number : order) {
      write_key(number, key);
      removed += rival_->remove({key, KEY_LEN});
    }
    rival_->settle();
    rival_->sync();
    meter.stop();
    order.give_back();
    check(removed == arguments_.records, "not every record was there to be deleted");
    for (uint64_t at = 0; at < SAMPLE && at < arguments_.records; at++) {
      write_key(at, key);
      check(!rival_->get({key, KEY_LEN}, [](std::string_view) {}), "a deleted record is there");
    }
    rival_->settle();
    report(name, arguments_.records, meter, Resident::now());
  }

  void overwrite(const std::string& name) {
    fill();
    clean_ = false;
    Order order = Order::draws(arguments_.records, arguments_.records, arguments_.seed + 4);
    Meter meter;
    meter.start();
    put_all(order, 1);
    rival_->settle();
    rival_->sync();
    meter.stop();
    order.give_back();
    check_sample(true);
    report(name, arguments_.records, meter, Resident::now());
  }

  // Up to the first record read, so that nobody puts the work off.
  void reopen(const std::string& name) {
    fill();
    rival_->close();
    rival_.reset();
    Meter meter;
    meter.start();
    open(plain());
    check_sample(false, 1);
    meter.stop();
    Resident resident = Resident::now();
    check_sample(false);
    rival_->close();
    rival_.reset();
    report(name, 1, meter, resident);
    drop();
  }

  void put_durable(const std::string& name, unsigned threads) {
    drop();
    Shape shape = plain();
    shape.durable = true;
    open(shape);
    std::atomic<bool> begun{false}, over{false};
    std::atomic<uint64_t> acknowledged{0};
    auto write = [&](uint64_t seed) {
      Rng rng{seed << 32};
      std::string value(arguments_.value_len, '\0');
      char key[KEY_LEN];
      while (!begun) std::this_thread::yield();
      while (!over) {
        uint64_t number = rng.next() % RECORDS_MAX;
        write_key(number, key);
        write_value(number, 0, value.data(), value.size());
        rival_->put_durable({key, KEY_LEN}, value);
        acknowledged++;
      }
    };
    std::vector<std::thread> writers;
    for (unsigned at = 0; at < threads; at++) writers.emplace_back(write, arguments_.seed + at);
    Meter meter;
    meter.start();
    begun = true;
    std::this_thread::sleep_for(std::chrono::duration<double>(arguments_.seconds));
    over = true;
    for (std::thread& writer : writers) writer.join();
    meter.stop();
    Resident resident = Resident::now();
    rival_->close();
    rival_.reset();
    report(name, acknowledged, meter, resident);
    drop();
  }

  void put_all(const Order& order, uint64_t generation) {
    std::string value(arguments_.value_len, '\0');
    char key[KEY_LEN];
    for (uint32_t number : order) {
      write_key(number, key);
      write_value(number, generation, value.data(), value.size());
      rival_->put({key, KEY_LEN}, value);
    }
  }

  // An open store with every record as first written, untimed.
  void fill() {
    if (rival_ && clean_) return;
    drop();
    open(plain());
    put_all(fill_order(), 0);
    rival_->settle();
    rival_->sync();
    clean_ = true;
  }

  // The store of most rows.
  Shape plain() const {
    Shape shape;
    shape.dir = arguments_.dir;
    shape.records = arguments_.records;
    shape.value_len = arguments_.value_len;
    shape.kind = arguments_.kind;
    return shape;
  }

  void open(const Shape& shape) {
    make_directory(shape.dir);
    shape_ = shape;
    rival_ = std::make_unique<Rival>(shape);
  }

  static void make_directory(const std::string& path) {
    check(mkdir(path.c_str(), 0777) == 0 || errno == EEXIST, "cannot create " + path);
  }

  // Closes the store and removes its files.
  void drop() {
    if (rival_) rival_->close();
    rival_.reset();
    clean_ = is_cold_filled_ = false;
    remove_all(arguments_.dir);
  }

  void check_all(uint64_t sum, uint64_t found) {
    check(found == arguments_.records, "not every record was found");
    uint64_t expected = 0;
    std::string value(arguments_.value_len, '\0');
    for (uint64_t number = 0; number < arguments_.records; number++) {
      write_value(number, 0, value.data(), value.size());
      expected += checksum(value);
    }
    check(sum == expected, "values are not what was put");
  }

  void check_sample(bool overwritten, uint64_t count = SAMPLE) {
    std::string first(arguments_.value_len, '\0'), second(arguments_.value_len, '\0');
    char key[KEY_LEN];
    for (uint64_t number = 0; number < count && number < arguments_.records; number++) {
      write_key(number, key);
      write_value(number, 0, first.data(), first.size());
      write_value(number, 1, second.data(), second.size());
      bool same = false;
      rival_->get({key, KEY_LEN}, [&](std::string_view value) {
        same = value == first || (overwritten && value == second);
      });
      check(same, "record " + std::to_string(number) + " is not what was put");
    }
    rival_->settle();
  }

  void report(const std::string& name, uint64_t operations, const Meter& meter,
              const Resident& resident) {
    Bytes bytes = directory_bytes(arguments_.dir);
    double load = 0;
    getloadavg(&load, 1);
    auto ull = [](uint64_t value) { return static_cast<unsigned long long>(value); };
    printf("{\"row\":\"%s\",\"operations\":%llu,\"wall_s\":%.6f,\"cpu_s\":%.6f,"
           "\"other_cpu_s\":%.3f,\"loadavg\":%.2f,",
           name.c_str(), ull(operations), meter.wall_s, meter.cpu_s,
           meter.other_s > 0 ? meter.other_s : 0.0, load);
    printf("\"file_bytes\":%llu,\"file_allocated_bytes\":%llu,\"rss_bytes\":%llu,"
           "\"rss_anon_bytes\":%llu,\"rss_file_bytes\":%llu,",
           ull(bytes.len), ull(bytes.allocated), ull(resident.all), ull(resident.anon),
           ull(resident.file));
    printf("\"read_bytes\":%llu,\"written_bytes\":%llu,\"policy\":\"%s\",\"bulk\":\"%s\"}\n",
           ull(meter.read_bytes), ull(meter.written_bytes), Rival::policy(shape_), Rival::BULK);
    fflush(stdout);
  }

  Arguments arguments_;
  // As the store was opened last.
  Shape shape_;
  std::unique_ptr<Rival> rival_;
  // Whether the store is open and holds every record as first written.
  bool clean_ = false;
  // Whether the directory holds the store of the cold rows.
  bool is_cold_filled_ = false;
};

}  // namespace workload
