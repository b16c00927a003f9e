// What is measured: time, memory, files. `workload/src/meter.rs` does the same.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

namespace workload {

using Clock = std::chrono::steady_clock;

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

// Bytes that this process had read from the disk and has made dirty in the page cache, mapped files
// included (`/proc/self/io`).
struct Io {
  uint64_t read = 0, written = 0;
  static Io now() {
    Io io;
    std::ifstream counts("/proc/self/io");
    std::string name;
    for (uint64_t value; counts >> name >> value;) {
      if (name == "read_bytes:") io.read = value;
      if (name == "write_bytes:") io.written = value;
    }
    return io;
  }
};

// Wall and CPU time, the process's and that of everything else, and bytes; may be paused.
class Meter {
 public:
  void start() {
    io_begun_ = Io::now();
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
    Io io = Io::now();
    read_bytes += io.read - io_begun_.read;
    written_bytes += io.written - io_begun_.written;
  }
  double wall_s = 0, cpu_s = 0, other_s = 0;
  uint64_t read_bytes = 0, written_bytes = 0;

 private:
  Clock::time_point wall_begun_;
  double cpu_begun_ = 0, idle_begun_ = 0;
  Io io_begun_;
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

// Calls `visit(path, info, is_directory)` for what is in a directory.
template <class F>
void each_entry(const std::string& path, F&& visit) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return;
  while (dirent* entry = readdir(directory)) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    std::string child = path + "/" + name;
    struct stat info;
    // A background thread may have removed the file since it was listed.
    if (lstat(child.c_str(), &info) == 0) visit(child, info, S_ISDIR(info.st_mode));
  }
  closedir(directory);
}

inline Bytes directory_bytes(const std::string& path) {
  Bytes bytes;
  each_entry(path, [&](const std::string& child, const struct stat& info, bool is_directory) {
    Bytes below{uint64_t(info.st_size), uint64_t(info.st_blocks) * 512};
    if (is_directory) below = directory_bytes(child);
    bytes.len += below.len;
    bytes.allocated += below.allocated;
  });
  return bytes;
}

inline void remove_all(const std::string& path) {
  each_entry(path, [](const std::string& child, const struct stat&, bool is_directory) {
    if (is_directory) remove_all(child);
    else unlink(child.c_str());
  });
  rmdir(path.c_str());
}

// Drops the pages of all files from the page cache; they must be on the disk.
inline void forget_pages(const std::string& path) {
  each_entry(path, [](const std::string& child, const struct stat&, bool is_directory) {
    if (is_directory) return forget_pages(child);
    int file = open(child.c_str(), O_RDONLY);
    if (file < 0) return;
    fsync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
  });
}

}  // namespace workload
