// Running a command with full rights on Windows: what WinRM and ssh log-ins are refused (updates, some
// installers), a scheduled task may do. Source of the rules: Microsoft's documents of the Task Scheduler's
// scripting objects.
#pragma once
#include <string>

namespace kiln {

struct ElevatedTask {
  std::string command;  ///< for cmd /c
  std::string user;
  std::string password;  ///< empty: a service account
  std::string name;      ///< of the task; also of its output file in %SYSTEMROOT%/Temp
  std::string path;      ///< remote path of the script; it removes itself
};

/// The PowerShell script that registers the task, runs it, shows its output as it comes, removes everything
/// and ends with the task's exit code.
std::string elevated_script(const ElevatedTask& task);

/// The command that runs that script.
std::string elevated_command(const std::string& path);

}  // namespace kiln
