// What the environment says (packer-surface 1.9, 1.10).
#pragma once
#include <filesystem>

namespace kiln {

/// The start-up checks of Packer: HOME, and the core configuration file (PACKER_CONFIG, PACKER_CONFIG_DIR or
/// ~/.packerconfig). Throws Error{user} " Error loading configuration: ...".
void check_environment();

/// PACKER_CACHE_DIR, else $XDG_CACHE_HOME/packer, else ~/.cache/packer. May not exist.
std::filesystem::path cache_directory();

/// PACKER_PLUGIN_PATH, else "plugins" in Packer's configuration directory: $PACKER_CONFIG_DIR/.packer.d, ~/.packer.d if
/// it is there, $XDG_CONFIG_HOME/packer, ~/.config/packer. May not exist.
std::filesystem::path plugin_directory();

}  // namespace kiln
