#include "base/error.h"
#include "base/text.h"
#include "kit/checksum.h"
#include "kit/download.h"

namespace kiln {

const OptionTable<IsoConfig>& iso_options() {
  static const OptionTable<IsoConfig> table = [] {
    OptionTable<IsoConfig> made;
    made.add(
        &IsoConfig::iso_checksum,
        {.name = "iso_checksum",
         .doc = "Checksum of the ISO or disk image: \"none\", a bare hexadecimal value, \"TYPE:VALUE\" with "
                "md5, sha1, sha256 or sha512, or \"file:PATH_OR_URL\" of a sum file."});
    made.add(
        &IsoConfig::iso_url,
        {.name = "iso_url", .doc = "URL or path of the ISO or disk image. Exclusive with iso_urls.", .reads = true});
    made.add(&IsoConfig::iso_urls, {.name = "iso_urls", .doc = "Mirrors of one file, tried in order.", .reads = true});
    made.add(&IsoConfig::iso_target_path,
             {.name = "iso_target_path",
              .doc = "Where to keep the downloaded file. Default: in the cache, named by its checksum.",
              .in_key = false});
    made.add(&IsoConfig::iso_target_extension, {.name = "iso_target_extension",
                                                .default_text = "iso",
                                                .doc = "Extension of the file in the cache.",
                                                .in_key = false});
    return made;
  }();
  return table;
}

void prepare_iso(const Value& object, IsoConfig& iso, Diagnostics& diagnostics) {
  auto place = [&](const char* key) {
    const Value* value = object.find(key);
    return value != nullptr ? value->range : object.range;
  };
  if (iso.iso_target_extension.empty()) iso.iso_target_extension = "iso";
  iso.iso_target_extension = lower(iso.iso_target_extension);
  iso.urls = iso.iso_urls;
  if (!iso.iso_url.empty()) {
    if (!iso.iso_urls.empty()) {
      diagnostics.error("Only one of iso_url or iso_urls must be specified", "", place("iso_urls"));
      return;
    }
    iso.urls = {iso.iso_url};
  }
  if (iso.urls.empty()) {
    diagnostics.error("One of iso_url or iso_urls must be specified", "", place("iso_url"));
    return;
  }
  if (iso.iso_checksum.empty()) {
    diagnostics.error("A checksum must be specified", "", place("iso_checksum"),
                      "Give iso_checksum a value (\"sha256:...\", \"file:SHA256SUMS\"), or \"none\".");
    return;
  }
  if (iso.iso_checksum == "none") {
    diagnostics.warning(
        "A checksum of 'none' was specified. Since ISO files are so big,\na checksum is highly recommended.",
        "", place("iso_checksum"));
    return;
  }
  if (contains(iso.iso_checksum, "<unknown>")) return;
  try {
    ChecksumSpec spec = parse_checksum_spec(iso.iso_checksum);
    bool remote = spec.kind == ChecksumSpec::Kind::file && contains(spec.file, "://") &&
                  !spec.file.starts_with("file://");
    if (spec.kind == ChecksumSpec::Kind::file && !remote)
      resolve_checksum(iso.iso_checksum, iso.urls[0], Stop());
  } catch (const Error& error) {
    diagnostics.error(error.message(), "", place("iso_checksum"));
  }
}

}  // namespace kiln
