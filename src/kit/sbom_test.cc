#include "kit/sbom.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void write_below(const fs::path& root, const std::string& path, const std::string& text) {
  fs::create_directories((root / path).parent_path());
  write_file_atomically(root / path, text);
}

std::vector<std::string> urls(const Sbom& sbom) {
  std::vector<std::string> out;
  for (const auto& package : sbom.packages) out.push_back(package_url(package, sbom.system));
  return out;
}

constexpr const char* debian_release = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
constexpr const char* dpkg_status =
    "Package: zlib1g\nStatus: install ok installed\nMaintainer: Mark Brown <broonie@debian.org>\nArchitecture: amd64\n"
    "Source: zlib (1.2)\nVersion: 1:1.2.13.dfsg-1\nDescription: compression library\n zlib is a library\n Version: "
    "9\n\n"
    "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n"
    "Package: base-files\nStatus: install ok installed\nMaintainer: The base team <base@example.org>\n"
    "Architecture: all\nVersion: 12.4+deb12u11\n";

TEST(Sbom, ListsWhatDpkgHasInstalled) {
  TempDir root;
  write_below(root.path(), "etc/os-release", debian_release);
  write_below(root.path(), "var/lib/dpkg/status", dpkg_status);
  write_below(root.path(), "var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\nArchitecture: all\n");
  Sbom sbom = scan_packages(root.path().string(), {});
  // The package URLs are those of Packer 1.16 for the same records.
  EXPECT_THAT(urls(sbom),
              ElementsAre("pkg:deb/debian/base-files@12.4%2Bdeb12u11?arch=all&distro=debian-12",
                          "pkg:deb/debian/tzdata@2024a?arch=all&distro=debian-12",
                          "pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?arch=amd64&distro=debian-12&upstream=zlib%401.2"));
  EXPECT_EQ(sbom.packages[1].record, "/var/lib/dpkg/status.d/tzdata");
}

TEST(Sbom, ListsWhatApkAndPythonHaveInstalled) {
  TempDir root;
  write_below(root.path(), "usr/lib/os-release", "ID=alpine\nVERSION_ID=3.19.1\n");
  write_below(
      root.path(), "lib/apk/db/installed",
      "P:musl\nV:1.2.4-r4\nA:x86_64\nL:MIT\no:musl\nm:T <t@iki.fi>\n\nP:libcrypto3\nV:3.1.4-r5\nA:x86_64\no:openssl\n");
  const std::string site = "usr/lib/python3/site-packages/";
  write_below(root.path(), site + "Foo_bar-1.2.dist-info/METADATA",
              "Metadata-Version: 2.1\nName: Foo_.bar\nVersion: 1.2\nLicense: MIT\n\nName: not this\n");
  write_below(root.path(), site + "old.egg-info/PKG-INFO", "Name: old\nVersion: 3\nLicense: UNKNOWN\n");
  write_below(root.path(), site + "older.egg-info", "Name: older\nVersion: 4\n");
  fs::create_directory_symlink("/", root.path() / "loop");
  Sbom sbom = scan_packages(root.path().string(), {});
  EXPECT_THAT(urls(sbom),
              ElementsAre("pkg:pypi/foo-bar@1.2",
                          "pkg:apk/alpine/libcrypto3@3.1.4-r5?arch=x86_64&distro=alpine-3.19.1&upstream=openssl",
                          "pkg:apk/alpine/musl@1.2.4-r4?arch=x86_64&distro=alpine-3.19.1", "pkg:pypi/old@3",
                          "pkg:pypi/older@4"));
  EXPECT_EQ(sbom.packages[0].license, "MIT");
  EXPECT_EQ(sbom.packages[3].license, "");
}

TEST(Sbom, LeavesOutWhatIsExcluded) {
  TempDir root;
  for (std::string place : {"opt/a/", "usr/a/deep/", "usr/"})
    write_below(root.path(), place + "x.egg-info", "Name: " + place + "\nVersion: 1\n");
  auto count = [&](const std::vector<std::string>& patterns) {
    return scan_packages(root.path().string(), patterns).packages.size();
  };
  EXPECT_EQ(count({}), 3u);
  EXPECT_EQ(count({"./opt/**"}), 2u);
  EXPECT_EQ(count({"./usr/*.egg-info"}), 2u);
  EXPECT_EQ(count({"**/*.egg-info"}), 0u);
  EXPECT_EQ(count({"*/a"}), 1u);
  EXPECT_EQ(count({"./opt", "./usr/a"}), 1u);
  EXPECT_THROW(count({"opt/**"}), Error);
}

