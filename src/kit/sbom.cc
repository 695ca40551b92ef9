#include "kit/sbom.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/text.h"

namespace kiln {

namespace {

using SbomJson = nlohmann::ordered_json;

std::string url_part(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    bool plain = (c < 128 && isalnum(c)) || contains("-._~", std::string_view(reinterpret_cast<char*>(&c), 1));
    out += plain ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
  }
  return out;
}

/// The same package at the same place has the same number, whenever it is asked.
std::string package_number(const SbomPackage& package, const SbomSystem& system) {
  return digest_hex("sha256", package_url(package, system) + "\n" + package.record).substr(0, 16);
}

/// Letters, digits, "." and "-": an SPDX identifier.
std::string spdx_word(std::string_view text) {
  std::string out;
  for (unsigned char c : text) out += (c < 128 && isalnum(c)) || c == '.' ? static_cast<char>(c) : '-';
  return out;
}

/// "Name <mail>" as SPDX' "Person: Name (mail)"; teams are none.
std::string spdx_supplier(const std::string& maintainer) {
  size_t open = maintainer.find(" <");
  if (open == maintainer.npos || !maintainer.ends_with('>')) return "NOASSERTION";
  std::string name = maintainer.substr(0, open);
  std::string mail = maintainer.substr(open + 2, maintainer.size() - open - 3);
  bool many = false;
  for (auto word : {"team", "group", "maintainers", "developers", "project"})
    many = many || contains(lower(name), word);
  return fmt::format("{}: {} ({})", many ? "Organization" : "Person", name, mail);
}

SbomJson property(const std::string& name, const std::string& value) { return {{"name", name}, {"value", value}}; }

SbomJson cyclonedx_component(const SbomPackage& package, const SbomSystem& system) {
  std::string url = package_url(package, system);
  SbomJson out = {{"bom-ref", fmt::format("{}{}package-id={}", url, contains(url, "?") ? "&" : "?",
                                          package_number(package, system))},
                  {"type", "library"}};
  if (!package.maintainer.empty()) out["publisher"] = package.maintainer;
  out["name"] = package.name;
  out["version"] = package.version;
  if (!package.license.empty()) out["licenses"] = SbomJson::array({{{"license", {{"name", package.license}}}}});
  out["purl"] = url;
  out["properties"] = SbomJson::array(
      {property("kiln:package:type", package.kind), property("kiln:location:0:path", package.record)});
  return out;
}

SbomJson cyclonedx_system(const SbomSystem& system) {
  SbomJson out = {{"bom-ref", fmt::format("os:{}@{}", system.id, system.version)},
                  {"type", "operating-system"},
                  {"name", system.id},
                  {"version", system.version}};
  if (!system.name.empty()) out["description"] = system.name;
  out["swid"] = {{"tagId", system.id}, {"name", system.id}, {"version", system.version}};
  return out;
}

SbomJson spdx_package(const std::string& id, const std::string& name) {
  return {{"name", name},
          {"SPDXID", id},
          {"supplier", "NOASSERTION"},
          {"downloadLocation", "NOASSERTION"},
          {"filesAnalyzed", false},
          {"licenseConcluded", "NOASSERTION"},
          {"licenseDeclared", "NOASSERTION"},
          {"copyrightText", "NOASSERTION"}};
}

SbomJson spdx_relationship(const std::string& from, const std::string& type, const std::string& to) {
  return {{"spdxElementId", from}, {"relatedSpdxElement", to}, {"relationshipType", type}};
}

std::string sbom_text(const SbomJson& document) {
  return document.dump(2, ' ', false, SbomJson::error_handler_t::replace) + "\n";
}

}  // namespace

std::string package_url(const SbomPackage& package, const SbomSystem& system) {
  bool of_system = package.kind != "pypi";
  // Debian's are Debian's where nobody says otherwise: a chroot without /etc/os-release.
  std::string vendor = !system.id.empty() ? system.id : package.kind == "deb" ? "debian" : "alpine";
  std::string url = fmt::format("pkg:{}/{}{}@{}", package.kind, of_system ? url_part(vendor) + "/" : "",
                                url_part(package.name), url_part(package.version));
  std::vector<std::string> qualifiers;
  if (!package.architecture.empty()) qualifiers.push_back("arch=" + url_part(package.architecture));
  if (of_system && !system.id.empty()) {
    std::string version = system.version.empty() ? "" : "-" + system.version;
    qualifiers.push_back("distro=" + url_part(system.id + version));
  }
  if (!package.source.empty()) qualifiers.push_back("upstream=" + url_part(package.source));
  return qualifiers.empty() ? url : url + "?" + join(qualifiers, "&");
}

std::string cyclonedx_json(const Sbom& sbom, const SbomIdentity& identity) {
  SbomJson components = SbomJson::array();
  for (const auto& package : sbom.packages) components.push_back(cyclonedx_component(package, sbom.system));
  if (!sbom.system.id.empty()) components.push_back(cyclonedx_system(sbom.system));
  SbomJson tool = {{"type", "application"}, {"name", "kiln"}, {"version", KILN_VERSION}};
  SbomJson metadata = {
      {"timestamp", format_rfc3339_utc(identity.time)},
      {"tools", {{"components", SbomJson::array({tool})}}},
      {"component",
       {{"bom-ref", digest_hex("sha256", sbom.root).substr(0, 16)}, {"type", "file"}, {"name", sbom.root}}}};
  SbomJson document = {{"$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json"},
                       {"bomFormat", "CycloneDX"},
                       {"specVersion", "1.6"},
                       {"serialNumber", "urn:uuid:" + identity.uuid},
                       {"version", 1},
                       {"metadata", metadata}};
  if (!components.empty()) document["components"] = components;
  return sbom_text(document);
}

std::string spdx_json(const Sbom& sbom, const SbomIdentity& identity) {
  const std::string root = "SPDXRef-DocumentRoot-Directory-" + spdx_word(sbom.root);
  SbomJson packages = SbomJson::array();
  SbomJson relationships = SbomJson::array();
  for (const auto& package : sbom.packages) {
    std::string id = fmt::format("SPDXRef-Package-{}-{}-{}", package.kind, spdx_word(package.name),
                                 package_number(package, sbom.system));
    SbomJson one = spdx_package(id, package.name);
    one["versionInfo"] = package.version;
    one["supplier"] = spdx_supplier(package.maintainer);
    one["sourceInfo"] = "taken from the record " + package.record;
    one["externalRefs"] = SbomJson::array({{{"referenceCategory", "PACKAGE-MANAGER"},
                                            {"referenceType", "purl"},
                                            {"referenceLocator", package_url(package, sbom.system)}}});
    packages.push_back(std::move(one));
    relationships.push_back(spdx_relationship(root, "CONTAINS", id));
  }
  SbomJson whole = spdx_package(root, sbom.root);
  whole["primaryPackagePurpose"] = "FILE";
  packages.push_back(std::move(whole));
  relationships.push_back(spdx_relationship("SPDXRef-DOCUMENT", "DESCRIBES", root));
  return sbom_text(
      {{"spdxVersion", "SPDX-2.3"},
       {"dataLicense", "CC0-1.0"},
       {"SPDXID", "SPDXRef-DOCUMENT"},
       {"name", sbom.root},
       {"documentNamespace", fmt::format("https://spdx.org/spdxdocs/kiln-{}", identity.uuid)},
       {"creationInfo",
        {{"creators", SbomJson::array({fmt::format("Tool: kiln-{}", KILN_VERSION)})},
         {"created", format_rfc3339_utc(identity.time)}}},
       {"packages", packages},
       {"relationships", relationships}});
}

}  // namespace kiln
