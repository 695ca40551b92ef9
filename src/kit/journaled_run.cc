#include "kit/journaled_run.h"

#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

ExitStatus run_journaled(Command command, const std::string& what, const Sink& out, const Sink& err,
                         const Deadline& deadline, StageContext& context) {
  Resource resource = context.journal.append(ResourceKind::process, what, context.build.display_name);
  if (!resource.token.empty()) command.env["KILN_RESOURCE"] = resource.token;
  try {
    ExitStatus status = run_streaming(command, out, err, deadline, context.stop);
    context.journal.remove(resource.id);
    return status;
  } catch (const Error&) {
    try {  // the program is gone already; what it started may not be
      remove_resource(resource);
      context.journal.remove(resource.id);
    } catch (const Error& left) {
      context.log.line("left behind: " + left.message());
    }
    throw;
  }
}

PrivateDirectory::PrivateDirectory(const std::string& prefix, StageContext& context)
    : journal_(context.journal),
      path_(fs::temp_directory_path() / (prefix + "-" + hex_encode(random_bytes(8)))) {
  resource_ = journal_.append(ResourceKind::path, path_.string(), context.build.display_name);
  if (::mkdir(path_.c_str(), 0700) != 0) {
    journal_.remove(resource_.id);
    throw_errno("mkdir " + path_.string());
  }
}

PrivateDirectory::~PrivateDirectory() {
  std::error_code error;
  fs::remove_all(path_, error);
  if (!error) journal_.remove(resource_.id);
}

}  // namespace kiln
