// What a client gets when a request cannot be served.
#pragma once
#include <fmt/format.h>

#include <string>

#include "base/error.h"

namespace kiln::ec2 {

/// An answer that is an error, by the code clients decide on. Thrown by what reads parameters and by actions,
/// written by the dispatcher.
class ApiError : public Error {
 public:
  ApiError(std::string code, std::string message, int status = 400)
      : Error(ErrorKind::user, std::move(message)), code_(std::move(code)), status_(status) {}
  const std::string& code() const { return code_; }
  int status() const { return status_; }

 private:
  std::string code_;
  int status_;
};

inline ApiError invalid_value(const std::string& name, const std::string& value) {
  return ApiError("InvalidParameterValue",
                  fmt::format("Value ({}) for parameter {} is invalid.", value, name));
}
inline ApiError missing_parameter(const std::string& name) {
  return ApiError("MissingParameter", fmt::format("The request must contain the parameter {}", name));
}

}  // namespace kiln::ec2
