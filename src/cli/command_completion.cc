// completion: scripts for shells. They hold no words themselves: each asks the program (cli/completion.h).
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "cli/command.h"

namespace kiln {

namespace {

constexpr const char* bash_script =
    R"sh(# bash completion of NAME. In a start-up file: eval "$(NAME completion bash)"
_NAME() {
    local IFS=$'\n'
    COMPREPLY=($(COMP_LINE=${COMP_LINE:0:COMP_POINT} COMP_POINT= "${1/#\~/$HOME}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _NAME NAME
)sh";

constexpr const char* zsh_script = R"sh(#compdef NAME
# zsh completion of NAME. In a start-up file, after compinit: source <(NAME completion zsh)
_NAME() {
    local -a words_ shown_ open_
    local line_ word_
    for line_ in ${(f)"$(COMP_LINE="${(j: :)words[1,CURRENT-1]} ${PREFIX}" COMP_POINT= KILN_COMPLETE=1 ${(e)words[1]} 2>/dev/null)"}; do
        word_=${line_%%$'\t'*}
        if [[ $word_ == */ ]]; then
            open_+=($word_)
            continue
        fi
        words_+=($word_)
        if [[ $line_ == *$'\t'* ]]; then
            shown_+=("$word_  -- ${line_#*$'\t'}")
        else
            shown_+=($word_)
        fi
    done
    compadd -l -d shown_ -a words_
    compadd -S '' -a open_
}
if [[ $funcstack[1] == _NAME ]]; then
    _NAME "$@"
else
    compdef _NAME NAME
fi
)sh";

constexpr const char* fish_script = R"sh(# fish completion of NAME.
function __NAME_complete
    set -lx COMP_LINE (commandline -cp)
    set -lx COMP_POINT
    set -lx KILN_COMPLETE 1
    set -l word (commandline -ct)
    if test -z "$word"; and not string match -q -- '* ' "$COMP_LINE"
        set COMP_LINE "$COMP_LINE "
    end
    command NAME 2>/dev/null
end
complete -c NAME -f -a '(__NAME_complete)'
)sh";

}  // namespace

int run_completion(Invocation& invocation, CommandOptions&, const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  const std::string& shell = arguments[0];
  const char* script = shell == "bash"   ? bash_script
                       : shell == "zsh"  ? zsh_script
                       : shell == "fish" ? fish_script
                                         : nullptr;
  if (!script) {
    invocation.ui().error("There is no completion for \"" + shell + "\", only for bash, zsh and fish.");
    return 1;
  }
  write_all(STDOUT_FILENO, replace_all(script, "NAME", invocation.program));
  return 0;
}

}  // namespace kiln
