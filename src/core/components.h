// What is pluggable, listed in one visible table (cli/component_table.cc); core knows none by name.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/builder.h"
#include "core/data_source.h"
#include "core/post_processor.h"
#include "core/provisioner.h"
#include "core/tester.h"

namespace kiln {

/// A component as the table lists it.
template <class T>
struct ComponentEntry {
  std::string type;     ///< "qemu"
  std::string summary;  ///< one sentence
  ComponentDocs options;
  std::function<std::unique_ptr<T>()> make;
};

struct DataSourceEntry : ComponentEntry<DataSource> {
  std::vector<OptionDoc> outputs;  ///< what `data.TYPE.NAME` has
};

struct Components {
  std::vector<ComponentEntry<Builder>> builders;
  std::vector<ComponentEntry<Provisioner>> provisioners;
  std::vector<ComponentEntry<PostProcessor>> post_processors;
  std::vector<DataSourceEntry> data_sources;
  std::vector<ComponentEntry<Tester>> testers;
};

/// The entry of that type, or nullptr.
template <class Entry>
const Entry* find_component(const std::vector<Entry>& entries, const std::string& type) {
  for (const auto& entry : entries) {
    if (entry.type == type) return &entry;
  }
  return nullptr;
}

}  // namespace kiln
