// The instance metadata service: what a machine reads at http://169.254.169.254/.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/wait.h"
#include "endpoint/http_service.h"

namespace kiln::ec2 {

/// What one instance may read. A plain value, kept as a file beside its disks.
struct Metadata {
  std::map<std::string, std::string> tree;     ///< "placement/region" -> text: below /latest/meta-data/
  std::map<std::string, std::string> dynamic;  ///< below /latest/dynamic/
  std::string user_data;                       ///< bytes
  bool enabled = true;
  bool tokens_required = false;
  std::string token_secret;  ///< bytes
};

std::string metadata_to_json(const Metadata& metadata);
/// Throws Error{environment} on text that is none.
Metadata metadata_from_json(std::string_view text);

/// The answer to one request. Tokens need no memory: they say until when they are good and are signed with
/// token_secret.
HttpReply answer_metadata(const Metadata& metadata, const HttpCall& call, int64_t now);

/// Serves one connection of a guest, from one descriptor to another; the file is read anew for each request.
/// What `kiln ec2 imds FILE` does: QEMU starts it for every connection.
void serve_metadata(const std::filesystem::path& file, int in, int out, const Stop& stop);

}  // namespace kiln::ec2
