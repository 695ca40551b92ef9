// Locals and data sources, each evaluated after what it refers to (packer-surface 5.2 step 11).
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/text.h"
#include "lang/hcl_body.h"
#include "lang/hcl_eval.h"
#include "lang/packer_hcl.h"

namespace kiln {

namespace {

/// The type that an option or output of this type has in HCL.
HclType output_type(const OptionDoc& doc) {
  if (doc.type == "bool") return HclType::boolean();
  if (doc.type == "number") return HclType::number();
  if (doc.type == "map(string)") return HclType::map(HclType::string());
  if (doc.type == "list(string)") return HclType::list(HclType::string());
  if (doc.type == "any") return HclType::dynamic();
  return HclType::string();
}

bool is_wholly_known(const Value& value) {
  if (value.is_list()) return std::all_of(value.as_list().begin(), value.as_list().end(), is_wholly_known);
  if (!value.is_object()) return !value.is_unknown();
  return std::all_of(value.as_object().begin(), value.as_object().end(),
                     [](const Member& member) { return is_wholly_known(member.value); });
}

std::string step_name(const HclStep& step) {
  if (step.kind == HclStep::Kind::attribute) return step.name;
  return step.key().is_string() ? step.key().as_string() : "";
}

}  // namespace

/// The nodes, and the scope that grows as they are evaluated.
class HclEvaluation::Graph {
 public:
  Graph(const PackerHcl& config, const HclEnvironment& environment) : config_(config), environment_(environment) {
    for (size_t i = 0; i < config.locals.size(); ++i) local_index_[config.locals[i].name] = i;
    for (size_t i = 0; i < config.data.size(); ++i) data_index_[{config.data[i].type, config.data[i].name}] = i;
    state_.resize(config.locals.size() + config.data.size(), State::untouched);
    open_scope();
  }

  void run_all(Diagnostics& diagnostics) {
    std::vector<size_t> all;
    size_t locals = config_.locals.size();
    for (size_t i = 0; i < config_.data.size(); ++i) all.push_back(locals + i);
    for (size_t i = 0; i < locals; ++i) all.push_back(i);
    if (!environment_.sequential) return run(all, diagnostics);
    phase_ = Phase::data;
    run({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(config_.data.size())}, diagnostics);
    phase_ = Phase::locals;
    run({all.begin() + static_cast<std::ptrdiff_t>(config_.data.size()), all.end()}, diagnostics);
  }

  void run_for(const std::vector<HclReference>& references, Diagnostics& diagnostics) {
    std::vector<size_t> wanted;
    for (const auto& reference : references) {
      for (size_t node : nodes_of(reference, nullptr, "")) wanted.push_back(node);
    }
    run(wanted, diagnostics);
  }

  HclScope scope;
  std::map<std::string, HclValue> variables, locals, data;
  std::set<std::string> failed;  ///< locals

 private:
  enum class State { untouched, open, done };
  enum class Phase { by_dependency, data, locals };
  using Problems = std::vector<std::string>;

  void open_scope() {
    for (const auto& variable : config_.variables) {
      HclValue value =
          variable.value ? *variable.value : HclValue::unknown(variable.constraint.type.without_optional());
      variables[variable.name] = variable.sensitive ? value.with_sensitive() : value;
    }
    scope.parent = environment_.around;
    scope.functions = hcl_functions;
    scope.host = &environment_.host;
    if (!environment_.around || !config_.variables.empty()) scope.namespaces["var"] = &variables;
    if (!environment_.around || !config_.locals.empty()) scope.namespaces["local"] = &locals;
    if (!environment_.around || !config_.data.empty()) scope.namespaces["data"] = &data;
    scope.variables["path"] = HclValue::object({{"cwd", HclValue::string(environment_.host.working_directory)},
                                                {"root", HclValue::string(environment_.root_directory)}});
    HclValue later = HclValue::unknown(HclType::string());
    scope.variables["packer"] = HclValue::object({{"version", HclValue::string(environment_.packer_version)},
                                                  {"versionFingerprint", later},
                                                  {"iterationID", later}});
  }

