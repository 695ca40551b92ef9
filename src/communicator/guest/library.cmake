# The agent is compiled for guests, whatever libraries they have: static, and without this build's flags.
set(agent ${CMAKE_CURRENT_BINARY_DIR}/guest_agent)
set(agent_source ${CMAKE_CURRENT_LIST_DIR}/agent.c)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  find_program(KILN_MUSL_GCC musl-gcc)
  set(agent_compiler ${CMAKE_C_COMPILER})
  if(KILN_MUSL_GCC)
    set(agent_compiler ${KILN_MUSL_GCC})
  else()
    message(STATUS "musl-gcc is missing (package musl-tools): the guests' agent is linked with glibc, and larger")
  endif()
  add_custom_command(OUTPUT ${agent} DEPENDS ${agent_source} VERBATIM
    COMMAND ${agent_compiler} -std=gnu11 -static -Os -s -Wall -Wextra -o ${agent} ${agent_source})
else()
  file(WRITE ${agent} "")
endif()
set_source_files_properties(${CMAKE_CURRENT_LIST_DIR}/agent_program.cc PROPERTIES OBJECT_DEPENDS ${agent}
  COMPILE_DEFINITIONS KILN_GUEST_AGENT="${agent}" SKIP_UNITY_BUILD_INCLUSION ON)
