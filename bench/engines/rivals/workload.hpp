// What every rival does, how it is timed, and how it is told: the C++ half.
//
// `workload/src/` holds the same in Rust; the two must draw the same keys, orders and values. A
// rival is a class with the members that `Run` in `rows.hpp` names, one for each kind of engine
// that it has, or the same one for both; `rival_main` does the rest.
#pragma once

#include <string>

#include "rows.hpp"
#include "tree_rows.hpp"

namespace workload {

template <class Run>
void run_rows(const Arguments& arguments) {
  std::string rows = arguments.rows + ",";
  Run run(arguments);
  for (size_t at = 0, comma; (comma = rows.find(',', at)) != std::string::npos; at = comma + 1)
    run.row(rows.substr(at, comma - at));
  run.finish();
}

template <class Hash, class Tree>
int rival_main(int count, char** words) {
  Arguments arguments = parse(count, words);
  if (arguments.kind == Kind::TREE) run_rows<TreeRun<Tree>>(arguments);
  else run_rows<Run<Hash>>(arguments);
  return 0;
}

}  // namespace workload
