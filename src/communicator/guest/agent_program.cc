// The agent's bytes, as library.cmake had it compiled.
#include "communicator/guest/guest_channel.h"

asm(".section .rodata.kiln_guest_agent,\"a\"\n"
    ".global kiln_guest_agent_begin\n"
    ".hidden kiln_guest_agent_begin\n"
    ".global kiln_guest_agent_end\n"
    ".hidden kiln_guest_agent_end\n"
    "kiln_guest_agent_begin:\n"
    ".incbin \"" KILN_GUEST_AGENT "\"\n"
    "kiln_guest_agent_end:\n"
    ".byte 0\n"
    ".previous\n");
extern "C" {
extern const char kiln_guest_agent_begin[];
extern const char kiln_guest_agent_end[];
}

namespace kiln {

std::string_view guest_agent_program() {
  return {kiln_guest_agent_begin, static_cast<size_t>(kiln_guest_agent_end - kiln_guest_agent_begin)};
}

}  // namespace kiln
