// An EC2 on this machine: the Query API of EC2, STS and the needed IAM, whose instances are virtual machines.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/journal.h"
#include "endpoint/action.h"
#include "endpoint/direct_uploads.h"
#include "endpoint/http_service.h"
#include "endpoint/machine.h"
#include "endpoint/state.h"

namespace kiln::ec2 {

/// Contract: thread-safe. The state is durable: after any end, another Endpoint on the same directory goes on
/// with it.
class Endpoint {
 public:
  /// Opens the state in `directory`. `journal` is borrowed.
  Endpoint(const std::filesystem::path& directory, Journal& journal, MachineOptions options);

  /// Answers one HTTP request; signatures are checked. An answer waits some seconds for a state that is about
  /// to change.
  HttpReply handle(const HttpCall& call, const Stop& stop);
  /// Calls an action without HTTP and signature; returns the XML of the answer's members. Throws ApiError.
  std::string call(const std::string& service, const std::string& action, const std::string& region,
                   const Params& params, const Stop& stop);

  State& state() { return state_; }
  Machines& machines() { return machines_; }
  /// The keys that sign for everything, made at the first call.
  AccessKey own_keys();

 private:
  struct Answer {
    std::string members;  ///< XML
    std::string action;
  };
  Answer act(const Caller& caller, const Params& params, const Stop& stop, int socket);
  HttpReply reply_to_upload(const HttpCall& call, const Caller& caller);
  HttpReply reply_in_json(const HttpCall& call, const Caller& caller, const std::string& target);
  HttpReply reply(const HttpCall& call, const Caller& caller, const Stop& stop);

  State state_;
  Journal& journal_;
  std::string account_;
  std::function<void(const std::string&)> log_;
  Machines machines_;
  DirectUploads uploads_;
};

/// All actions; nullptr: there is no such one.
const Action* find_action(const std::string& service, const std::string& name);
/// Every action, for those who list them.
const std::vector<Action>& all_actions();

/// Takes an image's disk in as an AMI.
struct ImportRequest {
  std::filesystem::path disk;
  std::string name;
  std::string id;     ///< "ami-..."; "": a new one
  std::string owner;  ///< account; "": the endpoint's
  std::string region;
  std::string description;
  std::string platform;  ///< "windows", or ""
  std::string boot_mode;
  std::string root_device = "/dev/xvda";
  std::string account;
};
/// Works beside a running endpoint. Throws Error{user} for a name or id that is taken. Takes as long as
/// copying.
Image import_image(State& state, Journal& journal, const ImportRequest& request, const Stop& stop);

}  // namespace kiln::ec2
