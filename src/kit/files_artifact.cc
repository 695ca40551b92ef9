#include "kit/files_artifact.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

Artifact artifact_of_files(std::string builder_id, const std::vector<std::string>& files, const Value& state) {
  Artifact artifact;
  artifact.builder_id = std::move(builder_id);
  artifact.description = "Created artifact from files: " + join(files, ", ");
  artifact.files = files;
  artifact.state = state;
  artifact.destroy = [files] {
    for (const auto& file : files) {
      std::error_code error;
      std::filesystem::remove_all(file, error);
      if (error) throw Error(ErrorKind::environment, fmt::format("remove {}: {}", file, error.message()));
    }
  };
  return artifact;
}

}  // namespace kiln
