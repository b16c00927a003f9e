// The rows for ordered engines alone. `workload/src/rows/tree.rs` holds the same in Rust.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "rows.hpp"

namespace workload {

// Long values: one for so many records, but not more than so many, of so many bytes (LuxIO's test).
constexpr uint64_t RECORDS_A_LONG_VALUE = 50;
constexpr uint64_t LONG_VALUES_MAX = 20'000;
constexpr size_t LONG_LEN = 100'000;
// Long values looked at again.
constexpr uint64_t LONG_SAMPLE = 200;
// Caches beside long values.
constexpr uint64_t LONG_MEMORY = uint64_t(512) << 20;
// The huge value: so many bytes a record, but not more than so many; and what is appended to it.
constexpr size_t HUGE_BYTES_A_RECORD = 1000;
constexpr size_t HUGE_LEN_MAX = 1'000'000'000;
constexpr size_t HUGE_APPEND_LEN = 1000;
constexpr uint64_t HUGE_APPENDS = 8;
// Cold rows touch one record in so many.
constexpr uint64_t RECORDS_A_COLD_OPERATION = 50;
// Mixed rows: two threads, one put in so many operations, not more than so many operations each.
constexpr unsigned MIXED_THREADS = 2;
constexpr uint64_t MIXED_PUT_EVERY = 10;
constexpr uint64_t MIXED_OPERATIONS_MAX = 1'000'000;

// A pattern that is drawn once, with the number's own word at its start: drawing a value must not
// cost as much as writing it.
class LongValue {
 public:
  LongValue(uint64_t generation, size_t len) : generation_(generation), bytes_(len, '\0') {
    write_value(0, generation, bytes_.data(), len);
  }
  std::string_view of(uint64_t number) {
    uint64_t word = value_word(number, generation_, 0);
    memcpy(bytes_.data(), &word, sizeof word);
    return bytes_;
  }

 private:
  uint64_t generation_;
  std::string bytes_;
};

template <class Rival>
class TreeRun : public Run<Rival> {
 public:
  explicit TreeRun(Arguments arguments) : Run<Rival>(std::move(arguments)) {}

  void row(const std::string& name) {
    if (name == "put-seq-single") this->put(name, Order::sequential(arguments_.records), 1);
    else if (name == "put-random-single") this->put(name, this->fill_order(), 1);
    else if (name == "scan") scan(name);
    else if (name == "fill-and-die") fill_and_die();
    else if (name == "reopen-killed") reopen_killed(name);
    else if (name == "mixed-2") mixed(name, 1);
    else if (name == "mixed-2-copies") mixed(name, MIXED_THREADS);
    else if (name == "append-long") append_long(name);
    else if (name == "append-huge") append_huge(name);
    else if (name == "cold-get-random") cold_get(name, 7, false);
    else if (name == "cold-get-bulk-32") cold_get(name, 8, true);
    else if (name == "cold-put-random") cold_put(name);
    else Run<Rival>::row(name);
  }

 private:
  using Run<Rival>::arguments_;
  using Run<Rival>::rival_;
  using Run<Rival>::is_cold_filled_;

  void scan(const std::string& name) {
    this->fill();
    Scanned scanned;
    Meter meter;
    meter.start();
    rival_->scan(scanned);
    rival_->settle();
    meter.stop();
    Resident resident = Resident::now();
    Scanned expected;
    std::string value(arguments_.value_len, '\0');
    char key[KEY_LEN];
    for (uint64_t number = 0; number < arguments_.records; number++) {
      write_key(number, key);
      write_value(number, 0, value.data(), value.size());
      expected.record({key, KEY_LEN}, value);
    }
    check(scanned.count == expected.count, "not every record was scanned");
    check(scanned.order == expected.order, "the scan was not in order");
    check(scanned.sum == expected.sum, "values scanned are not what was put");
    this->report(name, arguments_.records, meter, resident);
  }

  // Everything is flushed and nothing closed: as after a kill.
  void fill_and_die() {
    this->fill();
    _exit(0);
  }

