// One transfer by libcurl (http, https, ftp), driven through base/wait.h so that Stop ends it.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "base/process.h"
#include "base/wait.h"
#include "core/communicator.h"

namespace kiln {

/// How the server and we prove who we are; empty: the system's certificates, and none of ours.
struct FetchTls {
  std::string ca_file, ca_path;  ///< PEM file, directory of hashed names
  std::string certificate, key;  ///< ours, PEM files
  bool insecure = false;         ///< take any certificate
};

struct FetchRequest {
  std::string url;
  bool head = false;   ///< only look: no body
  std::string method;  ///< "POST", ...; empty: GET or HEAD
  std::map<std::string, std::string> headers;
  std::string body;  ///< of the request
  FetchTls tls;
  std::string unix_socket;   ///< the server listens there, whatever host the url names
  bool any_status = false;   ///< a status of 400 and more is no failure: its body is handed over too
  uint64_t resume_from = 0;  ///< bytes we have
  std::string if_range;      ///< ETag or Last-Modified of those bytes; empty: trust them
  ProgressFn progress;       ///< counts from the start of the file, resumed bytes included; may be empty
};

/// How it went. A transfer that failed is not an exception here: the caller decides on retries and mirrors.
struct FetchResult {
  std::string error;       ///< empty: all bytes were handed over. Go's wording where Packer's users know it
  bool retryable = false;  ///< the same request may work later
  bool resumed = false;    ///< the server went on where we stopped; else the body starts at zero
  long status = 0;         ///< HTTP status, or FTP reply
  uint64_t length = 0;     ///< of the whole file; 0: unknown
  std::string etag;
  std::map<std::string, std::string>
      headers;            ///< of the last answer, names as Go writes them ("Content-Type")
  int64_t modified = -1;  ///< Last-Modified, Unix seconds; -1: unknown
  bool ok() const { return error.empty(); }
};

/// Called before the first byte of the body: whether the body goes on at resume_from (true) or starts at
/// zero.
using BodyStart = std::function<void(bool resumed)>;

/// Runs one transfer. An exception of `body` (a full disk) ends it and passes through; Stop throws
/// Error{cancelled}. A connection that gives no byte for a minute counts as failed.
FetchResult http_fetch(const FetchRequest& request, const BodyStart& start, const Sink& body,
                       const Stop& stop);

}  // namespace kiln