  bool is_local(size_t node) const { return node < config_.locals.size(); }
  const HclComponentBlock& data_of(size_t node) const { return config_.data[node - config_.locals.size()]; }
  std::string name_of(size_t node) const {
    if (is_local(node)) return "local." + config_.locals[node].name;
    return fmt::format("data.{}.{}", data_of(node).type, data_of(node).name);
  }

  std::string circle_name(size_t node) const {
    return is_local(node) ? name_of(node) : data_of(node).type + "." + data_of(node).name;
  }

  /// The nodes that a reference needs. What does not exist is a problem "of `whose`" when `problems` is given.
  std::vector<size_t> nodes_of(const HclReference& reference, Problems* problems, const std::string& whose) {
    std::vector<size_t> out;
    auto missing = [&](const std::string& what) {
      if (problems) problems->push_back(fmt::format("could not get dependency {} for {}, {} missing in template",
                                                    go_quote(what), go_quote(whose), go_quote(what)));
    };
    if (reference.root == "local" && phase_ != Phase::data) {
      std::string name = reference.steps.empty() ? "" : step_name(reference.steps[0]);
      auto found = local_index_.find(name);
      if (found != local_index_.end()) out.push_back(found->second);
      else if (reference.steps.empty()) for (size_t i = 0; i < config_.locals.size(); ++i) out.push_back(i);
      else missing("local." + name);
    } else if (reference.root == "data" && phase_ != Phase::locals) {
      std::string type = reference.steps.empty() ? "" : step_name(reference.steps[0]);
      std::string name = reference.steps.size() < 2 ? "" : step_name(reference.steps[1]);
      for (size_t i = 0; i < config_.data.size(); ++i) {
        bool meant = (type.empty() || config_.data[i].type == type) && (name.empty() || config_.data[i].name == name);
        if (meant) out.push_back(config_.locals.size() + i);
      }
      if (out.empty() && !name.empty()) missing(fmt::format("data.{}.{}", type, name));
    }
    return out;
  }

  std::vector<HclReference> references_of(size_t node) const {
    if (is_local(node)) return hcl_references(*config_.locals[node].expression.tree());
    std::vector<HclReference> out;
    hcl_body_references(data_of(node).body, out);
    return out;
  }

  /// Depth first without recursion: chains of thousands of locals must not exhaust the stack.
  void run(const std::vector<size_t>& wanted, Diagnostics& diagnostics) {
    Problems problems;
    struct Frame {
      size_t node;
      std::vector<size_t> needs;
      size_t next = 0;
    };
    std::vector<Frame> stack;
    std::vector<size_t> order;
    auto open = [&](size_t node) {
      state_[node] = State::open;
      std::vector<size_t> needs;
      for (const auto& reference : references_of(node)) {
        for (size_t need : nodes_of(reference, &problems, name_of(node))) needs.push_back(need);
      }
      stack.push_back({node, std::move(needs)});
    };
    for (size_t root : wanted) {
      if (state_[root] != State::untouched) continue;
      open(root);
      while (!stack.empty()) {
        Frame& top = stack.back();
        if (top.next == top.needs.size()) {
          state_[top.node] = State::done;
          order.push_back(top.node);
          stack.pop_back();
          continue;
        }
        size_t need = top.needs[top.next++];
        if (state_[need] == State::open) {
          std::vector<std::string> circle;
          bool within = false;
          for (const auto& frame : stack) {
            within |= frame.node == need;
            if (within) circle.push_back(circle_name(frame.node));
          }
          problems.push_back("Cycle: " + join(circle, ", "));
          cycle_range_ = range_of(need);
        } else if (state_[need] == State::untouched) {
          open(need);
        }
      }
    }
    if (!problems.empty()) return report(problems, diagnostics);
    for (size_t node : order) evaluate(node, diagnostics);
  }

  SourceRange range_of(size_t node) const {
    return is_local(node) ? config_.locals[node].expression.range() : data_of(node).range;
  }

  void report(const Problems& problems, Diagnostics& diagnostics) {
    std::string list;
    for (const auto& problem : problems) list += "\n\t* " + problem;
    diagnostics.error(
        "failed to prepare execution graph",
        fmt::format("An error occurred while building the graph for datasources/locals: {} error{} occurred:{}",
                    problems.size(), problems.size() == 1 ? "" : "s", list),
        cycle_range_);
  }

