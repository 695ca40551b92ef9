// A file into an object of S3, in parts and by several connections at once.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "core/communicator.h"
#include "wire/aws_client.h"

namespace kiln {

struct AwsUpload {
  std::filesystem::path file;
  std::string bucket;
  std::string key;
  std::map<std::string, std::string> headers;  ///< of the object: x-amz-server-side-encryption, ...
  int connections = 4;
};

/// Makes a client for one more connection.
using AwsClientMaker = std::function<std::unique_ptr<AwsClient>()>;

/// Uploads; half an object is never left: an upload that fails is aborted. `progress` is told by the calling thread.
/// Throws AwsError, Error{environment} when the file cannot be read, Error{cancelled}.
void upload_to_s3(const AwsClientMaker& make_client, const AwsUpload& upload, const ProgressFn& progress,
                  const Deadline& deadline, const Stop& stop);

/// How large a part of a file of that size is: at least 16 MiB, and no more than 9,000 parts. Pure.
uint64_t s3_part_size(uint64_t file_size);

/// A request about an object: "/BUCKET/KEY". Pure.
AwsCall s3_call(const std::string& region, const std::string& method, const std::string& bucket, const std::string& key,
                const std::string& query = {});

}  // namespace kiln
