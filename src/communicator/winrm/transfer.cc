#include "communicator/winrm/transfer.h"

#include <algorithm>

#include "base/text.h"
#include "wire/encoded_powershell.h"

namespace kiln {

namespace {

constexpr std::string_view done_mark = "kiln:done ";

// As Packer does, a path's $env:NAME is what the machine makes of it. The new file gets its name when it is
// whole.
constexpr std::string_view upload_script = R"ps(# kiln:upload
begin {
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$sum = [Security.Cryptography.SHA256]::Create()
function Get-Target($line) {
  $path = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line.Substring(1)))
  if ($path.Contains('$')) { $path = $ExecutionContext.InvokeCommand.ExpandString($path) }
  [IO.Path]::GetFullPath($path)
}
}
process {
$line = "$_"
if ($line.StartsWith('>')) {
  $path = Get-Target $line
  if ([IO.Directory]::Exists($path)) { throw "$path is a directory" }
  [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($path))
  $part = $path + '.kiln-part'
  $file = [IO.File]::Create($part)
} elseif ($line.StartsWith('<')) {
  $file.Close()
  if ([IO.File]::Exists($path)) { [IO.File]::Delete($path) }
  [IO.File]::Move($part, $path)
} elseif ($line.StartsWith('+')) {
  [void][IO.Directory]::CreateDirectory((Get-Target $line))
} elseif ($line.Length -gt 0) {
  $bytes = [Convert]::FromBase64String($line)
  $file.Write($bytes, 0, $bytes.Length)
  [void]$sum.TransformBlock($bytes, 0, $bytes.Length, $null, 0)
}
}
end {
[void]$sum.TransformFinalBlock((New-Object byte[] 0), 0, 0)
'kiln:done ' + [BitConverter]::ToString($sum.Hash).Replace('-', '').ToLower()
}
)ps";

constexpr std::string_view download_script = R"ps(# kiln:download
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$path = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('%PATH%'))
if ($path.Contains('$')) { $path = $ExecutionContext.InvokeCommand.ExpandString($path) }
$file = [IO.File]::OpenRead([IO.Path]::GetFullPath($path))
$sum = [Security.Cryptography.SHA256]::Create()
$buffer = New-Object byte[] 45000
while (($got = $file.Read($buffer, 0, $buffer.Length)) -gt 0) {
  [void]$sum.TransformBlock($buffer, 0, $got, $null, 0)
  [Console]::Out.WriteLine([Convert]::ToBase64String($buffer, 0, $got))
}
$file.Close()
[void]$sum.TransformFinalBlock($buffer, 0, 0)
[Console]::Out.WriteLine('kiln:done ' + [BitConverter]::ToString($sum.Hash).Replace('-', '').ToLower())
)ps";

/// Plain text both ways: without being told, PowerShell writes errors as XML when a script comes encoded.
std::string transfer_command(std::string_view script) {
  return "powershell.exe -NoProfile -NonInteractive -InputFormat Text -OutputFormat Text -EncodedCommand " +
         encode_for_powershell(script);
}

}  // namespace

std::string upload_command() { return transfer_command(upload_script); }

std::string download_command(const std::string& path) {
  return transfer_command(
      replace_all(std::string(download_script), "%PATH%", base64_encode(windows_path(path))));
}

std::string open_line(const std::string& path) { return ">" + base64_encode(path) + "\r\n"; }
std::string close_line() { return "<\r\n"; }
std::string directory_line(const std::string& path) { return "+" + base64_encode(path) + "\r\n"; }
std::string content_line(std::string_view bytes) { return base64_encode(bytes) + "\r\n"; }

std::string windows_path(std::string path) {
  std::replace(path.begin(), path.end(), '/', '\\');
  return path;
}

std::string done_digest(std::string_view line) {
  line = trim(line);
  return line.starts_with(done_mark) ? std::string(line.substr(done_mark.size())) : "";
}

}  // namespace kiln
