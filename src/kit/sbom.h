// A software bill of materials: the packages that a root directory holds, by the records of those who installed them
// (dpkg, apk, Python's installers), as CycloneDX or SPDX. Pure but for reading below the root.
#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace kiln {

struct SbomPackage {
  std::string kind;  ///< the type of its package URL: deb, apk, pypi
  std::string name;
  std::string version;
  std::string architecture;
  std::string source;  ///< the package it was built from, where that is another: "NAME", "NAME@VERSION"
  std::string maintainer;
  std::string license;  ///< as its record words it; empty: the record says nothing
  std::string record;   ///< the file that says so, from the root on: "/var/lib/dpkg/status"
};

/// /etc/os-release. All empty: there is none.
struct SbomSystem {
  std::string id;
  std::string version;
  std::string name;
};

struct Sbom {
  std::string root;  ///< as the user named it
  SbomSystem system;
  std::vector<SbomPackage> packages;  ///< by name
  std::vector<std::string> unread;    ///< records that are there and cannot be read: of rpm
};

/// `excluded`: patterns that begin with "./", "*/" or "**/", from the root on ("**" crosses directories). Symbolic links
/// are not followed out of directories. Throws Error{user} when `root` is no directory or a pattern begins otherwise.
Sbom scan_packages(const std::string& root, const std::vector<std::string>& excluded);

/// The package URL (github.com/package-url/purl-spec).
std::string package_url(const SbomPackage& package, const SbomSystem& system);

/// What makes one document another than the next of the same contents.
struct SbomIdentity {
  std::string uuid;
  std::chrono::system_clock::time_point time;
};
/// CycloneDX 1.6, SPDX 2.3; JSON, indented. Bytes that are not UTF-8 become U+FFFD.
std::string cyclonedx_json(const Sbom& sbom, const SbomIdentity& identity);
std::string spdx_json(const Sbom& sbom, const SbomIdentity& identity);

}  // namespace kiln
