// Who calls: the signature of a request, checked.
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "endpoint/http_service.h"

namespace kiln::ec2 {

/// What a good signature says.
struct Caller {
  std::string access_key;
  std::string region;
  std::string service;  ///< "ec2", "sts", ...
};

/// The keys behind an access key; nullopt: nobody's.
using FindKeys = std::function<std::optional<AwsKeys>(const std::string& access_key)>;

/// Checks the signature of a request, in its Authorization header or its query. `now` is Unix time; a
/// signature is good for 15 minutes, in a query for as long as X-Amz-Expires says. Throws ApiError with EC2's
/// codes.
Caller check_signature(const HttpCall& call, const FindKeys& find_keys, int64_t now);

/// "20150830T123600Z" as Unix time.
std::optional<int64_t> parse_amz_date(std::string_view text);
std::string format_amz_date(int64_t unix_time);

}  // namespace kiln::ec2
