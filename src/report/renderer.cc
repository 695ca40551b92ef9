#include "report/renderer.h"

#include "base/error.h"
#include "base/fd.h"

namespace kiln {

void Renderer::write(std::string_view text) {
  if (broken_) return;
  try {
    write_all(options_.fd, text);
  } catch (const Error&) {
    broken_ = true;  // the reader went away: the build goes on without one
  }
}

std::string Renderer::masked(std::string text) const {
  return options_.redactor ? options_.redactor->redact(std::move(text)) : text;
}

}  // namespace kiln
