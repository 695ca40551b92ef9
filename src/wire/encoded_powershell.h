// A PowerShell script as one command line that no shell on the way can spoil.
#pragma once
#include <string>
#include <string_view>

namespace kiln {

/// "powershell.exe -EncodedCommand ...": the script in UTF-16LE and base64, its progress bars silenced (they
/// would come as stderr). The script is UTF-8.
std::string encoded_powershell(std::string_view script);

/// Only the argument of -EncodedCommand, for the script as it is.
std::string encode_for_powershell(std::string_view script);

}  // namespace kiln
