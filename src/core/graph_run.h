// Runs the nodes of a graph, each in a thread of its own, after what it needs and as slots allow.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/wait.h"

namespace kiln {

class Slots;

struct GraphNode {
  std::vector<size_t> needs;             ///< indices of nodes; there is no circle
  std::map<std::string, int64_t> slots;  ///< units that it holds while it runs
  bool passive = false;                  ///< it only stands for others: no thread, no slots, well when its needs are
};

/// What is done. `run` is called on the node's own thread and says whether it went well; it throws nothing. The
/// others are called on the thread of run_graph().
struct GraphWork {
  std::function<bool(size_t node, const Stop& stop)> run;
  /// A node that does not run, because `needed` failed or did not run; nullopt: because the run was stopped.
  std::function<void(size_t node, std::optional<size_t> needed)> skip;
  /// No thread could be had for it, or it asks for more of a slot than there is: it counts as failed.
  std::function<void(size_t node, const std::string& error)> refuse;
};

/// Returns when all nodes have ended or were skipped. A failed node stops only what needs it; `fail_fast`: nothing
/// new begins after a failure. Each node gets a child of `stop`. Work and memory grow with nodes and needs alone.
void run_graph(const std::vector<GraphNode>& nodes, Slots& slots, const GraphWork& work, bool fail_fast,
               const Stop& stop);

}  // namespace kiln
