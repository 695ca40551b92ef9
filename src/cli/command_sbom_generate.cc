// sbom-generate: what is installed below a root directory (packer-surface 1.4).
#include <fmt/format.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/text.h"
#include "cli/command.h"
#include "kit/sbom.h"

namespace kiln {

int run_sbom_generate(Invocation& invocation, CommandOptions& all, const std::vector<std::string>& arguments) {
  const SbomOptions& options = all.sbom;
  std::string format = lower(options.format), scope = lower(options.scope);
  bool spdx = contains(format, "spdx");
  if (!spdx && !contains(format, "cyclonedx"))
    throw Error(ErrorKind::user, "unsupported format: " + options.format);
  // Layers are of container images; a directory has one.
  if (scope != "squashed" && scope != "all" && scope != "all-layers" && scope != "alllayers") {
    throw Error(ErrorKind::user,
                fmt::format("unsupported scope: {} (supported: squashed, all-layers)", options.scope));
  }
  Sbom sbom = during("SBOM generation failed",
                     [&] { return scan_packages(arguments.empty() ? "/" : arguments.back(), options.exclude); });
  for (const auto& record : sbom.unread) {
    std::fprintf(stderr, "%s: packages of rpm are not listed: %s is not read\n", invocation.program.c_str(),
                 record.c_str());
  }
  SbomIdentity identity{random_uuid(), std::chrono::system_clock::now()};
  write_all(STDOUT_FILENO, spdx ? spdx_json(sbom, identity) : cyclonedx_json(sbom, identity));
  return 0;
}

}  // namespace kiln
