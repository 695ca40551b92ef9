// images: what the store of images holds, and looking after it.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/image_text.h"
#include "cli/signals.h"
#include "cli/text_table.h"
#include "core/image_store.h"
#include "core/journal.h"

namespace kiln {

namespace {

auto now() { return std::chrono::system_clock::now(); }

std::unique_ptr<ImageStore> open_store() { return open_image_store(image_store_directory()); }

std::string short_text(const ImageRecord& image) { return fmt::format("{} ({})", image.id, image.name); }

/// The images that the references mean, each once. Throws for the first that means none.
std::vector<ImageRecord> images_of(ImageStore& store, const std::vector<std::string>& references) {
  std::vector<ImageRecord> images;
  std::set<std::string> seen;
  for (const auto& reference : references) {
    ImageRecord image = store.get(reference);
    if (seen.insert(image.id).second) images.push_back(std::move(image));
  }
  return images;
}

/// Children before what they were made from.
std::vector<ImageRecord> in_order_of_removal(std::vector<ImageRecord> images) {
  std::vector<ImageRecord> order;
  while (!images.empty()) {
    std::set<std::string> parents;
    for (const auto& image : images) parents.insert(image.parents.begin(), image.parents.end());
    auto free = std::stable_partition(images.begin(), images.end(),
                                      [&](auto& image) { return parents.contains(image.id); });
    if (free == images.end()) free = images.begin();  // a circle: the store will say what is wrong
    std::move(free, images.end(), std::back_inserter(order));
    images.erase(free, images.end());
  }
  return order;
}

/// A Stop that ^C requests, for what takes long, and the journal of what is half-written meanwhile.
struct LongWork {
  explicit LongWork(Invocation& invocation)
      : signals(stop,
                [&invocation](const std::string& name) {
                  invocation.ui().say("Cancelling after receiving " + name);
                }),
        journal(open_journal(state_directory(), invocation.run_id)),
        store(open_image_store(image_store_directory(), journal.get())) {}
  Stop stop;
  SignalWatch signals;
  std::unique_ptr<Journal> journal;
  std::unique_ptr<ImageStore> store;
};

}  // namespace

int run_images(Invocation& invocation, CommandOptions& options, const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  auto images = open_store()->list();
  if (options.json) {
    Value::List list;
    for (const auto& image : images) list.push_back(image_value(image, images, false));
    Value out = Value::empty_object();
    out.set("images", list);
    invocation.ui().say(to_json(out));
  } else if (images.empty()) {
    invocation.ui().say(fmt::format("No images in {}.", image_store_directory().string()));
  } else {
    invocation.ui().say(std::string(trim_right(image_table(images, now()))));
  }
  return 0;
}

int run_images_show(Invocation& invocation, CommandOptions& options,
                    const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  auto store = open_store();
  ImageRecord image = store->get(arguments[0]);
  auto images = store->list();
  std::string text =
      options.json ? to_json(image_value(image, images, true)) : image_page(image, images, now());
  invocation.ui().say(std::string(trim_right(text)));
  return 0;
}

int run_images_rm(Invocation& invocation, CommandOptions& options,
                  const std::vector<std::string>& arguments) {
  if (arguments.empty()) return show_help;
  auto store = open_store();
  for (const auto& image : in_order_of_removal(images_of(*store, arguments))) {
    store->remove(image.id, options.images.files);
    invocation.ui().say("Removed " + short_text(image));
  }
  return 0;
}

int run_images_tag(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) return show_help;
  auto store = open_store();
  ImageRecord image = store->get(arguments[0]);
  const std::string& tag = arguments[1];
  std::string before;
  for (const auto& other : store->list()) {
    if (other.id != image.id && std::count(other.tags.begin(), other.tags.end(), tag) > 0)
      before = ", which was " + short_text(other);
  }
  store->tag(image.id, tag);
  invocation.ui().say(fmt::format("{} is now {}{}", tag, short_text(image), before));
  return 0;
}

int run_images_untag(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  open_store()->untag(arguments[0]);
  invocation.ui().say(arguments[0] + " is no tag any more");
  return 0;
}

int run_images_export(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) return show_help;
  LongWork work(invocation);
  ImageRecord image = work.store->get(arguments[0]);
  work.store->export_image(image, arguments[1], work.stop);
  invocation.ui().say(fmt::format("Exported {} to {} ({})", short_text(image), arguments[1],
                                  format_bytes(fs::file_size(arguments[1]))));
  return 0;
}

int run_images_import(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) return show_help;
  LongWork work(invocation);
  ImageRecord image = work.store->import_image(arguments[0], arguments[1], work.stop);
  invocation.ui().say(fmt::format("Imported {}: {}, {}", short_text(image),
                                  counted(image.files.size(), "file"), format_bytes(image_size(image))));
  return 0;
}

int run_images_verify(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  LongWork work(invocation);
  Ui ui = invocation.ui();
  auto images = arguments.empty() ? work.store->list() : images_of(*work.store, arguments);
  size_t damaged = 0;
  for (const auto& image : images) {
    auto progress = [&](uint64_t done, uint64_t total) { ui.progress("Reading " + image.name, done, total); };
    auto damages = work.store->verify(image, progress, work.stop);
    for (const auto& damage : damages)
      ui.error(fmt::format("{} {}: {}", short_text(image), damage.path, damage.what));
    if (!damages.empty()) ++damaged;
  }
  if (damaged == 0) {
    ui.say(images.empty() ? "There are no images."
                          : fmt::format("Nothing is damaged in {}.", counted(images.size(), "image")));
    return 0;
  }
  ui.error(fmt::format("{} of {} damaged. Build them again, or remove them with `{} images rm`.", damaged,
                       counted(images.size(), "image"), invocation.program));
  return 1;
}

int run_images_prune(Invocation& invocation, CommandOptions& options,
                     const std::vector<std::string>& arguments) {
  if (!arguments.empty()) return show_help;
  const ImagesOptions& given = options.images;
  if (given.keep < 0 && given.older_than.empty()) {
    invocation.ui().error("Say what may go: -keep=N, -older-than=AGE, or both.");
    return show_help;
  }
  PrunePolicy policy;
  policy.keep = static_cast<size_t>(std::max(0, given.keep));
  if (!given.older_than.empty()) policy.older_than = parse_age(given.older_than);
  auto store = open_store();
  auto images = store->prunable(policy);
  uint64_t size = 0;
  for (const auto& image : images) {
    if (!options.dry_run) store->remove(image.id, given.files);
    size += image_size(image);
    invocation.ui().say(fmt::format("{} {}, made {}, {}", options.dry_run ? "Would remove" : "Removed",
                                    short_text(image), age_text(image.made, now()),
                                    format_bytes(image_size(image))));
  }
  if (images.empty())
    invocation.ui().say("There is nothing to remove.");
  else
    invocation.ui().say(fmt::format("{}, {}.{}", counted(images.size(), "image"), format_bytes(size),
                                    options.dry_run ? " Nothing was done." : ""));
  return 0;
}

}  // namespace kiln
