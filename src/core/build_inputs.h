// What an image is made from, as a document: its digest is the image's key, and two of them tell what changed.
// Format: docs/formats/inputs.md.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/image_store.h"
#include "core/plan_outline.h"
#include "lang/value.h"

namespace kiln {

/// Everything that makes the result of one build what it is: kinds and types of its steps, their options as resolved
/// (secrets as `hide` left them), digests of all files that options name, of the artifacts it is made from (`sources`:
/// stage to digest), and Kiln's version. Relative paths are those of the calling thread's working directory. Throws
/// Error when a file cannot be read.
Value build_inputs(const OutlinedBuild& build, const std::map<std::string, std::string>& sources, FileDigests& digests);
/// One state of the machine on its way: what its key is the digest of, together with the key before.
struct StateKey {
  std::string key;
  Value document;
};
/// The chain of states of a build: the machine once it is up, then after each provisioner. Reads files as build_inputs.
std::vector<StateKey> state_keys(const OutlinedBuild& build, const std::map<std::string, std::string>& sources,
                                 FileDigests& digests);
/// Digest of a file's content, or of all that is in a directory (names, modes, links, content). "" when it is
/// nothing of this machine: a URL, a path that does not exist.
std::string content_digest(const std::filesystem::path& path, FileDigests& digests);

/// sha256, hex, of a document: the same for the same content in any order of members.
std::string document_key(const Value& document);

/// What is different, one sentence each, the most telling first: "scripts/app.sh changed". At most `most`, then how
/// many more. Empty when nothing is. `first_step`: the number of the documents' first step in the build.
std::vector<std::string> input_differences(const Value& before, const Value& now, size_t most = 4,
                                           size_t first_step = 1);

/// Stands for a secret in documents: a digest that only whoever can read the state directory could test guesses with.
HideSecret keyed_hash_of_secrets(const std::filesystem::path& state_directory);

}  // namespace kiln
