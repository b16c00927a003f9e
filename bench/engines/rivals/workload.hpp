// What every rival does, how it is timed, and how it is told: the C++ half.
//
// `workload/src/` holds the same in Rust; the two must draw the same keys, orders and values. A
// rival is a class with the members that `Rival` below names; `rival_main` does the rest.
#pragma once

#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace workload {

using Clock = std::chrono::steady_clock;

constexpr size_t KEY_LEN = 8;
// Keys are %08d.
constexpr uint64_t RECORDS_MAX = 100'000'000;
constexpr size_t BULK = 32;
// Records looked at again, untimed, after a row that changes them.
constexpr uint64_t SAMPLE = 1000;

[[noreturn]] inline void fail(const std::string& what) {
  fprintf(stderr, "%s\n", what.c_str());
  exit(1);
}

inline void check(bool ok, const std::string& what) {
  if (!ok) fail(what);
}

// --- keys, values, orders -------------------------------------------------------------------

// SplitMix64 (Steele, Lea, Flood 2014).
constexpr uint64_t GOLDEN = 0x9e3779b97f4a7c15;

inline uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

struct Rng {
  uint64_t state;
  uint64_t next() { return mix(state += GOLDEN); }
};

// The number as eight decimal digits.
inline void write_key(uint64_t number, char* out) {
  for (size_t at = KEY_LEN; at-- > 0; number /= 10) out[at] = static_cast<char>('0' + number % 10);
}

inline uint64_t value_word(uint64_t number, uint64_t generation, uint64_t index) {
  return mix(((generation << 56) ^ (number << 16) ^ index) + GOLDEN);
}

// The first `len` bytes of the pattern of `number`. `generation` tells overwritten values apart.
inline void write_value(uint64_t number, uint64_t generation, char* out, size_t len) {
  for (size_t at = 0; at < len; at += 8) {
    uint64_t word = value_word(number, generation, at / 8);
    memcpy(out + at, &word, len - at < 8 ? len - at : 8);
  }
}

// Sum of the value's words, the last one filled up with zeros: touches every byte.
inline uint64_t checksum(std::string_view value) {
  uint64_t sum = 0;
  size_t at = 0;
  for (; at + 8 <= value.size(); at += 8) {
    uint64_t word;
    memcpy(&word, value.data() + at, 8);
    sum += word;
  }
  if (at < value.size()) {
    uint64_t word = 0;
    memcpy(&word, value.data() + at, value.size() - at);
    sum += word;
  }
  return sum;
}

// Numbers in the order in which a row uses them, in pages of their own: they are given back before
// resident memory is read.
class Order {
 public:
  // Every number below `count` once, at random.
  static Order permutation(uint64_t count, uint64_t seed) {
    Order order = sequential(count);
    Rng rng{seed};
    for (uint64_t at = count; at-- > 1;) std::swap(order.at_[at], order.at_[rng.next() % (at + 1)]);
    return order;
  }
  // `count` numbers below `count`, some more than once.
  static Order draws(uint64_t count, uint64_t seed) {
    Order order(count);
    Rng rng{seed};
    for (uint64_t at = 0; at < count; at++) order.at_[at] = uint32_t(rng.next() % count);
    return order;
  }
  static Order sequential(uint64_t count) {
    Order order(count);
    for (uint64_t at = 0; at < count; at++) order.at_[at] = uint32_t(at);
    return order;
  }
  Order(Order&& other) noexcept : at_(other.at_), count_(other.count_) { other.at_ = nullptr; }
  Order(const Order&) = delete;
  ~Order() { give_back(); }
  void give_back() {
    if (at_ != nullptr) munmap(at_, count_ * sizeof(uint32_t));
    at_ = nullptr;
  }
  const uint32_t* begin() const { return at_; }
  const uint32_t* end() const { return at_ + count_; }