  // What `fill-and-die` of a process before this one left; up to the first record read.
  void reopen_killed(const std::string& name) {
    Meter meter;
    meter.start();
    this->open(this->plain());
    this->check_sample(false, 1);
    meter.stop();
    Resident resident = Resident::now();
    this->check_sample(false);
    this->report(name, 1, meter, resident);
    this->drop();
  }

  // Threads that get and put at random, on one store or each on its own.
  void mixed(const std::string& name, unsigned stores) {
    this->drop();
    make_stores(stores);
    uint64_t each = std::min(arguments_.records, MIXED_OPERATIONS_MAX);
    std::vector<uint64_t> sums(MIXED_THREADS);
    std::vector<std::thread> threads;
    Meter meter;
    meter.start();
    for (unsigned at = 0; at < MIXED_THREADS; at++)
      threads.emplace_back([&, at] { sums[at] = mix_operations(*stores_[at % stores], at, each); });
    for (std::thread& thread : threads) thread.join();
    meter.stop();
    Resident resident = Resident::now();
    for (unsigned at = 0; at < MIXED_THREADS; at++)
      check(sums[at] == expected_sum(at, each), "values are not what was put");
    for (auto& store : stores_) store->sync();
    this->report(name, MIXED_THREADS * each, meter, resident);
    for (auto& store : stores_) store->close();
    stores_.clear();
    this->drop();
  }

  // Every one with every record.
  void make_stores(unsigned count) {
    this->make_directory(arguments_.dir);
    for (unsigned at = 0; at < count; at++) {
      Shape shape = this->plain();
      shape.dir += "/copy" + std::to_string(at);
      shape.shared = true;
      this->open(shape);
      this->put_all(this->fill_order(), 0);
      rival_->settle();
      rival_->sync();
      stores_.push_back(std::move(rival_));
    }
  }

  uint64_t mix_operations(Rival& store, unsigned thread, uint64_t count) {
    Rng rng{mixed_seed(thread)};
    std::string bytes(arguments_.value_len, '\0');
    char key[KEY_LEN];
    uint64_t sum = 0;
    for (uint64_t at = 0; at < count; at++) {
      uint64_t number = rng.next() % arguments_.records;
      write_key(number, key);
      if (at % MIXED_PUT_EVERY == 0) {
        write_value(number, 0, bytes.data(), bytes.size());
        store.put_any({key, KEY_LEN}, bytes);
      } else {
        store.get_any({key, KEY_LEN}, [&](std::string_view value) { sum += checksum(value); });
      }
    }
    return sum;
  }

  uint64_t expected_sum(unsigned thread, uint64_t count) {
    Rng rng{mixed_seed(thread)};
    std::string bytes(arguments_.value_len, '\0');
    uint64_t sum = 0;
    for (uint64_t at = 0; at < count; at++) {
      uint64_t number = rng.next() % arguments_.records;
      if (at % MIXED_PUT_EVERY == 0) continue;
      write_value(number, 0, bytes.data(), bytes.size());
      sum += checksum(bytes);
    }
    return sum;
  }

  uint64_t mixed_seed(unsigned thread) const { return (arguments_.seed + 9 + thread) << 32; }

  // Long values put at random, then as much again appended to each.
  void append_long(const std::string& name) {
    this->drop();
    Shape shape = this->plain();
    shape.records = std::clamp<uint64_t>(arguments_.records / RECORDS_A_LONG_VALUE, 1,
                                         LONG_VALUES_MAX);
    shape.value_len = LONG_LEN;
    shape.memory = LONG_MEMORY;
    Order puts = Order::permutation(shape.records, arguments_.seed + 1);
    Order appends = Order::permutation(shape.records, arguments_.seed + 6);
    LongValue first(0, LONG_LEN), second(1, LONG_LEN);
    char key[KEY_LEN];
    Meter meter;
    meter.start();
    this->open(shape);
    for (uint32_t number : puts) {
      write_key(number, key);
      rival_->put({key, KEY_LEN}, first.of(number));
    }
    for (uint32_t number : appends) {
      write_key(number, key);
      rival_->append({key, KEY_LEN}, second.of(number));
    }
    rival_->settle();
    rival_->sync();
    meter.stop();
    Resident resident = Resident::now();
    meter.start();
    rival_->close();
    meter.stop();
    rival_.reset();
    this->report(name, 2 * shape.records, meter, resident);
    this->open(shape);
    for (uint64_t number = 0; number < std::min(LONG_SAMPLE, shape.records); number++)
      check_joined(number, std::string(first.of(number)).append(second.of(number)));
    this->drop();
  }

