// One HTTP request to AWS or to something that hands out its credentials, and its answer.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/wait.h"
#include "wire/curl_loop.h"

namespace kiln {

/// What to do about a refusal.
enum class AwsFailure {
  throttled,  ///< too many requests: later, and slower
  transient,  ///< the other side or the way there is broken for the moment: later
  capacity,   ///< there is no machine of that kind at that place now: elsewhere
  auth,       ///< who asks is not known, or may not
  missing,    ///< the thing asked about is not there
  permanent,  ///< the request is wrong
};

/// A request that failed. `message()` is the SDK's text: "Error code: its message\n\tstatus code: 400, request id: X".
class AwsError : public Error {
 public:
  AwsError(AwsFailure failure, std::string code, std::string message, long status = 0);
  AwsFailure failure() const { return failure_; }
  const std::string& code() const { return code_; }  ///< "InvalidAMIID.NotFound"
  long status() const { return status_; }            ///< of HTTP; 0: none came

 private:
  AwsFailure failure_;
  std::string code_;
  long status_;
};

/// The class an error code of AWS falls into. Pure.
AwsFailure classify_aws_error(const std::string& code, long status);

struct AwsHttpRequest {
  std::string method = "POST";
  std::string url;
  std::map<std::string, std::string> headers;
  std::string body;
  bool insecure = false;  ///< take any certificate
  Millis connect_limit = std::chrono::seconds(30);
};

struct AwsHttpReply {
  long status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

/// Sends requests over kept connections. Used by one thread.
class AwsHttp {
 public:
  /// Any status is an answer. Throws AwsError{transient} when none came, Error{timeout}, Error{cancelled}.
  AwsHttpReply send(const AwsHttpRequest& request, const Deadline& deadline, const Stop& stop);

 private:
  std::optional<CurlLoop> loop_;
};

}  // namespace kiln