 private:
  explicit Order(uint64_t count) : count_(count) {
    void* pages = mmap(nullptr, count * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(pages != MAP_FAILED, "cannot map memory for the order of keys");
    at_ = static_cast<uint32_t*>(pages);
  }
  uint32_t* at_;
  uint64_t count_;
};

// --- what is measured -----------------------------------------------------------------------

inline double cpu_seconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](timeval t) { return double(t.tv_sec) + double(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Seconds that all cores together were idle (or waited for a disk), from `/proc/stat`.
inline double idle_seconds() {
  std::ifstream stat("/proc/stat");
  std::string word;
  uint64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0;
  stat >> word >> user >> nice >> system >> idle >> iowait;
  return double(idle + iowait) / double(sysconf(_SC_CLK_TCK));
}

// Wall and CPU time, the process's and that of everything else; may be paused.
class Meter {
 public:
  void start() {
    wall_begun_ = Clock::now();
    cpu_begun_ = cpu_seconds();
    idle_begun_ = idle_seconds();
  }
  void stop() {
    double wall = std::chrono::duration<double>(Clock::now() - wall_begun_).count();
    double cpu = cpu_seconds() - cpu_begun_;
    double busy = wall * double(sysconf(_SC_NPROCESSORS_ONLN)) - (idle_seconds() - idle_begun_);
    wall_s += wall;
    cpu_s += cpu;
    other_s += busy - cpu;
  }
  double wall_s = 0, cpu_s = 0, other_s = 0;

 private:
  Clock::time_point wall_begun_;
  double cpu_begun_ = 0, idle_begun_ = 0;
};

struct Resident {
  uint64_t all = 0, anon = 0, file = 0;
  static Resident now() {
    Resident resident;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      auto kib = [&] { return strtoull(line.c_str() + line.find(':') + 1, nullptr, 10) << 10; };
      if (line.rfind("VmRSS:", 0) == 0) resident.all = kib();
      if (line.rfind("RssAnon:", 0) == 0) resident.anon = kib();
      if (line.rfind("RssFile:", 0) == 0) resident.file = kib();
    }
    return resident;
  }
};

struct Bytes {
  // Lengths of the files, and what the file system has given them.
  uint64_t len = 0, allocated = 0;
};

inline Bytes directory_bytes(const std::string& path) {
  Bytes bytes;
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return bytes;
  while (dirent* entry = readdir(directory)) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat info;
    std::string child = path + "/" + name;
    if (lstat(child.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      Bytes below = directory_bytes(child);
      bytes.len += below.len;
      bytes.allocated += below.allocated;
    } else {
      bytes.len += uint64_t(info.st_size);
      bytes.allocated += uint64_t(info.st_blocks) * 512;
    }
  }
  closedir(directory);
  return bytes;
}

inline void remove_all(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return;
  while (dirent* entry = readdir(directory)) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    std::string child = path + "/" + name;
    struct stat info;
    if (lstat(child.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      remove_all(child);
    } else {
      unlink(child.c_str());
    }
  }
  closedir(directory);
  rmdir(path.c_str());
}

// --- the rows -------------------------------------------------------------------------------

// What a rival is told when it opens a store.
struct Shape {
  // An existing directory for this store alone.
  std::string dir;
  uint64_t records;
  size_t value_len;
  // For `put_durable`, from several threads at once; otherwise one thread, flushed by `sync` only.
  bool durable;
};

struct Arguments {
  std::string dir, rows;
  uint64_t records = 100'000, seed = 1;
  size_t value_len = 8;
  double seconds = 2;
};

inline Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int at = 1; at < count; at += 2) {
    std::string flag = words[at];
    check(at + 1 < count, flag + " needs a value");
    const char* value = words[at + 1];
    if (flag == "--dir") arguments.dir = value;
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
//   static constexpr const char* POLICY;         when it flushes
//   static constexpr const char* BULK;           "native" or "loop"
//   static constexpr const char* DURABLE;        how `put_durable` makes sure; null: it cannot
//   explicit Rival(const Shape&);                opens, creating what is missing
//   void put(key, value);
//   bool get(key, f);                            f(value) when it is there
//   void get_bulk(keys, count, f);               f(value) for each that is there
//   bool remove(key);
//   void settle();                               ends what is open over several calls
//   void sync();                                 everything to the disk
//   void close();
//   void put_durable(key, value);                from any thread; on the disk when it returns
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

 private:
  Order fill_order() { return Order::permutation(arguments_.records, arguments_.seed + 1); }

  void put(const std::string& name, Order order) {
    drop();
    Meter meter;
    meter.start();
    open(false);
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
    open(false);
    check_sample(false);
    drop();
  }

  void get(const std::string& name) {
    fill();
    Order order = Order::permutation(arguments_.records, arguments_.seed + 2);
    uint64_t sum = 0, found = 0;
    auto count = [&](std::string_view value) { sum += checksum(value), found++; };
    char key[KEY_LEN];
    Meter meter;
    meter.start();
    for (uint32_t number : order) {
      write_key(number, key);
      rival_->get({key, KEY_LEN}, count);
    }
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
    char bytes[BULK][KEY_LEN];
    std::string_view keys[BULK];
    Meter meter;
    meter.start();
    for (const uint32_t* at = order.begin(); at < order.end();) {
      size_t group = 0;
      for (; group < BULK && at < order.end(); group++, at++) {
        write_key(*at, bytes[group]);
        keys[group] = {bytes[group], KEY_LEN};
      }
      rival_->get_bulk(keys, group, count);
    }
    rival_->settle();
    meter.stop();
    order.give_back();
    check_all(sum, found);
    report(name, arguments_.records, meter, Resident::now());
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
    Order order = Order::draws(arguments_.records, arguments_.seed + 4);
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
    open(false);
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
    if (Rival::DURABLE == nullptr) return;
    drop();
    open(true);
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
    report(name, acknowledged, meter, resident, Rival::DURABLE);
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
    open(false);
    put_all(fill_order(), 0);
    rival_->settle();
    rival_->sync();
    clean_ = true;
  }

  void open(bool durable) {
    check(mkdir(arguments_.dir.c_str(), 0777) == 0 || errno == EEXIST,
          "cannot create " + arguments_.dir);
    Shape shape{arguments_.dir, arguments_.records, arguments_.value_len, durable};
    rival_ = std::make_unique<Rival>(shape);
  }

  // Closes the store and removes its files.
  void drop() {
    if (rival_) rival_->close();
    rival_.reset();
    clean_ = false;
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
              const Resident& resident, const char* policy = Rival::POLICY) {
    Bytes bytes = directory_bytes(arguments_.dir);
    double load = 0;
    getloadavg(&load, 1);
    printf("{\"row\":\"%s\",\"operations\":%llu,\"wall_s\":%.6f,\"cpu_s\":%.6f,\"other_cpu_s\":%.3f,"
           "\"loadavg\":%.2f,\"file_bytes\":%llu,\"file_allocated_bytes\":%llu,\"rss_bytes\":%llu,"
           "\"rss_anon_bytes\":%llu,\"rss_file_bytes\":%llu,\"policy\":\"%s\",\"bulk\":\"%s\"}\n",
           name.c_str(), static_cast<unsigned long long>(operations), meter.wall_s, meter.cpu_s,
           meter.other_s > 0 ? meter.other_s : 0.0, load, static_cast<unsigned long long>(bytes.len),
           static_cast<unsigned long long>(bytes.allocated),
           static_cast<unsigned long long>(resident.all),
           static_cast<unsigned long long>(resident.anon),
           static_cast<unsigned long long>(resident.file), policy, Rival::BULK);
    fflush(stdout);
  }

  Arguments arguments_;
  std::unique_ptr<Rival> rival_;
  bool clean_ = false;
};

template <class Rival>
int rival_main(int count, char** words) {
  Arguments arguments = parse(count, words);
  std::string rows = arguments.rows + ",";
  Run<Rival> run(arguments);
  for (size_t at = 0, comma; (comma = rows.find(',', at)) != std::string::npos; at = comma + 1)
    run.row(rows.substr(at, comma - at));
  run.finish();
  return 0;
}

}  // namespace workload
