#include "provisioner/powershell/elevated.h"

#include <fmt/format.h>

#include "base/text.h"

namespace kiln {

namespace {

/// A PowerShell string that means nothing but itself.
std::string powershell_literal(const std::string& text) { return "'" + replace_all(text, "'", "''") + "'"; }

// Flag 6 of RegisterTaskDefinition creates or replaces; log-on 1 is by password, 5 a service account. States:
// 3 is ready (over), 4 running. Action 0 runs a program.
constexpr const char* run_task = R"ps($ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$out = [Environment]::ExpandEnvironmentVariables($out)
$logon = 1
if ($password.Length -eq 0) {
  $logon = 5
  $password = $null
}
$service = New-Object -ComObject 'Schedule.Service'
$service.Connect()
$folder = $service.GetFolder('\')
$definition = $service.NewTask(0)
$definition.RegistrationInfo.Description = 'Packer elevated task'
$definition.Principal.RunLevel = 1
$settings = $definition.Settings
$settings.DisallowStartIfOnBatteries = $false
$settings.StopIfGoingOnBatteries = $false
$settings.ExecutionTimeLimit = 'PT0S'
$settings.Priority = 4
$action = $definition.Actions.Create(0)
$action.Path = 'cmd'
$action.Arguments = '/c ' + $command
$reader = $null
$rest = ''
$result = 1
try {
  $task = $folder.RegisterTaskDefinition($name, $definition, 6, $user, $password, $logon, $null)
  $task.Run($null) | Out-Null
  for ($i = 0; $i -lt 100 -and $task.State -ne 4 -and -not (Test-Path $out); $i++) {
    Start-Sleep -Milliseconds 100
  }
  do {
    Start-Sleep -Milliseconds 100
    $over = $task.State -eq 3
    if (-not $reader -and (Test-Path $out)) {
      $file = New-Object System.IO.FileStream -ArgumentList $out, 'Open', 'Read', 'ReadWrite, Delete'
      $reader = New-Object System.IO.StreamReader -ArgumentList $file, ([System.Text.Encoding]::Default)
    }
    if ($reader) {
      $rest += $reader.ReadToEnd()
      while (($end = $rest.IndexOf("`n")) -ge 0) {
        Write-Output $rest.Substring(0, $end).TrimEnd("`r")
        $rest = $rest.Substring($end + 1)
      }
    }
  } until ($over)
  if ($rest.Length -gt 0) { Write-Output $rest }
  $result = $task.LastTaskResult
} finally {
  if ($reader) { $reader.Close() }
  try { $folder.DeleteTask($name, 0) } catch { }
  Remove-Item -Path $out, $self -Force -ErrorAction SilentlyContinue
}
exit $result
)ps";

}  // namespace

std::string elevated_script(const ElevatedTask& task) {
  std::string out = "%SYSTEMROOT%/Temp/" + task.name + ".out";
  return fmt::format("$name = {}\n$user = {}\n$password = {}\n$command = {}\n$out = {}\n$self = {}\n",
                     powershell_literal(task.name), powershell_literal(task.user),
                     powershell_literal(task.password),
                     powershell_literal(task.command + " > " + out + " 2>&1"), powershell_literal(out),
                     powershell_literal(task.path)) +
         run_task;
}

std::string elevated_command(const std::string& path) {
  return fmt::format("powershell -executionpolicy bypass -file \"{}\"", path);
}

}  // namespace kiln
