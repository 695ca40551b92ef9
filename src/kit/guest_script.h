// Scripts for a machine: their text, their variables, their way there, their output (packer-surface 6.1).
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/communicator.h"
#include "core/event.h"
#include "lang/diagnostic.h"
#include "lang/value.h"

namespace kiln {

/// CRLF becomes LF, and the last line ends with a newline.
std::string normalize_script(std::string_view text);

/// The text of an inline script. A first line with an interpreter of its own stays the first, unless a person chose
/// `shebang`.
std::string inline_script_text(const std::vector<std::string>& lines, const std::string& shebang, bool chosen);

/// Go's fmt.Sprintf(format, key, value) for the verbs that occur: %s, %[1]s, %[2]s, %%.
std::string format_variable(const std::string& format, const std::string& key, const std::string& value);

/// `value` as it stands between single quotes in a shell: ' becomes '"'"'.
std::string escape_single_quotes(const std::string& value);

/// "k=v" entries that are none, told in Packer's words.
void check_environment_vars(const std::vector<std::string>& entries, const SourceRange& range,
                            Diagnostics& diagnostics);
/// Entries into the map, later ones win.
void add_environment_vars(const std::vector<std::string>& entries,
                          std::map<std::string, std::string>& variables);

/// PACKER_HTTP_ADDR, _IP, _PORT as far as the machine's build data knows them.
std::map<std::string, std::string> http_variables(const Value& build_data);
/// Their names must be no templates, so keys that Packer marks as not implemented count as unknown.
bool is_known_build_value(const std::string& value);

/// Sends a text as one file.
void upload_text(Communicator& communicator, const std::string& path, const std::string& text, int mode,
                 const Deadline& deadline, const Stop& stop);

/// Output of a command to the Ui, line by line, as Packer shows it: stdout as say, stderr as error; white
/// space at the end is cut, and of a line drawn over with carriage returns the last state is shown.
class OutputLines {
 public:
  explicit OutputLines(const Ui& ui);
  Sink out();
  Sink err();
  void finish();

 private:
  LineSplitter out_;
  LineSplitter err_;
};

}  // namespace kiln
