// What Kiln uses of libyaml, opened at the first call: base/lazy_library.h.
#pragma once
#include <yaml.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_yaml{"libyaml-0.so.2", "libyaml-0-2"};
KILN_LAZY_FUNCTION(lazy_yaml, yaml_document_end_event_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_document_start_event_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_emitter_delete);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_emitter_emit);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_emitter_flush);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_emitter_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_emitter_set_output);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_emitter_set_unicode);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_event_delete);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_mapping_end_event_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_mapping_start_event_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_parser_delete);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_parser_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_parser_parse);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_parser_set_encoding);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_parser_set_input_string);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_scalar_event_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_sequence_end_event_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_sequence_start_event_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_stream_end_event_initialize);
KILN_LAZY_FUNCTION(lazy_yaml, yaml_stream_start_event_initialize);

}  // namespace kiln
