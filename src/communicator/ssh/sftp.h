// SFTP version 3 (draft-ietf-secsh-filexfer-02), with requests in flight instead of one at a time.
#pragma once
#include <deque>
#include <filesystem>
#include <functional>
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
  /// A file of this machine and where it goes.
  struct LocalFile {
    std::filesystem::path local;
    std::string remote;
    int mode = 0;
    uint64_t size = 0;
  };
  /// What a tree holds, by what must be there first.
  struct Tree {
    std::vector<std::vector<LocalFile>> directories;  ///< one row a depth
    std::vector<LocalFile> files;
    std::vector<LocalFile> links;
    uint64_t bytes = 0;
  };
  /// A file of the tree that is open on the machine.
  struct OpenFile {
    const LocalFile* file = nullptr;
    std::string handle;
    bool is_new = false;  ///< it was not there before
  };
  using OnReply = std::function<void(const Reply&)>;

  /// Puts a request in the row; it leaves with the next flush.
  uint32_t send(int type, const std::string& body);
  void flush();
  Reply receive();
  Reply call(int type, const std::string& body);
  void expect_ok(const Reply& reply, const std::string& doing);
  /// Takes one answer and hands it to who waits for it.
  void settle_one();
  void settle_all();
  /// `then` must not wait for answers itself.
  void later(uint32_t id, OnReply then);
  /// For a request whose only good answer is "ok".
  void later_ok(uint32_t id, std::string doing);
  std::string open(const std::string& path, uint32_t flags, int mode);
  void close_later(const std::string& handle, const std::string& path);
  void write_content(const std::string& handle, uint64_t size, const std::string& name,
                     const ByteSource& source);
  std::optional<Attributes> look(const std::string& path, bool follow);
  void make_directory(const std::string& path, int mode);
  void make_directories(const std::string& path);
  static Tree list_tree(const std::filesystem::path& from, const std::string& to);
  void send_directories(const Tree& tree);
  void send_files(const Tree& tree, const ProgressFn& progress);
  void send_content(const OpenFile& open, const std::function<void(uint64_t)>& sent);
  void set_mode(const OpenFile& open);
  void fetch_directory(const std::string& from, const std::filesystem::path& to);
  std::vector<Entry> list(const std::string& path);
  static Attributes read_attributes(std::string_view& bytes);

  SshCommand command_;
  uint32_t next_id_ = 1;
  std::string unsent_;
  struct Waiting {
    uint32_t id;
    OnReply then;
  };
  std::deque<Waiting> waiting_;
  /// Mode to whether a new file was seen to get it as it was asked for: servers take their umask off.
  std::map<int, bool> new_files_get_;
};

/// The path as sftp servers take it: "~/x" is "x" below the login directory.
std::string sftp_path(const std::string& path);

}  // namespace kiln