  // A few short appends to one huge value, from opening to closing; the value is not in memory
  // before.
  void append_huge(const std::string& name) {
    this->drop();
    Shape shape = this->plain();
    shape.records = 1;
    shape.value_len = std::min(arguments_.records * HUGE_BYTES_A_RECORD, HUGE_LEN_MAX);
    shape.memory = LONG_MEMORY;
    LongValue huge(0, shape.value_len), piece(1, HUGE_APPEND_LEN);
    char key[KEY_LEN];
    write_key(0, key);
    this->open(shape);
    rival_->put({key, KEY_LEN}, huge.of(0));
    rival_->settle();
    rival_->sync();
    close_and_forget();
    Meter meter;
    meter.start();
    this->open(shape);
    for (uint64_t at = 0; at < HUGE_APPENDS; at++) rival_->append({key, KEY_LEN}, piece.of(0));
    rival_->settle();
    rival_->sync();
    rival_->close();
    meter.stop();
    rival_.reset();
    this->report(name, HUGE_APPENDS, meter, Resident::now());
    std::string expected(huge.of(0));
    for (uint64_t at = 0; at < HUGE_APPENDS; at++) expected.append(piece.of(0));
    this->open(shape);
    check_joined(0, expected);
    this->drop();
  }

  void check_joined(uint64_t number, std::string_view expected) {
    char key[KEY_LEN];
    write_key(number, key);
    bool same = false;
    rival_->get({key, KEY_LEN}, [&](std::string_view value) { same = value == expected; });
    check(same, "value " + std::to_string(number) + " is not what was put and appended");
    rival_->settle();
  }

  void cold_get(const std::string& name, uint64_t seed, bool bulk) {
    open_cold();
    Order order = cold_order(seed);
    uint64_t sum = 0, found = 0, expected = 0;
    auto count = [&](std::string_view value) { sum += checksum(value), found++; };
    Meter meter;
    meter.start();
    if (bulk) this->get_groups(order, count);
    else this->get_each(order, count);
    rival_->settle();
    meter.stop();
    std::string value(arguments_.value_len, '\0');
    for (uint32_t number : order) {
      write_value(number, 0, value.data(), value.size());
      expected += checksum(value);
    }
    check(found == order.count(), "not every record was found");
    check(sum == expected, "values are not what was put");
    this->report(name, order.count(), meter, Resident::now());
  }

  void cold_put(const std::string& name) {
    open_cold();
    Order order = cold_order(10);
    Meter meter;
    meter.start();
    this->put_all(order, 1);
    rival_->settle();
    rival_->sync();
    meter.stop();
    this->check_sample(true);
    this->report(name, order.count(), meter, Resident::now());
    this->drop();
  }

  Order cold_order(uint64_t seed) const {
    uint64_t count = std::max<uint64_t>(arguments_.records / RECORDS_A_COLD_OPERATION, 1);
    return Order::draws(count, arguments_.records, arguments_.seed + seed);
  }

  // A full store, filled in order, with little memory and nothing of it in the page cache.
  void open_cold() {
    Shape shape = this->plain();
    if (arguments_.memory != 0) shape.memory = arguments_.memory;
    if (!is_cold_filled_) {
      this->drop();
      this->open(shape);
      this->put_all(Order::sequential(arguments_.records), 0);
      rival_->settle();
      rival_->sync();
      is_cold_filled_ = true;
    }
    if (rival_) close_and_forget();
    this->open(shape);
  }

  void close_and_forget() {
    rival_->close();
    rival_.reset();
    forget_pages(arguments_.dir);
  }

  std::vector<std::unique_ptr<Rival>> stores_;
};

}  // namespace workload
