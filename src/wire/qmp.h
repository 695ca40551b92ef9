// QMP: QEMU's control protocol (docs/interop/qmp-spec).
#pragma once
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/wait.h"

namespace kiln {

/// Cuts a byte stream into QMP messages, one JSON object a line. Pure; what is no object is an Error{remote}.
class QmpDecoder {
 public:
  /// Adds bytes; complete messages come out of next(). Throws Error{remote} on rubbish and on a line longer
  /// than 16 MiB.
  void feed(std::string_view bytes);
  std::optional<nlohmann::json> next();

 private:
  std::string pending_;
  std::deque<nlohmann::json> ready_;
};

/// A QMP session over a connected socket. For one thread at a time. Every call ends by deadline or Stop.
class QmpClient {
 public:
  /// Takes the socket; waits for the greeting and negotiates.
  QmpClient(Fd socket, const Deadline& deadline, const Stop& stop);
  /// Connects to a listening unix socket first.
  static QmpClient connect(const std::string& path, const Deadline& deadline, const Stop& stop);

  /// Runs a command and returns its "return". QEMU's refusal is Error{remote} "COMMAND: DESC"; the
  /// connection's end is Error{remote}. Events that come meanwhile are kept for next_event(). `given` is a
  /// descriptor that goes along, for getfd (borrowed; -1: none).
  nlohmann::json execute(const std::string& command, const nlohmann::json& arguments,
                         const Deadline& deadline, const Stop& stop, int given = -1);
  /// The next event, or nullopt at the deadline or when QEMU closed the connection.
  std::optional<nlohmann::json> next_event(const Deadline& deadline, const Stop& stop);
  /// Takes what has arrived without waiting: an event, if there is one.
  std::optional<nlohmann::json> poll_event();
  int fd() const { return socket_.get(); }
  bool closed() const { return closed_; }

 private:
  void send(const nlohmann::json& message, int given, const Deadline& deadline, const Stop& stop);
  /// False at the deadline or the end of the connection.
  bool read_more(const Deadline& deadline, const Stop& stop);

  Fd socket_;
  QmpDecoder decoder_;
  std::deque<nlohmann::json> events_;
  bool closed_ = false;
  int64_t next_id_ = 0;
};

}  // namespace kiln
