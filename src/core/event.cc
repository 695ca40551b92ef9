#include "core/event.h"

#include "base/error.h"

namespace kiln {

std::string EventSink::ask(const std::string&, const std::string&, const Stop&) {
  throw Error(ErrorKind::environment, "no available tty");
}

static Event make_event(EventKind kind, const std::string& stage, const std::string& label, std::string text) {
  Event event;
  event.kind = kind;
  event.stage = stage;
  event.label = label;
  event.text = std::move(text);
  return event;
}

void Ui::say(std::string text) const { sink_->emit(make_event(EventKind::say, stage_, label_, std::move(text))); }
void Ui::message(std::string text) const {
  sink_->emit(make_event(EventKind::message, stage_, label_, std::move(text)));
}
void Ui::error(std::string text) const { sink_->emit(make_event(EventKind::error, stage_, label_, std::move(text))); }

void Ui::machine(std::string type, std::vector<std::string> data) const {
  Event event = make_event(EventKind::machine, stage_, label_, {});
  event.type = std::move(type);
  event.data = std::move(data);
  sink_->emit(event);
}

void Ui::progress(std::string what, uint64_t done, uint64_t total) const {
  Event event = make_event(EventKind::progress, stage_, label_, std::move(what));
  event.done = done;
  event.total = total;
  sink_->emit(event);
}

}  // namespace kiln
