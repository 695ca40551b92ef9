// EBS' direct APIs: a snapshot that a client writes block by block, without a volume.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/guarded.h"
#include "endpoint/action.h"
#include "endpoint/http_service.h"

namespace kiln::ec2 {

constexpr int64_t direct_block_size = 512 * 1024;  ///< bytes

/// What is being written. Thread-safe: blocks of one snapshot come over several connections at once.
class DirectUploads {
 public:
  /// `journal` is borrowed.
  explicit DirectUploads(Journal& journal) : journal_(journal) {}
  /// Answers StartSnapshot, PutSnapshotBlock or CompleteSnapshot; called without the state's lock. Throws
  /// ApiError with the service's code.
  HttpReply answer(Context& context, const HttpCall& call);

 private:
  struct Upload {
    int64_t journal_id = 0;
    std::set<int64_t> blocks;  ///< numbers of those that are written
  };
  HttpReply start(Context& context, const HttpCall& call);
  HttpReply put_block(Context& context, const std::string& id, const std::string& number,
                      const HttpCall& call);
  HttpReply complete(Context& context, const std::string& id, const HttpCall& call);
  void forget_deleted(State& state);

  Journal& journal_;
  Guarded<std::map<std::string, Upload>> uploads_;  ///< by snapshot
};

}  // namespace kiln::ec2
