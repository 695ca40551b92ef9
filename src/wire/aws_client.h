// A client of AWS: finds credentials, signs, keeps to a rate, tries again what may work later.
#pragma once
#include <deque>
#include <memory>
#include <string>

#include "base/guarded.h"
#include "wire/aws_credentials.h"

namespace kiln {

/// How many requests a second one account takes in one region. Shared by all clients of it; thread-safe. When AWS says
/// that it is too many it becomes half, and grows again slowly with every request that goes well.
class AwsPace {
 public:
  explicit AwsPace(double per_second = 20);
  /// Waits for a turn. Turns are given out in order; at first and after idle time up to ten at once,
  /// but never more than the rate in any second.
  void wait_turn(const Deadline& deadline, const Stop& stop);
  void slow_down();
  void went_well();
  double per_second() const;

 private:
  struct State {
    double rate;
    Clock::time_point next;
    std::deque<Clock::time_point> given = {};  ///< the last ones, as many as a second may have
  };
  double highest_;
  Guarded<State> state_;
};

/// The pace of every account, region and endpoint that a program talks to. Thread-safe.
class AwsPaces {
 public:
  explicit AwsPaces(double per_second = 20) : per_second_(per_second) {}
  std::shared_ptr<AwsPace> of(const std::string& account_key);

 private:
  double per_second_;
  Guarded<std::map<std::string, std::shared_ptr<AwsPace>>> paces_;
};

struct AwsSettings {
  AwsCredentialOptions credentials;
  std::string region;
  AwsEndpoints endpoints;
  bool insecure = false;
  bool decode_authorization_messages = false;  ///< of requests that are refused, by STS
  int max_retries = 10;                        ///< of one request that fails for the moment or comes too fast
  std::shared_ptr<AwsPaces> paces;             ///< may be empty: no rate is kept
};

/// Used by one thread.
class AwsClient {
 public:
  explicit AwsClient(AwsSettings settings);
  AwsClient(const AwsClient&) = delete;
  AwsClient& operator=(const AwsClient&) = delete;

  /// One action of a Query service: the root of its answer. `region` empty: the settings'. Throws AwsError with the
  /// words of AWS, Error{user} without credentials, Error{timeout}, Error{cancelled}.
  AwsElement query(const std::string& service, const std::string& action, const AwsParameters& parameters,
                   const Deadline& deadline, const Stop& stop, const std::string& region = {});
  /// The same without further tries, for what is nice to have.
  AwsElement query_once(const std::string& service, const std::string& action, const AwsParameters& parameters,
                        const Deadline& deadline, const Stop& stop);
  /// One action of a JSON service.
  nlohmann::json json(const std::string& service, const std::string& action, const nlohmann::json& input,
                      const Deadline& deadline, const Stop& stop, const std::string& region = {});
  /// Any call, with the same care.
  AwsHttpReply call(const AwsCall& call, const Deadline& deadline, const Stop& stop);
  /// Finds credentials now: a template without any is told before anything is made.
  const AwsCredentials& credentials(const Deadline& deadline, const Stop& stop) { return chain_.get(deadline, stop); }
  const AwsSettings& settings() const { return settings_; }
  AwsSender& sender() { return sender_; }

 private:
  AwsError decoded(const AwsError& error, const Deadline& deadline, const Stop& stop);
  AwsPace* pace_for(const std::string& access_key, const std::string& region);

  AwsSettings settings_;
  AwsSender sender_;
  AwsCredentialChain chain_;
  std::map<std::string, std::shared_ptr<AwsPace>> paces_;
};

/// How long to wait before try `attempt` (0, 1, ...) of a request: anything up to a bound that doubles, so that many
/// clients that failed together do not come again together.
Millis aws_retry_pause(int attempt, AwsFailure failure);

}  // namespace kiln
