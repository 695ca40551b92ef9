// Completion of command lines in a shell. Shells ask by running the program with the line so far in
// COMP_LINE, as they ask programs that use posener/complete, Packer among them: the answer is one candidate a
// line.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct Completion {
  std::string word;
  std::string description;  ///< may be empty
};

/// What could stand where `line` ends, sorted; `line` starts with the program's name ("packer" or "kiln": the
/// commands of `as_packer`). A last word "-flag=va" is completed from behind its "=". Looks at directories.
std::vector<Completion> complete_line(std::string_view line, bool as_packer);

/// When a shell asks (COMP_LINE is set): the text of the answer. With KILN_COMPLETE set, as the scripts of
/// `kiln completion` do, words are whole ("-flag=value") and a tab and their description follow.
std::optional<std::string> completion_answer(bool as_packer);

/// Packer's -autocomplete-install: adds a line to the start-up file of every shell that has one in the home
/// directory (bash, zsh) and a file to fish's configuration. `name` is the command that is completed,
/// `binary` the program that answers. Throws Error{user} in Packer's words when there is nothing to add to,
/// or it is there.
void install_completion(const std::string& name, const std::string& binary);
/// Takes that away again.
void uninstall_completion(const std::string& name, const std::string& binary);

}  // namespace kiln
