// A QEMU in the background: found by its number and start time, spoken to by QMP. It outlives us when we die.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/wait.h"
#include "wire/qmp.h"

namespace kiln::ec2 {

class QemuProcess {
 public:
  /// Runs a QEMU that puts itself into the background (-daemonize, -pidfile pid, -qmp unix:qmp) in
  /// `directory`. Throws Error{environment} in QEMU's own words.
  static std::unique_ptr<QemuProcess> start(const std::vector<std::string>& argv, const std::string& token,
                                            const std::filesystem::path& directory, const Stop& stop);
  /// One that runs already; nullptr when it does not.
  static std::unique_ptr<QemuProcess> adopt(int64_t pid, int64_t start_time,
                                            const std::filesystem::path& directory, const Stop& stop);

  int64_t pid() const { return pid_; }
  int64_t start_time() const { return start_time_; }
  bool alive() const;
  /// Waits until it ends, an event of QMP or `other` (a descriptor) is readable, or the deadline.
  void wait_for_news(int other, const Deadline& deadline, const Stop& stop);
  nlohmann::json execute(const std::string& command, const nlohmann::json& arguments, const Stop& stop);
  /// The same by HMP; returns what it says.
  std::string monitor(const std::string& line, const Stop& stop);
  /// Waits for an event of QMP. False at the deadline or when QEMU ends.
  bool wait_for_event(const std::string& name, const std::string& device, const Deadline& deadline,
                      const Stop& stop);
  /// Whether the guest's system drives its network card; true also where QEMU cannot tell.
  bool guest_drives_network(const Stop& stop);
  /// Whether the machine stands still because a disk could not be written. After the next go_on() it may
  /// again.
  bool stands_still() const { return stands_still_; }
  void go_on(const Stop& stop);
  /// Whether the guest switched itself off (or was told to by the power button).
  bool guest_shut_down() const { return guest_shut_down_; }
  void press_power_button(const Stop& stop);
  /// Ends it by its own command, else by signal.
  void quit(const Stop& stop);
  /// Ends it by signal.
  void kill();

 private:
  QemuProcess() = default;
  void open(const std::filesystem::path& directory, const Stop& stop);
  void note(const nlohmann::json& event);
  int64_t pid_ = 0;
  int64_t start_time_ = 0;
  Fd pidfd_;
  std::unique_ptr<QmpClient> qmp_;
  bool guest_shut_down_ = false;
  bool stands_still_ = false;
};

}  // namespace kiln::ec2
