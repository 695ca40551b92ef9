// An image as one file, to carry it elsewhere: a tar of its record and its files. Format:
// docs/formats/images.md.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/image_store.h"
#include "core/journal.h"

namespace kiln {

/// What the archive's record.json says of an image; `names` are its files' paths below their common
/// directory.
struct ArchivedImage {
  ImageRecord record;
  std::vector<std::string> names;
  std::string directory;  ///< the common directory
};

std::string archive_record_json(const ImageRecord& record);
/// Throws Error{user} when it is none, of a newer format, or names files outside of its directory.
ArchivedImage parse_archive_record(const std::string& json, const std::string& archive);
/// The record with its files below `directory`, and the old paths in its values changed likewise.
ImageRecord moved_record(const ArchivedImage& image, const std::filesystem::path& directory);

/// Writes the archive; `content` says where a file's content lies, and it is compared with its digest. `to`
/// is only there when it is whole. zstd when its name ends in .zst.
void write_image_archive(const ImageRecord& record,
                         const std::function<std::filesystem::path(const ImageFile&)>& content,
                         const std::filesystem::path& to, Journal* journal, const Stop& stop);
/// Puts the files of the archive below `directory`, each compared with its digest, and returns the record
/// with these paths. Throws Error{user} when a file is in the way or the archive is damaged; nothing is left
/// there then.
ImageRecord read_image_archive(const std::filesystem::path& from, const std::filesystem::path& directory,
                               Journal* journal, const Stop& stop);

}  // namespace kiln
