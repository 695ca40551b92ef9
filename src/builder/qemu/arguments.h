// The QEMU command line as a pure function of options and what is known when the machine starts.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "builder/qemu/config.h"
#include "lang/go_template.h"

namespace kiln::qemu {

/// What is only known when the machine is started.
struct RunValues {
  std::string accelerator = "tcg";   ///< "none": no accel= at all
  std::vector<std::string> disks;    ///< paths, the main one first
  std::string cdrom;                 ///< the ISO to install from; empty for a disk image
  std::string cd_image;              ///< cd_files' image, or empty
  std::string seed_image;            ///< cloud-init's, or empty
  std::string floppy;                ///< image, or empty
  int host_port = 0;                 ///< forwarded to the guest's communicator port; 0: none
  std::string host_address;          ///< where the forwarded port listens; empty: everywhere
  int guest_port = 22;
  std::string vnc_address;           ///< "127.0.0.1:12,to=100" without options; empty: no VNC
  bool vnc_password = false;
  std::string display;               ///< -display; empty: left to QEMU
  std::string efi_code;              ///< pflash images; empty: no UEFI
  std::string efi_vars;
  std::string tpm_socket;            ///< swtpm's; empty: no TPM
  std::string qmp_socket;            ///< the user's; empty: none
  std::string serial_file;           ///< where the serial console goes; empty: nowhere
  // Of machines whose states are kept.
  int memory_fd = -1;                ///< the inherited descriptor of the file that is the machine's memory; -1: none
  bool devices_alone = false;        ///< the state that comes in has the devices by themselves (state.cc)
  bool memory_private = false;       ///< it is shared with others, and what this machine writes is seen by none of them
  std::string guest_channel;         ///< socket of the guest channel's port; empty: no such port
  bool incoming = false;             ///< waits for its devices' state
  bool installed = false;            ///< boots from its disk whatever the configuration started from
  int events_fd = -1;                ///< another one, for what QEMU tells by itself
  int control_fd = -1;               ///< a connected socket the QEMU process inherits for our own QMP
  // What qemuargs may name.
  std::string http_ip;
  int http_port = 0;
  std::string http_directory;
};

/// argv, the program first. Switches come in a fixed order; qemuargs replace the same-named ones entirely, their
/// fields joined, and new ones come last. Throws Error{user} when a qemuargs template cannot be rendered.
std::vector<std::string> qemu_arguments(const Config& config, const RunValues& run, const TemplateScope& scope);

/// What of the command line is the machine itself: equal for two starts whose states fit each other. Pure.
std::string machine_definition(const Config& config, const RunValues& run, const TemplateScope& scope);

/// Why states of such a machine cannot be kept; empty: they can. Pure.
std::string why_no_states(const Config& config);

/// Whether a port of this host leads to the guest's communicator.
bool forwards_port(const Config& config);

/// The fields qemuargs templates see.
Value qemuargs_fields(const Config& config, const RunValues& run);

/// A path inside a comma-separated option: commas are doubled.
std::string option_path(const std::string& path);

/// "-smp" value: N[,sockets=][,cores=][,threads=].
std::string smp_value(const Config& config);

// qemu-img command lines.
std::vector<std::string> img_create(const Config& config, const std::string& path, const std::string& size);
/// A disk whose contents are `backing` (of format `backing_format`) until written; `size` empty: the backing's.
std::vector<std::string> img_create_backed(const Config& config, const std::string& path, const std::string& backing,
                                           const std::string& backing_format, const std::string& size);
/// -p prints progress. `compress` only where it makes sense.
std::vector<std::string> img_convert(const Config& config, const std::string& from, const std::string& from_format,
                                     const std::string& to, bool compress);
std::vector<std::string> img_resize(const Config& config, const std::string& path, const std::string& size);

/// Percent of the last "(12.34/100%)" in qemu-img's output.
std::optional<double> img_progress(std::string_view output);

}  // namespace kiln::qemu
