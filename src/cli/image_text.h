// Images of the store as people and programs read them.
#pragma once
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "core/image_store.h"

namespace kiln {

/// "just now", "5 minutes ago", "3 days ago"; the date when it is longer than eight weeks ago.
std::string age_text(std::chrono::system_clock::time_point then, std::chrono::system_clock::time_point now);
/// "90m", "12h", "30d", "6w", or as Go writes durations. Throws Error{user}.
std::chrono::seconds parse_age(const std::string& text);
uint64_t image_size(const ImageRecord& record);
/// "5 passed, 1 skipped", "2 of 5 failed"; "-": never tested.
std::string tests_text(const Value& tests);
/// The list, the newest first, with a line of headings.
std::string image_table(const std::vector<ImageRecord>& images, std::chrono::system_clock::time_point now);
/// Everything about one of `images`. Looks whether its files and its log are there.
std::string image_page(const ImageRecord& image, const std::vector<ImageRecord>& images,
                       std::chrono::system_clock::time_point now);
/// An object of `images -json`; `whole`: also what only `show` tells.
Value image_value(const ImageRecord& image, const std::vector<ImageRecord>& images, bool whole);
/// Tags, names and ids of the store with what they are, for completion; nothing when there is none.
std::vector<std::pair<std::string, std::string>> image_words(bool tags_alone);

}  // namespace kiln