  void evaluate(size_t node, Diagnostics& diagnostics) {
    if (is_local(node)) {
      const HclLocal& local = config_.locals[node];
      Diagnostics found;
      HclValue value = evaluate_hcl(*local.expression.tree(), scope, found);
      diagnostics.append(found);
      // One mistake is told once: what needs this value goes on with an unknown one.
      if (found.has_errors()) {
        value = HclValue::unknown(HclType::dynamic());
        failed.insert(local.name);
      }
      locals[local.name] = local.sensitive ? value.with_sensitive() : value;
    } else {
      evaluate_data(data_of(node), diagnostics);
    }
  }

  void evaluate_data(const HclComponentBlock& block, Diagnostics& diagnostics) {
    const auto& components = environment_.components;
    const auto* docs = components.docs(kind_data, block.type);
    const auto* outputs = components.outputs(block.type);
    if (!docs || !outputs) {
      auto known = components.known(kind_data);
      auto nearest = nearest_name(block.type, known);
      diagnostics.error("Unknown data type " + block.type, fmt::format("known data sources: [{}]", join(known, " ")),
                        block.range, nearest ? fmt::format("Did you mean {}?", go_quote(*nearest)) : "");
      data[block.type] = HclValue::unknown(HclType::dynamic());
      return;
    }
    Diagnostics found;
    Value config = decode_hcl_component(block.body, *docs, scope, found);
    diagnostics.append(found);
    std::optional<Value> result;
    if (!found.has_errors() && is_wholly_known(config)) {
      result = environment_.run_data(block, config, !environment_.run_data_sources, diagnostics);
    }
    // All of one type have the same attributes: they are a map, as in Packer.
    HclValue value = data_value(*outputs, result);
    auto& of_type = data_members_[block.type];
    of_type[block.name] = value;
    data[block.type] = HclValue::map(value.type(), of_type);
  }

  static HclValue data_value(const std::vector<OptionDoc>& outputs, const std::optional<Value>& result) {
    HclValue::Members members;
    for (const auto& doc : outputs) {
      HclType type = output_type(doc);
      if (!result) {
        members[doc.name] = HclValue::unknown(type);
        continue;
      }
      const Value* given = result->find(doc.name);
      auto converted = given ? hcl_convert(from_plain_value(*given), type) : std::nullopt;
      members[doc.name] = converted ? *converted : HclValue::null(type);
    }
    return HclValue::object(std::move(members));
  }

  const PackerHcl& config_;
  const HclEnvironment& environment_;
  std::unordered_map<std::string, size_t> local_index_;
  std::map<std::pair<std::string, std::string>, size_t> data_index_;
  std::vector<State> state_;
  std::map<std::string, HclValue::Members> data_members_;
  Phase phase_ = Phase::by_dependency;
  SourceRange cycle_range_;
};

HclEvaluation::HclEvaluation(std::shared_ptr<const PackerHcl> config, HclEnvironment environment)
    : config_(std::move(config)),
      environment_(std::move(environment)),
      graph_(std::make_unique<Graph>(*config_, environment_)) {}
HclEvaluation::~HclEvaluation() = default;

void HclEvaluation::evaluate_all(Diagnostics& diagnostics) { graph_->run_all(diagnostics); }
void HclEvaluation::evaluate_for(const std::vector<HclReference>& references, Diagnostics& diagnostics) {
  graph_->run_for(references, diagnostics);
}
const HclScope& HclEvaluation::scope() const { return graph_->scope; }
const std::map<std::string, HclValue>& HclEvaluation::variables() const { return graph_->variables; }
const std::map<std::string, HclValue>& HclEvaluation::locals() const { return graph_->locals; }

bool HclEvaluation::failed(const std::string& local) const { return graph_->failed.count(local) > 0; }

std::vector<std::string> HclEvaluation::secrets() const {
  std::vector<std::string> out;
  for (const auto& [name, value] : graph_->variables) collect_sensitive_strings(value, out);
  for (const auto& [name, value] : graph_->locals) collect_sensitive_strings(value, out);
  return out;
}

}  // namespace kiln
