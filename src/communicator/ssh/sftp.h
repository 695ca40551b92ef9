// SFTP version 3 (draft-ietf-secsh-filexfer-02), with requests in flight instead of one at a time.
#pragma once
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "communicator/ssh/command.h"
#include "communicator/ssh/transfer.h"

namespace kiln {

/// One sftp session. Errors of the server are Error{remote} with its words and the path.
class Sftp {
 public:
  /// Throws Error{remote} when the machine has no sftp subsystem.
  explicit Sftp(const TransferContext& context);
  void upload(const RemoteFile& file, const ByteSource& source);
  /// Symbolic links are kept; `to` is made if missing.
  void upload_tree(const std::filesystem::path& from, const std::string& to, const ProgressFn& progress);
  void download(const std::string& path, const Sink& out);
  void download_tree(const std::string& from, const std::filesystem::path& to);

 private:
  struct Reply {
    int type = 0;
    uint32_t id = 0;
    std::string body;
  };
  struct Attributes {
    uint64_t size = 0;
    uint32_t mode = 0;
    bool has_size = false;
  };
  struct Entry {
    std::string name;
    Attributes attributes;
  };
  uint32_t send(int type, const std::string& body);
  Reply receive();
  Reply call(int type, const std::string& body);
  void expect_ok(const Reply& reply, const std::string& doing);
  /// Takes one answer to a request whose only good answer is "ok".
  void settle_one();
  void settle_all();
  void later(uint32_t id, std::string doing);
  std::string open(const std::string& path, uint32_t flags, int mode);
  void close_later(const std::string& handle, const std::string& path);
  void write_content(const std::string& handle, uint64_t size, const std::string& name,
                     const ByteSource& source);
  std::optional<Attributes> look(const std::string& path, bool follow);
  void make_directory(const std::string& path, int mode);
  void make_directories(const std::string& path);
  void send_directory(const std::filesystem::path& from, const std::string& to, uint64_t& done,
                      uint64_t total, const ProgressFn& progress);
  void fetch_directory(const std::string& from, const std::filesystem::path& to);
  std::vector<Entry> list(const std::string& path);
  static Attributes read_attributes(std::string_view& bytes);

  RemoteCommand command_;
  uint32_t next_id_ = 1;
  struct Waiting {
    uint32_t id;
    std::string doing;
  };
  std::deque<Waiting> waiting_;
};

/// The path as sftp servers take it: "~/x" is "x" below the login directory.
std::string sftp_path(const std::string& path);

}  // namespace kiln
