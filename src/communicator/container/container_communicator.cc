#include "communicator/container/container_communicator.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "communicator/container/tree_copy.h"

namespace kiln {

namespace {

constexpr size_t transfer_block = 1 << 20;

void check_transfer(const std::string& path, const Deadline& deadline, const Stop& stop) {
  stop.check();
  if (deadline.passed()) throw Error(ErrorKind::timeout, "the transfer of " + path + " did not end in time");
}

}  // namespace

std::string guest_path(const std::string& path) {
  if (path.starts_with("/")) return path;
  if (path == "~") return "/root";
  if (path.starts_with("~/")) return "/root/" + path.substr(2);
  return "/root/" + path;
}

RootTree ContainerCommunicator::tree_when_up(const Deadline& deadline, const Stop& stop) {
  container_.ensure_up(deadline.at_most(reboot_timeout_), stop);
  return container_.tree();
}

int ContainerCommunicator::run(const std::string& command, const Sink& out, const Sink& err,
                               const Deadline& deadline, const Stop& stop) {
  container_.ensure_up(deadline.at_most(reboot_timeout_), stop);
  return container_.run({"/bin/sh", "-c", "cd \"$HOME\" 2>/dev/null; exec /bin/sh -c \"$1\"", "sh", command}, out,
                        err, deadline, stop);
}

void ContainerCommunicator::upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline,
                                   const Stop& stop) {
  RootTree tree = tree_when_up(deadline, stop);
  std::string path = guest_path(file.path);
  Fd fd = tree.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  std::vector<char> buffer(transfer_block);
  uint64_t sent = 0;
  try {
    while (size_t n = source(buffer.data(), buffer.size())) {
      write_all(fd.get(), std::string_view(buffer.data(), n));
      sent += n;
      check_transfer(path, deadline, stop);
    }
    if (sent != file.size) {
      throw Error(ErrorKind::remote, "upload of " + path + ": " + std::to_string(sent) + " of " +
                                         std::to_string(file.size) + " bytes came");
    }
    if (::fchmod(fd.get(), static_cast<mode_t>(file.mode)) != 0) throw_errno("chmod " + path);
  } catch (const Error&) {
    tree.remove(path);
    throw;
  }
}

void ContainerCommunicator::upload_tree(const std::filesystem::path& from, const std::string& to,
                                        const ProgressFn& progress, const Deadline& deadline, const Stop& stop) {
  copy_tree_into_root(from, tree_when_up(deadline, stop), guest_path(to), progress, deadline, stop);
}

void ContainerCommunicator::download(const std::string& path, const Sink& out, const Deadline& deadline,
                                     const Stop& stop) {
  RootTree tree = tree_when_up(deadline, stop);
  std::string name = guest_path(path);
  auto fd = tree.open_if_exists(name, O_RDONLY);
  if (!fd) throw Error(ErrorKind::remote, name + ": no such file in the guest");
  for (;;) {
    std::string bytes = read_some(fd->get(), transfer_block);
    if (bytes.empty()) return;
    out(bytes);
    check_transfer(name, deadline, stop);
  }
}

void ContainerCommunicator::download_tree(const std::string& from, const std::filesystem::path& to,
                                          const Deadline& deadline, const Stop& stop) {
  copy_tree_from_root(tree_when_up(deadline, stop), guest_path(from), to, deadline, stop);
}

}  // namespace kiln
