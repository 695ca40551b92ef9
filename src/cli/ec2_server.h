// The local EC2 endpoint in this process: for `ec2 serve`, and for one build (`build -local-ec2`).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "cli/ec2_place.h"
#include "endpoint/http_service.h"

namespace kiln {

/// Listens from its making to its end, which shuts its instances down. Threads are started: block signals
/// before.
class Ec2Server {
 public:
  /// `before_threads` is told where it listens before anything of it runs. Throws Error{user} when another
  /// one runs.
  Ec2Server(Invocation& invocation, const Ec2Options& options, std::function<void(const std::string&)> log,
            const Stop& stop,
            const std::function<void(const Ec2Process&, const ec2::AccessKey&)>& before_threads = {});
  ~Ec2Server();
  Ec2Server(const Ec2Server&) = delete;
  Ec2Server& operator=(const Ec2Server&) = delete;
  const Ec2Process& process() const { return process_; }

 private:
  std::optional<FileLock> only_one_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<ec2::Endpoint> endpoint_;
  std::unique_ptr<ec2::HttpService> service_;
  Ec2Process process_;
};

/// What a client of the endpoint has in its environment, in order.
std::vector<std::pair<std::string, std::string>> ec2_environment(const Ec2Process& process,
                                                                 const ec2::AccessKey& key,
                                                                 const std::string& region);

/// For the time of a build: its environment is that of a client of the local endpoint, which is started here
/// unless it runs. Make it before other threads; they inherit that SIGINT and SIGTERM are blocked.
class LocalEc2 {
 public:
  explicit LocalEc2(Invocation& invocation);

 private:
  std::unique_ptr<Ec2Server> server_;
};

}  // namespace kiln