TEST(Sbom, NamesWhatItDoesNotRead) {
  TempDir root;
  write_below(root.path(), "var/lib/rpm/rpmdb.sqlite", "SQLite");
  EXPECT_THAT(scan_packages(root.path().string(), {}).unread, ElementsAre("/var/lib/rpm/rpmdb.sqlite"));
  EXPECT_THROW(scan_packages((root.path() / "nowhere").string(), {}), Error);
  EXPECT_THROW(scan_packages((root.path() / "var/lib/rpm/rpmdb.sqlite").string(), {}), Error);
}

Sbom two_packages() {
  Sbom sbom{"/mnt", {"debian", "12", "Debian 12"}, {}, {}};
  sbom.packages = {
      {"deb", "libc6", "2.36", "amd64", "glibc", "The glibc team <g@example.org>", "", "/var/lib/dpkg/status"},
      {"pypi", "foo", "1.2", "", "", "F\xff", "MIT", "/foo.dist-info/METADATA"}};
  return sbom;
}
const SbomIdentity fixed{"48641909-fbda-48d3-8fc8-1a48a1519215", std::chrono::system_clock::from_time_t(1795743612)};

TEST(Sbom, IsCycloneDx) {
  auto document = nlohmann::json::parse(cyclonedx_json(two_packages(), fixed));
  EXPECT_EQ(document["bomFormat"], "CycloneDX");
  EXPECT_EQ(document["specVersion"], "1.6");
  EXPECT_EQ(document["serialNumber"], "urn:uuid:48641909-fbda-48d3-8fc8-1a48a1519215");
  EXPECT_EQ(document["metadata"]["timestamp"], "2026-11-27T01:40:12Z");
  ASSERT_EQ(document["components"].size(), 3u);
  auto libc = document["components"][0], foo = document["components"][1], system = document["components"][2];
  EXPECT_EQ(libc["purl"], "pkg:deb/debian/libc6@2.36?arch=amd64&distro=debian-12&upstream=glibc");
  EXPECT_THAT(libc["bom-ref"], testing::ResultOf([](const auto& v) { return v.template get<std::string>(); },
                                                 HasSubstr("&package-id=")));
  EXPECT_FALSE(libc.contains("licenses"));
  EXPECT_EQ(foo["licenses"][0]["license"]["name"], "MIT");
  EXPECT_EQ(foo["publisher"], "F\xef\xbf\xbd");
  EXPECT_EQ(system["type"], "operating-system");
  EXPECT_EQ(system["bom-ref"], "os:debian@12");
  EXPECT_FALSE(nlohmann::json::parse(cyclonedx_json(Sbom{"/x", {}, {}, {}}, fixed)).contains("components"));
}

TEST(Sbom, IsSpdx) {
  auto document = nlohmann::json::parse(spdx_json(two_packages(), fixed));
  EXPECT_EQ(document["spdxVersion"], "SPDX-2.3");
  EXPECT_EQ(document["creationInfo"]["created"], "2026-11-27T01:40:12Z");
  ASSERT_EQ(document["packages"].size(), 3u);
  EXPECT_EQ(document["packages"][0]["supplier"], "Organization: The glibc team (g@example.org)");
  EXPECT_EQ(document["packages"][1]["supplier"], "NOASSERTION");
  EXPECT_EQ(document["packages"][1]["externalRefs"][0]["referenceLocator"], "pkg:pypi/foo@1.2");
  std::vector<std::string> relations;
  for (const auto& relation : document["relationships"]) {
    relations.push_back(relation["relationshipType"]);
    bool known = false;
    for (const auto& package : document["packages"])
      known = known || package["SPDXID"] == relation["relatedSpdxElement"];
    EXPECT_TRUE(known) << relation;
  }
  EXPECT_THAT(relations, ElementsAre("CONTAINS", "CONTAINS", "DESCRIBES"));
}

}  // namespace
}  // namespace kiln
