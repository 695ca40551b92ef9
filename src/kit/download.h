// ISO and other files of a builder: fetched once into the cache, verified, then used in place
// (packer-surface 7.4).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/stage_context.h"
#include "lang/option.h"

namespace kiln {

/// What to fetch. The URLs are mirrors of one file, tried in order.
struct DownloadRequest {
  std::vector<std::string> urls;         ///< http(s), ftp, file URLs, or paths
  std::string checksum;                  ///< as written: "none", "HEX", "TYPE:HEX", "file:PATH_OR_URL"
  std::string target_path;               ///< where to put it; empty: in the cache, named by checksum or URL
  std::string target_extension = "iso";  ///< of the name in the cache, without a dot
  std::string description = "ISO";       ///< "Retrieving ISO"
};

/// Makes the file available and returns its path. A local file is verified and used where it is; a compressed
/// one (by its name: .gz .bz2 .xz .zst .zip .tar...) is unpacked into the cache, as Packer does. Everything
/// else goes to a temporary name, is resumed and retried on the way, verified, and renamed. Builds that want
/// the same file wait for each other by a lock file beside it. Says, in this order: "Retrieving ISO", "Trying
/// URL", "Trying URL?checksum=...", "URL?checksum=... => PATH"; a mirror that fails is told by "Download
/// failed WHY"; when all failed, "error downloading ISO: [WHY ...]" is both told as an error and thrown.
/// Emits progress events. Blocks until done; Stop ends it (Error{cancelled}).
std::filesystem::path download(const DownloadRequest& request, StageContext& context);

/// The name in the cache: sha1 of "TYPE:HEX" if a checksum is known, else of the URL, with the extension.
std::string cache_file_name(const std::string& url, const std::string& resolved_checksum,
                            const std::string& extension);

/// iso_* options, shared by the builders that boot from one.
struct IsoConfig {
  std::string iso_url;
  std::vector<std::string> iso_urls;
  std::string iso_checksum;
  std::string iso_target_path;
  std::string iso_target_extension;
  /// iso_url and iso_urls as one list; after prepare_iso.
  std::vector<std::string> urls;

  DownloadRequest request() const {
    return {urls, iso_checksum, iso_target_path, iso_target_extension, "ISO"};
  }
};

/// To be included in a builder's table: table.include(&Config::iso, iso_options()).
const OptionTable<IsoConfig>& iso_options();

/// Completes and judges the options in Packer's wording; warns for "none". A sum file that is local is read
/// here, a remote one only when the file is fetched. `object` is the builder's configuration (for places).
void prepare_iso(const Value& object, IsoConfig& iso, Diagnostics& diagnostics);

}  // namespace kiln
