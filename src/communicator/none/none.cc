#include "communicator/none/none.h"

#include <array>

#include "base/error.h"

namespace kiln {

namespace {

class NoneCommunicator : public Communicator {
 public:
  int run(const std::string&, const Sink&, const Sink&, const Deadline&, const Stop& stop) override {
    stop.check();
    return 0;
  }
  void upload(const RemoteFile&, const ByteSource&, const Deadline&, const Stop&) override { refuse("Upload"); }
  void upload_tree(const std::filesystem::path&, const std::string&, const ProgressFn&, const Deadline&,
                   const Stop&) override {
    refuse("UploadDir");
  }
  void download(const std::string&, const Sink&, const Deadline&, const Stop&) override { refuse("Download"); }
  void download_tree(const std::string&, const std::filesystem::path&, const Deadline&, const Stop&) override {
    refuse("DownloadDir");
  }

 private:
  [[noreturn]] static void refuse(const std::string& what) {
    throw Error(ErrorKind::user, what + " is not implemented when communicator = 'none'");
  }
};

class DiscardingCommunicator : public Communicator {
 public:
  int run(const std::string&, const Sink&, const Sink&, const Deadline&, const Stop& stop) override {
    stop.check();
    return 0;
  }
  void upload(const RemoteFile&, const ByteSource& source, const Deadline&, const Stop& stop) override {
    std::array<char, 65536> buffer;
    while (source(buffer.data(), buffer.size()) > 0) stop.check();
  }
  void upload_tree(const std::filesystem::path&, const std::string&, const ProgressFn&, const Deadline&,
                   const Stop&) override {}
  void download(const std::string&, const Sink&, const Deadline&, const Stop&) override {}
  void download_tree(const std::string&, const std::filesystem::path&, const Deadline&, const Stop&) override {}
};

}  // namespace

std::unique_ptr<Communicator> make_none_communicator() { return std::make_unique<NoneCommunicator>(); }
std::unique_ptr<Communicator> make_discarding_communicator() { return std::make_unique<DiscardingCommunicator>(); }

}  // namespace kiln
