// Checksums as templates write them: iso_checksum and its relatives (packer-surface 7.4).
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/wait.h"

namespace kiln {

/// A checksum whose type and value are known. Lower-case hex.
struct Checksum {
  std::string type;  ///< md5 sha1 sha256 sha512 (a sum file may also name sha224, sha384)
  std::string hex;
  std::string text() const { return type + ":" + hex; }
  bool operator==(const Checksum&) const = default;
};

/// What a checksum option holds before anything is looked up.
struct ChecksumSpec {
  enum class Kind {
    none,   ///< "none": nothing is verified
    value,  ///< known now
    file,   ///< "file:PATH_OR_URL": looked up in a sum file
  };
  Kind kind = Kind::none;
  Checksum checksum;  ///< of Kind::value
  std::string file;   ///< of Kind::file: a path, or a URL
};

/// Reads "none", "HEX" (its type follows from its length), "TYPE:HEX", "file:PATH_OR_URL".
/// Throws Error{user} with Packer's text, e.g. `invalid checksum: unsupported checksum type: foo in
/// "foo:00"`.
ChecksumSpec parse_checksum_spec(const std::string& text);

/// Finds the line for `source` (a URL or path, as in the template) in a sum file: GNU ("HEX  NAME", "HEX
/// *NAME"), BSD
/// ("SHA256 (NAME) = HEX"), or a lone HEX. `sum_file` is where the text was found: names may be relative to
/// it. nullopt when no line fits.
std::optional<Checksum> find_in_sum_file(std::string_view text, const std::string& source,
                                         const std::string& sum_file);

/// The checksum of `source`: fetches a sum file if the spec names one. nullopt for "none". Throws Error in
/// Packer's wording (`invalid checksum: ...`).
std::optional<Checksum> resolve_checksum(const std::string& text, const std::string& source,
                                         const Stop& stop);

/// Throws Error{remote} in Packer's wording ("Checksums did not match for PATH. ...") unless the file has it.
void verify_checksum(const Checksum& checksum, const std::filesystem::path& path);

}  // namespace kiln
